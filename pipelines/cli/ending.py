"""How runs end on the screen: metrics, the gate's verdict, what to do next; and lists of those elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.judging.gate import TOO_FEW
from components.core.settings import Settings
from pipelines.cli.app import DEFAULT_HOME, succeeded
from pipelines.display import errors, metric, say, table

if TYPE_CHECKING:
    from pipelines.results.files import RunResult
    from pipelines.results.next_steps import Next

_ENDS = {"succeeded": "succeeded", "failed": "failed", "canceled": "killed", "cancelled": "killed", "skipped": "killed"}
"""Ends of runs on Kubeflow and Vertex AI, in the words of local ones."""
_NOT_JUDGED = "not enough data to tell a good model from a bad one: bring more people or photos"
_TOO_FEW = "too few people to judge: the model may be good; bring more people of whom there are two photos"


def show_result(result: RunResult, settings: Settings, home: Path, as_json: bool) -> None:
    """Show a finished run: as one JSON object, or as tables, facts and the next commands."""
    from pipelines.results.next_steps import after_run

    name = settings.register_.model_name
    following = after_run(result, name, home, DEFAULT_HOME)
    if as_json:
        print(json.dumps({**asdict(result), "next": [one.command for one in following]}))
        return
    table(f"Run {result.run_id}", ("metric (people never trained on)", "value [95 % interval] count"),
          [(key, metric(entry)) for key, entry in result.metrics.items()])
    table("Gate", ("line", "found", "bound", ""), [
        (line["name"], "-" if line["value"] is None else f"{line['value']:.4g}",
         f"{line['comparison']} {line['bound']:g}", _mark(line)) for line in result.gate
    ])
    # No table: a path that is folded cannot be copied.
    for what, value in _facts(result, settings, home).items():
        print(f"{what:<14} {value}")
    for left_out in result.people["rejected"][:10]:
        say(f"left out {left_out['photo']}: {left_out['reason']}")
    show_next(following)


def show_next(following: Sequence[Next]) -> None:
    """The next commands, each on a line of its own under what it does, so that it can be copied."""
    print("\nNext:")
    for one in following:
        print(f"  # {one.does}\n  {one.command}")


def _mark(line: dict[str, Any]) -> str:
    if line["passed"]:
        return "pass"
    return f"{'FAIL' if line.get('judged', True) else 'NOT JUDGED'} {line['reason'] or ''}".rstrip()


def _facts(result: RunResult, settings: Settings, home: Path) -> dict[str, str]:
    aliases = f" ({', '.join(result.aliases)})" if result.aliases else ""
    people = result.people
    champion = {"champion": _champion(result)} if result.champion != result.model_version else {}
    return {
        "model version": f"{settings.register_.model_name} {result.model_version}{aliases}",
        "gate": result.verdict_summary or result.verdict,
        **({"": _TOO_FEW if TOO_FEW in result.verdict_summary else _NOT_JUDGED}
           if result.verdict == "not judged" else {}),
        **champion,
        "people": f"{people['accepted']} accepted, {len(people['rejected'])} rejected",
        "report": result.report,
        "contact sheet": result.contact_sheet,
        "time": f"{result.seconds:.0f} s",
        **({"cost": result.cost} if settings.costs.prices else {}),
        "MLflow": f"photoshoot ui --home {home}  ->  {result.link}",
    }


def _champion(result: RunResult) -> str:
    if result.champion is None:
        return "none yet"
    return f"still version {result.champion}"


def show_listed(title: str, rows: Sequence[Mapping[str, Any]], called: tuple[str, str], status: str | None,
                as_json: bool) -> None:
    """Runs of another machine, as a table or JSON; `status` (as of local runs) leaves out the others.

    Each has run_id, name, status, started and seconds; `called` are the two of them by which it goes, the first of
    them before the rest.
    """
    rows = [row for row in rows if status in (None, _ENDS.get(row["status"], "running"))]
    if as_json:
        succeeded(runs=rows)
    elif not rows:
        errors.print("no runs" if status is None else f"no runs that are {status}")
    else:
        first, last = called
        table(title, ("run", "status", "started", "time", last.removeprefix("run_")),
              [(row[first], row["status"], row["started"], f"{row['seconds']:.0f} s", row[last]) for row in rows])
