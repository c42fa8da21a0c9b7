"""The verb `run`: one pipeline run on this machine, recorded in MLflow, with a result that scripts can read."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import tracking
from components.core.atomic import atomic_path
from components.core.settings import Settings
from components.core.step import SUMMARY_FILE
from pipelines.display import PipelineDisplay
from pipelines.home import Home
from pipelines.local import run_steps
from pipelines.steps import STEPS

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RESULT_FILE = "result.json"
SETTINGS_FILE = "settings.yaml"
REPORT, SHEET = "report.html", "contact_sheet.png"


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

    def to_json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))


def run_pipeline(settings: Settings, photos: Path | None, home: Home) -> RunResult:
    """Run the whole pipeline; raises PhotoshootError when a step fails (the MLflow run is then FAILED)."""
    started = time.monotonic()
    with home.lock():
        folder = home.new_run()
        with atomic_path(folder / SETTINGS_FILE) as partial:
            partial.write_text(settings.to_yaml(), encoding="utf-8")
        mlflow = tracking.client(home.tracking_uri)
        parent = _start_parent(mlflow, settings, photos, home, folder)
        status = "FAILED"
        display = PipelineDisplay(STEPS if photos is None else STEPS[1:])
        try:
            with display:
                artifacts = run_steps(
                    settings, str(photos.absolute()) if photos else None, home, folder, parent, display.event
                )
                display.finish()
            result = _result(folder, parent, artifacts, display, time.monotonic() - started)
            _record(mlflow, parent, result, folder)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            mlflow.set_terminated(parent, status)
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
        "photoshoot.run": folder.name,
        "photoshoot.preset": settings.preset,
        "photoshoot.photos": str(photos) if photos else "synthetic",
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


def _record(mlflow: MlflowClient, parent: str, result: RunResult, folder: Path) -> None:
    """Put the result on the parent run too: steps that were reused recorded theirs with an earlier run."""
    with atomic_path(folder / RESULT_FILE) as partial:
        partial.write_text(result.to_json(), encoding="utf-8")
    recorder = tracking.MlflowRecorder(mlflow, parent)
    figures = {name: entry["value"] for name, entry in result.metrics.items() if entry.get("value") is not None}
    recorder.metrics(figures)
    for name in (REPORT, SHEET, RESULT_FILE):
        recorder.artifact(folder / name)
    mlflow.set_tag(parent, "photoshoot.version", result.model_version)
    mlflow.set_tag(parent, "photoshoot.verdict", result.verdict)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
