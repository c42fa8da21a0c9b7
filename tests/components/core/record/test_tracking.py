from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import mlflow_server

from components.core.record import tracking
from components.core.record.recorder import NoRecord


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server over HTTP on SQLite."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running.uri


def test_a_step_records_as_a_child_and_puts_headlines_on_the_parent(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mlflow = tracking.client(server)
    experiment = mlflow.create_experiment("steps")
    parent = mlflow.create_run(experiment, run_name="run").info.run_id
    monkeypatch.setenv(tracking.TRACKING_URI, server)
    monkeypatch.setenv(tracking.PARENT_RUN_ID, parent)
    note = tmp_path / "note.txt"
    note.write_text("hello")

    with tracking.step_run("train") as recorder:
        recorder.params({"train": {"batch": 8, "weights": {"gan": 0.1}}})
        recorder.metrics({"loss": 0.5}, step=1)
        recorder.metrics({"loss": 0.25}, step=2)
        recorder.headline({"face_similarity": 0.8})
        recorder.image("samples", np.zeros((4, 4, 3), np.uint8), step=1)
        recorder.image("sheet", np.zeros((4, 4, 3), np.uint8))
        recorder.artifact(note, "notes")
        recorder.dataset("people", "/photos", "abc" * 30, "training")

    child = mlflow.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")[0]
    assert child.info.status == "FINISHED"
    assert child.data.params == {"train.batch": "8", "train.weights.gan": "0.1"}
    assert [m.value for m in mlflow.get_metric_history(child.info.run_id, "loss")] == [0.5, 0.25]
    assert mlflow.get_run(parent).data.metrics == {"face_similarity": 0.8}
    assert child.inputs.dataset_inputs[0].dataset.name == "people"
    names = {file.path for file in mlflow.list_artifacts(child.info.run_id)}
    assert {"images", "notes", "sheet.png"} <= names


def test_a_run_made_for_the_step_is_resumed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = tracking.client(server)
    experiment = mlflow.create_experiment("plugin")
    made = mlflow.create_run(experiment).info.run_id
    monkeypatch.setenv(tracking.TRACKING_URI, server)
    monkeypatch.setenv(tracking.RUN_ID, made)
    with tracking.step_run("evaluate") as recorder:
        recorder.metrics({"ssim": 1.0})
    assert mlflow.get_run(made).data.metrics["ssim"] == 1.0
    assert len(mlflow.search_runs([experiment])) == 1


def test_a_resumed_run_knows_how_far_it_was_told_and_keeps_its_parameters(
        server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.TRACKING_URI, server)
    with tracking.step_run("train") as recorder:
        assert recorder.logged("loss/") == 0
        recorder.params({"device": "cuda"})
        recorder.metrics({"loss/l1": 1.0}, 20)
        recorder.metrics({"loss/gan": 1.0, "speed": 2.0}, 40)
        run_id = recorder.run_id  # type: ignore[attr-defined]
    with tracking.step_run("train", run_id=run_id) as recorder:
        recorder.params({"device": "cpu", "host": "another"})
        assert (recorder.logged("loss/l1"), recorder.logged("loss/"), recorder.logged("score/")) == (20, 40, 0)
    assert tracking.client(server).get_run(run_id).data.params == {"device": "cuda", "host": "another"}


def test_a_step_that_fails_leaves_a_failed_run(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = tracking.client(server)
    experiment = mlflow.create_experiment("failing")
    monkeypatch.setenv(tracking.TRACKING_URI, server)
    monkeypatch.setenv(tracking.EXPERIMENT_ID, experiment)
    with pytest.raises(RuntimeError), tracking.step_run("train"):
        raise RuntimeError
    assert [run.info.status for run in mlflow.search_runs([experiment])] == ["FAILED"]


def test_without_tracking_nothing_is_recorded() -> None:
    with tracking.step_run("train") as recorder:
        assert isinstance(recorder, NoRecord)


def test_flatten() -> None:
    assert tracking.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": None}) == {"a.b": 1, "a.c.d": 2, "e": None}


def test_files_of_runs_lie_beside_their_database_wherever_the_command_is_called(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv(tracking.TRACKING_URI, f"sqlite:///{there / 'record.db'}")
    (tmp_path / "a.txt").write_text("a")
    with tracking.step_run("train") as recorder:
        recorder.artifact(tmp_path / "a.txt")
    assert not list(here.iterdir())
    assert sorted(path.name for path in there.iterdir()) == ["mlflow-artifacts", "record.db"]
    assert len(list(there.rglob("a.txt"))) == 1
    monkeypatch.setenv(tracking.TRACKING_URI, "sqlite:///record.db")  # by a relative path
    with tracking.step_run("train") as recorder:
        recorder.artifact(tmp_path / "a.txt")
    assert sorted(path.name for path in here.iterdir()) == ["mlflow-artifacts", "record.db"]


def test_a_database_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow cannot use one whose tables it was killed at making."""
    uri = f"sqlite:///{tmp_path / 'record.db'}"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("components.core.atomic._sync", killed)
        tracking.client(uri)
    assert not list(tmp_path.iterdir())
    assert tracking.client(uri).search_experiments()
