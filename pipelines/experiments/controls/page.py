"""What the study of the controls found, as a page of docs/."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core.atomic import atomic_path
from pipelines.experiments.controls.study import Outcome

TITLES = {
    "copy_cat": "Copy-cat: returns the nearest training photo; must fail",
    "baked_background": "Baked background: the true person before a training photo's room; must fail",
    "real_photos": "Real photos: must pass",
    "the finder of faces": "The finder of faces, on the real photos: must be reliable",
}


@dataclass(frozen=True)
class LineRow:
    """One line over all draws: mean, standard deviation (0: always the same), bound, and how many standard deviations
    the mean is from it (None without spread); how often it passed, failed and was not judged."""

    name: str
    mean: float | None
    spread: float
    worst: float | None
    bound: float
    comparison: str
    distance: float | None
    passed: int
    failed: int
    not_judged: int


@dataclass(frozen=True)
class ControlRow:
    """One control over all draws."""

    control: str
    draws: int
    behaved: int
    reasons: list[str]
    lines: list[LineRow]


def rows(outcomes: Sequence[Outcome]) -> list[ControlRow]:
    """Controls in the order of their first draw."""
    found = []
    for control in dict.fromkeys(one.control for one in outcomes):
        mine = [one for one in outcomes if one.control == control]
        reasons = sorted({one.reason for one in mine if not one.behaved})
        lines = [line["name"] for line in mine[0].lines]
        found.append(ControlRow(control, len(mine), sum(one.behaved for one in mine), reasons,
                                [_line([_of(one, name) for one in mine]) for name in lines]))
    return found


def _of(outcome: Outcome, name: str) -> dict[str, Any]:
    return next(line for line in outcome.lines if line["name"] == name)


def _line(lines: Sequence[dict[str, Any]]) -> LineRow:
    values = np.asarray([line["value"] for line in lines if line["value"] is not None], np.float64)
    bound, comparison = float(lines[0]["bound"]), str(lines[0]["comparison"])
    count = {what: sum(line["outcome"] == what for line in lines) for what in ("passed", "failed", "not judged")}
    mean = float(values.mean()) if len(values) else None
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    away = None if mean is None or spread < 1e-9 else abs(mean - bound) / spread
    # The one nearest to the other side of the bound.
    worst = None if mean is None else float(values.min() if mean >= bound else values.max())
    return LineRow(str(lines[0]["name"]), mean, spread, worst, bound, comparison, away, count["passed"],
                   count["failed"], count["not judged"])


def markdown(found: Sequence[ControlRow], command: str, about: str) -> str:
    """The page."""
    lines = [
        "# Is a control ever judged wrongly?", "", _result(found), "", f"Written by `{command}`.", "",
        f"{about} In each draw the identities are dealt anew to training, validation and held-out people, as many to "
        "each as the run had, and copy-cat, baked background and real photos go through the evaluation's own "
        "measurement and the gate's own bounds, as in every evaluation. No control is trained, so a draw is what "
        "another seed of the split would have given. Draws share people: their spread is that of the split.", "",
        "*Spread*: standard deviation over the draws. *Nearest*: the draw nearest to the other side of the bound. "
        "*Away*: distance of the mean from the bound in spreads; where a line is the same in every draw there is none.",
        "",
    ]
    for row in found:
        lines += [f"## {TITLES.get(row.control, row.control)}", "",
                  f"**As it must be in {row.behaved} of {row.draws} draws.**",
                  *(f"- otherwise: {reason}" for reason in row.reasons), "",
                  "| line | mean | spread | nearest | bound | away | passed | failed | not judged |",
                  "|---|---|---|---|---|---|---|---|---|",
                  *(_cells(line) for line in row.lines), ""]
    return "\n".join(lines)


def _result(found: Sequence[ControlRow]) -> str:
    """The answer in one sentence."""
    wrong = [f"{TITLES.get(row.control, row.control).partition(':')[0]} in {row.draws - row.behaved} of {row.draws}"
             for row in found if row.behaved < row.draws]
    draws = max((row.draws for row in found), default=0)
    return f"**Yes: {', '.join(wrong)} draws.**" if wrong else f"**No: in none of {draws} draws.**"


def _cells(line: LineRow) -> str:
    mean, worst = (("–" if value is None else f"{value:.3g}") for value in (line.mean, line.worst))
    away = "–" if line.distance is None else f"{line.distance:.0f}" if line.distance >= 10 else f"{line.distance:.1f}"
    return (f"| {line.name} | {mean} | {line.spread:.2g} | {worst} | {line.comparison} {line.bound:g} | {away} | "
            f"{line.passed} | {line.failed} | {line.not_judged} |")


def write(found: Sequence[ControlRow], command: str, about: str, out: Path) -> Path:
    """Write ``out/controls.md``; its path."""
    page = out / "controls.md"
    with atomic_path(page) as partial:
        partial.write_text(markdown(found, command, about), encoding="utf-8")
    return page


def plain(found: Sequence[ControlRow]) -> dict[str, Any]:
    """For --json."""
    return {row.control: {key: value for key, value in asdict(row).items() if key != "control"} for row in found}
