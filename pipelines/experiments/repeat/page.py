"""Runs of `photoshoot experiment repeat` held against each other: how far each line of the gate is from its bound."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from components.core.atomic import atomic_path
from components.core.errors import machine_errors
from pipelines.bench.steps import machine
from pipelines.experiments.repeat.outcome import Outcome
from pipelines.experiments.repeat.processors import MACHINES, PLAIN

START, END = "<!-- repeat -->", "<!-- /repeat -->"
_SIGNS = {">=": "≥", "<=": "≤"}


@dataclass(frozen=True)
class Spread:
    """One line of the gate over all runs.

    `values` and `passed` are those of each run, None where a run has no such metric or line. `over_seeds` is the
    standard deviation over the runs on the plain machine, `over_machines` that over the runs of the first seed; None
    for fewer than two. `away` is how many of the larger of both the mean lies on the right side of the bound
    (negative: on the wrong side); None where nothing varies.
    """

    name: str
    comparison: str
    bound: float
    values: list[float | None]
    passed: list[bool | None]
    mean: float | None
    over_seeds: float | None
    over_machines: float | None
    away: float | None


def spreads(outcomes: Sequence[Outcome]) -> list[Spread]:
    """Every line that any run's gate has, in the order of the gate."""
    names = list(dict.fromkeys(line["name"] for outcome in outcomes for line in outcome.gate))
    return [_spread([_line(outcome, name) for outcome in outcomes], outcomes) for name in names]


def _line(outcome: Outcome, name: str) -> Mapping[str, Any] | None:
    return next((line for line in outcome.gate if line["name"] == name), None)


def _spread(lines: Sequence[Mapping[str, Any] | None], outcomes: Sequence[Outcome]) -> Spread:
    first = next(line for line in lines if line is not None)
    values = [None if line is None or line["value"] is None else float(line["value"]) for line in lines]
    found = [value for value in values if value is not None]
    mean = fmean(found) if found else None
    seeds = _deviation(values, [outcome.machine == PLAIN for outcome in outcomes])
    machines = _deviation(values, [outcome.seed == outcomes[0].seed for outcome in outcomes])
    widest = max((one for one in (seeds, machines) if one is not None), default=0.0)
    side = 1 if first["comparison"] == ">=" else -1
    return Spread(first["name"], first["comparison"], float(first["bound"]), values,
                  [None if line is None else bool(line["passed"]) for line in lines], mean, seeds, machines,
                  side * (mean - float(first["bound"])) / widest if mean is not None and widest else None)


def _deviation(values: Sequence[float | None], chosen: Sequence[bool]) -> float | None:
    found = [value for value, is_chosen in zip(values, chosen, strict=True) if is_chosen and value is not None]
    return stdev(found) if len(found) > 1 else None


def same_identities(outcomes: Sequence[Outcome]) -> dict[int, bool]:
    """For each seed that was run more than once: whether all its runs found the same identities and splits."""
    found: dict[int, list[str]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.seed, []).append(outcome.assignment)
    return {seed: len(set(digests)) == 1 for seed, digests in found.items() if len(digests) > 1}


def write(outcomes: Sequence[Outcome], command: str, page: Path) -> Path:
    """Put the tables between their two marks in a page, at its end where it has none; returns the page."""
    with machine_errors(page):
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        start, end = text.find(START), text.find(END)
        before, after = (text[:start], text[end + len(END):]) if 0 <= start < end else (f"{text}\n" * bool(text), "\n")
        page.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(page) as partial:
            partial.write_text(f"{before}{START}\n{markdown(outcomes, command)}\n\n{END}{after}", encoding="utf-8")
    return page


def markdown(outcomes: Sequence[Outcome], command: str) -> str:
    """The tables, and what they are of."""
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    champions = sum(outcome.champion for outcome in outcomes)
    codes = sorted({outcome.code for outcome in outcomes})
    blocks = [
        f"`{command}` wrote this section. {machine()}, Python {platform.python_version()}; code "
        f"{', '.join(f'`{code}`' for code in codes)}{_mixed(codes)}.",
        f"**{passed} of {len(outcomes)} passed, {champions} with a champion.** {_identities(outcomes)}",
        _table(("run", "seed", "machine", "threads", "gate", "champion", "identities", "who is who", "minutes"),
               [_run(outcome) for outcome in outcomes]),
        "*Who is who*: sha256 over the rows (person, identity, split) of `identities.parquet`, its first 12 digits.",
        *_complaints(outcomes),
        "Each line of the gate in each run. *Seeds*: standard deviation over the runs on the plain machine; "
        f"*machines*: over the runs of seed {outcomes[0].seed}; *away*: how many of the larger of both the mean lies "
        "on the right side of the bound.",
        _table(("line", "bound", *(outcome.name.removeprefix("seed-") for outcome in outcomes), "mean", "seeds",
                "machines", "away"), [_row(spread) for spread in spreads(outcomes)]),
        "What each kind of machine sets, and what the libraries then chose:",
        _table(("machine", "is", "sets", "vector instructions"), _machines(outcomes)),
    ]
    return "\n\n".join(blocks)


def _mixed(codes: Sequence[str]) -> str:
    return " (**not all runs are of the same code**)" if len(codes) > 1 else ""


def _identities(outcomes: Sequence[Outcome]) -> str:
    said = []
    for seed, same in same_identities(outcomes).items():
        count = sum(outcome.seed == seed for outcome in outcomes)
        said.append(f"The {count} runs of seed {seed} found " + (
            "identical identities and splits." if same else "**different identities or splits**."))
    return " ".join(said)


def _run(outcome: Outcome) -> tuple[str, ...]:
    again = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
    return (outcome.name, str(outcome.seed), outcome.machine, str(outcome.seen["threads"]), outcome.verdict,
            "yes" if outcome.champion else "no", str(outcome.identities), f"`{outcome.assignment[:12]}`",
            f"{outcome.seconds / 60:.1f}{again}")


def _complaints(outcomes: Sequence[Outcome]) -> list[str]:
    """Why runs did not pass: a line for each."""
    lines = [f"- {outcome.name}, `{line['name']}` {_number(line['value'])}, must be {_SIGNS[line['comparison']]} "
             f"{line['bound']:g}{': ' * bool(line['reason'])}{line['reason']}"
             for outcome in outcomes for line in outcome.gate if not line["passed"]]
    return ["\n".join(["Lines that did not pass:", "", *lines])] if lines else []


def _row(spread: Spread) -> tuple[str, ...]:
    cells = [_number(value) if passed is not False else f"**{_number(value)}**"
             for value, passed in zip(spread.values, spread.passed, strict=True)]
    away = "–" if spread.away is None else f"{spread.away + 0:.{1 if abs(spread.away) < 100 else 0}f}"
    return (f"`{spread.name}`", f"{_SIGNS[spread.comparison]} {spread.bound:g}", *cells, _number(spread.mean),
            _number(spread.over_seeds, 2), _number(spread.over_machines, 2), away)


def _machines(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    first = {outcome.machine: outcome for outcome in reversed(outcomes)}
    return [(name, MACHINES[name].title,
             ", ".join(f"`{key}={value}`" for key, value in first[name].variables.items()) or "nothing",
             f"PyTorch {first[name].seen['torch']}, NumPy {first[name].seen['numpy']}, OpenBLAS "
             f"{first[name].seen['openblas']}, OpenCV {first[name].seen['opencv']}")
            for name in MACHINES if name in first]


def _number(value: float | None, digits: int = 3) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)])
