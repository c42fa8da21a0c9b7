"""The MLflow run that belongs to a run on Kubeflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.presets import preset
from components.core.record import tracking
from pipelines.kubeflow import record
from pipelines.results.runs import ERROR_TAG, RUN_TAG


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return tracking.client()


def test_the_run_is_begun_failed_taken_up_again_and_ended(mlflow) -> None:  # type: ignore[no-untyped-def]
    settings = preset("smoke").with_changes(["costs.prices={cpu: 2.0}"])
    parent = record.begin(settings, "mine", "gs://b/p")
    record.name_run(parent, "kfp-1", "http://here")
    tags = {tracking.STEP_TAG: "train", "mlflow.parentRunId": parent, tracking.DEVICE_KIND: "cpu"}
    experiment = mlflow.get_run(parent).info.experiment_id
    step = mlflow.create_run(experiment, tags=tags)
    mlflow.log_metric(step.info.run_id, tracking.DEVICE_SECONDS, 1800.0)
    found = record.end("kfp-1", "FAILED", "train failed")
    assert found == {"mlflow_run_id": parent, "device_seconds": {"cpu": found["device_seconds"]["cpu"]},
                     "cost": found["cost"]}
    run = mlflow.get_run(parent)
    assert run.info.status == "FAILED" and run.data.tags[ERROR_TAG] == "train failed"
    assert run.data.tags[RUN_TAG] == "mine" and run.data.tags["photoshoot.photos"] == "gs://b/p"
    assert mlflow.get_run(step.info.run_id).info.status == "KILLED"  # its pod could not say so
    record.again("kfp-1")
    assert mlflow.get_run(parent).info.status == "RUNNING"
    mlflow.log_metric(step.info.run_id, tracking.DEVICE_SECONDS, 1800.0)
    ended = record.end("kfp-1", "SUCCEEDED")
    assert ended["device_seconds"] == {"cpu": 1800.0} and ended["cost"].startswith("1.00 ")
    run = mlflow.get_run(parent)
    assert run.info.status == "FINISHED" and not run.data.tags[ERROR_TAG]
    assert run.data.metrics[tracking.DEVICE_SECONDS] == 1800.0


def test_a_submission_that_fails_leaves_no_run_waiting(mlflow) -> None:  # type: ignore[no-untyped-def]
    parent = record.begin(preset("smoke"), "mine", None)
    record.fail(parent, "refused")
    assert mlflow.get_run(parent).info.status == "FAILED"


def test_without_a_tracking_server_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert record.begin(preset("smoke"), "mine", None) == ""
    record.name_run("", "kfp-1", "link")
    assert record.end("kfp-1", "SUCCEEDED") == {}
