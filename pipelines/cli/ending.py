"""How a run ends on the screen: its metrics, the gate's verdict, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.settings import Settings
from pipelines.cli.app import DEFAULT_HOME
from pipelines.display import errors, metric, table

if TYPE_CHECKING:
    from pipelines.results.files import RunResult
    from pipelines.results.next_steps import Next

_NOT_JUDGED = "not enough data to tell a good model from a bad one: bring more people or photos"


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
        errors.print(f"left out {left_out['photo']}: {left_out['reason']}", markup=False, soft_wrap=True)
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
        **({"": _NOT_JUDGED} if result.verdict == "not judged" else {}),
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
