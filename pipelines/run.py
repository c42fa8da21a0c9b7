"""The verb `run`: one pipeline run on this machine, recorded in MLflow, with a result that scripts can read."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import tracking
from components.core.atomic import atomic_folder, atomic_path
from components.core.errors import PhotoshootError
from components.core.settings import Settings
from components.core.step import SUMMARY_FILE
from components.core.storage import address
from pipelines.display import PipelineDisplay
from pipelines.home import Home
from pipelines.local import photos_here, run_steps
from pipelines.runs import ERROR_TAG, HOME_TAG, RUN_TAG, run_cost, settle, settle_dead
from pipelines.steps import steps_of_run
from pipelines.ui import Links

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RESULT_FILE = "result.json"
SETTINGS_FILE = "settings.yaml"
REPORT, SHEET = "report.html", "contact_sheet.png"
EVIDENCE = "evaluation"
"""Folder of a run with what `compare` needs: figures, figures of each pair, the sheet's rows, loss curves."""
_EVIDENCE = ("metrics.json", "pairs.jsonl", "samples")
_CURVES = "curves.json"


@dataclass(frozen=True)
class RunResult:
    """What `photoshoot run --json` prints as its last line."""

    status: str
    run_id: str
    mlflow_run_id: str
    model_version: str
    verdict: str
    metrics: dict[str, Any]
    people: dict[str, Any]
    report: str
    contact_sheet: str
    steps: dict[str, str]
    seconds: float
    aliases: list[str] = field(default_factory=list)
    gate: list[dict[str, Any]] = field(default_factory=list)
    device_seconds: dict[str, float] = field(default_factory=dict)
    """By kind of device, of the steps that ran (reused ones cost nothing)."""
    cost: str = ""
    """In words, with the price where the settings have one."""
    link: str = ""
    """To the run's page in the MLflow UI."""

    def to_json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))


def run_pipeline(settings: Settings, photos: Path | None, home: Home) -> RunResult:
    """Run the whole pipeline; raises PhotoshootError when a step fails (the MLflow run is then FAILED)."""
    started = time.monotonic()
    with home.lock():
        mlflow = tracking.client(home.tracking_uri)
        settle_dead(mlflow, home)
        folder = home.new_run()
        with atomic_path(folder / SETTINGS_FILE) as partial:
            partial.write_text(settings.to_yaml(), encoding="utf-8")
        with home.alive(folder):
            return _run(mlflow, settings, photos, home, folder, started)


def _run(mlflow: MlflowClient, settings: Settings, photos: Path | None, home: Home, folder: Path,
         started: float) -> RunResult:
    parent = _start_parent(mlflow, settings, photos, home, folder)
    status = "FAILED"
    display = PipelineDisplay(steps_of_run(synthetic=photos is None, tuned=settings.tune.enabled))
    try:
        here = str(photos_here(photos, home)) if photos else None
        with display:
            artifacts = run_steps(settings, here, home, folder, parent, display.event)
            display.finish()
        _keep_evidence(artifacts, folder)
        result = _result(folder, parent, artifacts, display, time.monotonic() - started)
        result = _priced(mlflow, result, settings, home)
        _record(mlflow, parent, result, folder)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except PhotoshootError as error:
        mlflow.set_tag(parent, ERROR_TAG, str(error))
        raise
    finally:
        settle(mlflow, parent, status, int(time.time() * 1000))
    return result


def _start_parent(mlflow: MlflowClient, settings: Settings, photos: Path | None, home: Home, folder: Path) -> str:
    """Start the MLflow run whose children the steps become."""
    found = mlflow.get_experiment_by_name(settings.experiment)
    if found is not None:
        experiment = found.experiment_id
    else:
        # On a tracking server the server chooses where artifacts go.
        local = str(home.mlflow_artifacts) if home.tracking_uri.startswith("sqlite:") else None
        experiment = mlflow.create_experiment(settings.experiment, artifact_location=local)
    tags = {
        RUN_TAG: folder.name,
        HOME_TAG: str(home.root),
        "photoshoot.preset": settings.preset,
        "photoshoot.photos": address(photos) if photos else "synthetic",
    }
    run_id = str(mlflow.create_run(experiment, run_name=folder.name, tags=tags).info.run_id)
    recorder = tracking.MlflowRecorder(mlflow, run_id)
    recorder.params(settings.to_tree())
    recorder.artifact(folder / SETTINGS_FILE)
    return run_id


def _result(
    folder: Path, parent: str, artifacts: dict[str, Path], display: PipelineDisplay, seconds: float
) -> RunResult:
    people = _read(artifacts["people"] / SUMMARY_FILE)
    version = _read(artifacts["version"] / SUMMARY_FILE)
    evaluation = artifacts["evaluation"]
    # The artifacts may be cleaned up with the cache; what a person was shown stays with the run. The version's report
    # is the evaluation's with the verdict in it.
    shutil.copyfile(artifacts["version"] / REPORT, folder / REPORT)
    shutil.copyfile(evaluation / SHEET, folder / SHEET)
    return RunResult(
        status="succeeded",
        run_id=folder.name,
        mlflow_run_id=parent,
        model_version=str(version["model_version"]),
        verdict="passed" if version["passed"] else "failed",
        metrics=_read(evaluation / "metrics.json")["metrics"],
        people={"accepted": people["accepted"], "rejected": people["rejected"]},
        report=str(folder / REPORT),
        contact_sheet=str(folder / SHEET),
        steps=dict(display.states),
        seconds=round(seconds, 1),
        aliases=list(version["aliases"]),
        gate=list(version["lines"]),
    )


def _keep_evidence(artifacts: dict[str, Path], folder: Path) -> None:
    """Copy what runs are compared by into the run's own folder: artifacts may be cleaned up with the cache."""
    with atomic_folder(folder / EVIDENCE) as kept:
        for name in _EVIDENCE:
            source = artifacts["evaluation"] / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, kept / name)
        if (artifacts["model"] / _CURVES).is_file():  # a model that was trained elsewhere may have none
            shutil.copyfile(artifacts["model"] / _CURVES, kept / _CURVES)


def _priced(mlflow: MlflowClient, result: RunResult, settings: Settings, home: Home) -> RunResult:
    cost = run_cost(mlflow, result.mlflow_run_id, settings.costs)
    experiment = mlflow.get_run(result.mlflow_run_id).info.experiment_id
    return replace(result, device_seconds=cost.by_kind, cost=str(cost),
                   link=Links.of(home).run(experiment, result.mlflow_run_id))


def _record(mlflow: MlflowClient, parent: str, result: RunResult, folder: Path) -> None:
    """Put the result on the parent run too: steps that were reused recorded theirs with an earlier run."""
    with atomic_path(folder / RESULT_FILE) as partial:
        partial.write_text(result.to_json(), encoding="utf-8")
    recorder = tracking.MlflowRecorder(mlflow, parent)
    figures = {name: entry["value"] for name, entry in result.metrics.items() if entry.get("value") is not None}
    recorder.metrics(figures | {tracking.DEVICE_SECONDS: sum(result.device_seconds.values())})
    for name in (REPORT, SHEET, RESULT_FILE):
        recorder.artifact(folder / name)
    recorder.artifact(folder / EVIDENCE, EVIDENCE)
    mlflow.set_tag(parent, "photoshoot.version", result.model_version)
    mlflow.set_tag(parent, "photoshoot.verdict", result.verdict)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
