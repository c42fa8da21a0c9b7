"""What can be done now: commands that work as they stand, with the version and the home that there are."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.results.files import EXAMPLE, RunResult

_DEFAULT_NAME = "photoshoot"


@dataclass(frozen=True)
class Next:
    """A command, to be copied, and what it does."""

    command: str
    does: str


def after_run(result: RunResult, model_name: str, home: Path, default_home: Path) -> list[Next]:
    """Three commands for the end of a run in `home`, whatever its verdict: the version it made is looked at, used, held
    against others, and promoted if that is all that it lacks."""
    where = [] if home == default_home else ["--home", str(home)]
    named = [] if model_name == _DEFAULT_NAME else ["--model-name", model_name]
    number, is_champion = result.model_version, result.champion == result.model_version
    example = home / "runs" / result.run_id / EXAMPLE
    pictures: list[str | Path] = ["--photo", example / "photo.png", "--iuv", example / "iuv.png",
                                  "--pose", example / "pose.png", "--out", example.with_name("shots")]
    which = [] if is_champion else ["--version", number]
    shoot = _command("shoot", *which, *pictures, *named, *where,
                     does=f"a picture by {'the champion' if is_champion else f'version {number}'}, of these or your "
                          "own photos")
    compare = _command("compare", *where, does="its metrics and pictures beside those of your other runs")
    if result.verdict == "passed" and not is_champion:
        promote = _command("promote", number, *named, *where, does="make it the champion, which is what is served")
        return [shoot, compare, promote]
    return [_command("ui", *where, does="MLflow's pages: curves, sample grids, versions"), shoot, compare]


def after_kubeflow_run(recorded: Mapping[str, Any], version: Mapping[str, str] | None) -> list[Next]:
    """Commands for the end of a run on Kubeflow: `recorded` is what MLflow has of it, `version` what it registered
    (name, number, verdict, champion), where that is known."""
    if not recorded:
        return [_command("runs", "--kubeflow",
                         does="Kubeflow's runs; with MLFLOW_TRACKING_URI set, `photoshoot versions` lists versions")]
    named = [] if version is None or version["name"] == _DEFAULT_NAME else ["--model-name", version["name"]]
    found = [_command("versions", *named, does="the registered versions, with the gate's verdicts"),
             _command("runs", does="duration, cost and metrics of the runs"),
             _command("ui", does="where MLflow's pages are")]
    if version and version["verdict"] == "passed" and version["champion"] != version["number"]:
        found[1] = _command("promote", version["number"], *named, does="make it the champion, which is what is served")
    return found


def after_submission(run_id: str) -> list[Next]:
    """Commands for a run on Kubeflow that nobody follows."""
    return [_command("follow", run_id, does="follow it to its end"), _command("runs", "--kubeflow", does="how it is"),
            _command("cancel", run_id, does="end it")]


def after_vertex_submission(name: str) -> list[Next]:
    """Commands for a run on Vertex AI that nobody follows; `name` is the job's, with project and region."""
    return [_command("follow", name, does="follow it to its end"), _command("runs", "--vertex", does="how it is"),
            _command("cancel", name, does="end it")]


def _command(*parts: str | Path, does: str) -> Next:
    return Next(shlex.join([*program(), *map(str, parts)]), does)


def program() -> list[str]:
    """How this program is called from here: by its name where that is enough, else as it was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [_from_here(Path(sys.executable)), "-m", "pipelines.cli"]
    found = shutil.which("photoshoot")
    if called.name != "photoshoot" or not called.is_file() or (found and Path(found).samefile(called)):
        return ["photoshoot"]
    return [_from_here(called)]


def _from_here(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)
