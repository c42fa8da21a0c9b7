"""The verbs `run` and `tune`: one pipeline run on this machine with a result that scripts can read."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.core.artifacts.evaluation import METRICS, PAIRS, REPORT, SAMPLES, SHEET, read_metrics
from components.core.artifacts.files import SUMMARY, read_summary
from components.core.artifacts.model import CURVES
from components.core.atomic import atomic_folder, atomic_path
from components.core.errors import SettingsError
from components.core.record import tracking
from components.core.settings import Settings
from pipelines.containers.execution import Limits
from pipelines.home.folder import Home
from pipelines.home.starting import with_start
from pipelines.local.execution import TRAINING, TUNING
from pipelines.local.session import LocalRun, local_run
from pipelines.results.files import EXAMPLE, RECORDS, RESULT_FILE, RunResult
from pipelines.steps import steps_of_run


@dataclass(frozen=True)
class TuningResult:
    """What `photoshoot tune --json` prints as its last line; see `components.tune.select.SelectSummary`."""

    status: str
    run_id: str
    mlflow_run_id: str
    study: str
    winner: str
    weights: dict[str, float]
    score: float
    parts: dict[str, float]
    gained: dict[str, float | None]
    trials: dict[str, int]
    device_seconds: float
    folder: str
    """The study's table and plots."""
    seconds: float
    link: str

    def to_json(self) -> str:
        """One object on one line."""
        return json.dumps(asdict(self))


def run_pipeline(settings: Settings, photos: Path | None, home: Home, limits: Limits | None = None) -> RunResult:
    """Run the whole pipeline, with `limits` each step in its container.

    Raises PhotoshootError when a step fails (the MLflow run is then FAILED), `SettingsError` for several machines.
    """
    if settings.train.nodes > 1:
        raise SettingsError(f"train.nodes={settings.train.nodes}: this is one machine",
                            remedy="--backend kubeflow, or train.nodes=1")
    settings = _with_start(settings, home)
    steps = steps_of_run(synthetic=photos is None, tuned=settings.tune.enabled)
    with local_run(settings, photos, home, steps, limits) as run:
        artifacts = run.execute(TRAINING)
        _keep_records(artifacts, run.folder)
        _keep_example(artifacts, run.folder)
        result = _result(run, artifacts)
        _record(run, result)
    return result


def run_tuning(settings: Settings, photos: Path | None, home: Home) -> TuningResult:
    """Run the pipeline up to the loss weights; raises PhotoshootError when a step fails."""
    settings = _with_start(settings.with_changes(["tune.enabled=true"]), home)
    steps = steps_of_run(synthetic=photos is None, tuned=True)
    with local_run(settings, photos, home, steps[: steps.index("tune") + 1]) as run:
        artifacts = run.execute(TUNING)
        found = _read(artifacts["weights"] / SUMMARY)
        shutil.copytree(artifacts["weights"], run.folder / "study")
        result = TuningResult(
            status="succeeded", run_id=run.folder.name, mlflow_run_id=run.parent, folder=str(run.folder / "study"),
            seconds=run.seconds, link=run.link, **{key: found[key] for key in (
                "study", "winner", "weights", "score", "parts", "gained", "trials", "device_seconds")},
        )
        run.mlflow.set_tag(run.parent, "photoshoot.study", result.study)
    return result


def _with_start(settings: Settings, home: Home) -> Settings:
    return with_start(settings, home.tracking_uri, home.state / "starts")


def _result(run: LocalRun, artifacts: dict[str, Path]) -> RunResult:
    people = _read(artifacts["people"] / SUMMARY)
    version = _read(artifacts["version"] / SUMMARY)
    evaluation = artifacts["evaluation"]
    # The artifacts may be cleaned up with the cache; what a person was shown stays with the run. The version's report
    # is the evaluation's with the verdict in it.
    shutil.copyfile(artifacts["version"] / REPORT, run.folder / REPORT)
    shutil.copyfile(evaluation / SHEET, run.folder / SHEET)
    cost = run.cost()
    return RunResult(
        status="succeeded",
        run_id=run.folder.name,
        mlflow_run_id=run.parent,
        model_version=str(version["model_version"]),
        verdict=version["outcome"],
        verdict_summary=version["verdict"],
        metrics=read_metrics(evaluation)["metrics"],
        people={"accepted": people["accepted"], "rejected": people["rejected"]},
        report=str(run.folder / REPORT),
        contact_sheet=str(run.folder / SHEET),
        steps=dict(run.display.states),
        seconds=run.seconds,
        aliases=list(version["aliases"]),
        champion=version["champion"],
        gate=list(version["lines"]),
        device_seconds=cost.by_kind,
        cost=str(cost),
        link=run.link,
    )


def _keep_records(artifacts: dict[str, Path], folder: Path) -> None:
    """Copy what runs are compared by into the run's own folder: artifacts may be cleaned up with the cache."""
    with atomic_folder(folder / RECORDS) as kept:
        for name in (METRICS, PAIRS, SAMPLES):
            source = artifacts["evaluation"] / name
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, kept / name)
        if (artifacts["model"] / CURVES).is_file():  # a model that was trained elsewhere may have none
            shutil.copyfile(artifacts["model"] / CURVES, kept / CURVES)


def _keep_example(artifacts: dict[str, Path], folder: Path) -> None:
    """Keep the pair that registration tried the version on: pictures for the first `photoshoot shoot`."""
    from components.register.evidence import VersionEvidence

    model, evaluation, people, identities = (artifacts[name] for name in (
        "model", "evaluation", "people", "identities"))
    pictures = VersionEvidence.open(model, evaluation, people, identities, None).example()
    with atomic_folder(folder / EXAMPLE) as kept:
        for name, column in (("photo", "source_photo"), ("iuv", "source_pose"), ("pose", "target_pose")):
            (kept / f"{name}.png").write_bytes(pictures[column])


def _record(run: LocalRun, result: RunResult) -> None:
    """Put the result on the parent run too: steps that were reused recorded theirs with an earlier run."""
    mlflow, parent, folder = run.mlflow, run.parent, run.folder
    with atomic_path(folder / RESULT_FILE) as partial:
        # Beside its files, and moved with them: by name.
        kept = replace(result, report=REPORT, contact_sheet=SHEET)
        partial.write_text(kept.to_json(), encoding="utf-8")
    recorder = tracking.MlflowRecorder(mlflow, parent)
    metrics = {name: entry["value"] for name, entry in result.metrics.items() if entry.get("value") is not None}
    recorder.metrics(metrics | {tracking.DEVICE_SECONDS: sum(result.device_seconds.values())})
    for name in (REPORT, SHEET, RESULT_FILE):
        recorder.artifact(folder / name)
    recorder.artifact(folder / RECORDS, RECORDS)
    mlflow.set_tag(parent, "photoshoot.version", result.model_version)
    mlflow.set_tag(parent, "photoshoot.verdict", result.verdict)


def _read(path: Path) -> dict[str, Any]:
    return read_summary(path)
