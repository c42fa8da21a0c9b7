"""The record and the studies: SQLite files, a real MLflow server over HTTP, a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from mlflow.tracking import MlflowClient
from servers import mlflow_server, silent_port

from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.stores import mlflow_store, shown, studies


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server has: a database and artifacts."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """A real MLflow server that keeps artifacts itself."""
    with mlflow_server(folder) as running:
        yield running.uri


def _kept(uri: str) -> tuple[list[str], list[dict[str, str]]]:
    client = MlflowClient(uri)
    return [model.name for model in client.search_registered_models()], [e.tags for e in client.search_experiments()]


def _levels(findings: list[Finding]) -> dict[str, Level]:
    return {one.what: one.level for one in findings}


def test_a_server_is_written_to_and_left_as_it_was(server: str, folder: Path) -> None:
    MlflowClient(server).create_experiment("photoshoot")
    before = _kept(server)
    assert _levels(mlflow_store(server, "photoshoot")) == {
        "clock against MLflow": Level.OK, "MLflow": Level.OK, "MLflow's artifacts": Level.OK}
    assert _kept(server) == before and list((folder / "artifacts").iterdir()) == []


def test_a_server_that_is_not_there_is_told_at_once(server: str) -> None:
    with silent_port() as port:
        (found,) = mlflow_store(f"http://127.0.0.1:{port}", "photoshoot")
    assert found.level == Level.PROBLEM and "does not answer" in found.found
    (found,) = mlflow_store(f"{server}/nowhere", "photoshoot")
    assert found.level == Level.PROBLEM and "answers 404" in found.found


def test_an_artifact_store_that_cannot_be_written_is_named(server: str, folder: Path) -> None:
    store = folder / "artifacts"
    store.mkdir(exist_ok=True)
    there = store.rename(folder / "away")
    store.write_text("a file where the folder should be")
    try:
        found = mlflow_store(server, "photoshoot")
    finally:
        store.unlink()
        there.rename(store)
    assert _levels(found)["MLflow"] == Level.OK and _levels(found)["MLflow's artifacts"] == Level.PROBLEM


def test_a_file_that_is_no_database_and_one_to_be_made(tmp_path: Path) -> None:
    (found,) = mlflow_store(f"sqlite:///{tmp_path}/new.db", "photoshoot")
    assert found.level == Level.OK and list(tmp_path.iterdir()) == []
    (tmp_path / "torn.db").write_bytes(b"not a database" * 100)
    (found,) = mlflow_store(f"sqlite:///{tmp_path}/torn.db", "photoshoot")
    assert found.level == Level.PROBLEM and "file is not a database" in found.found


def test_studies_are_only_asked_for_where_there_will_be_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "postgresql+psycopg://me:hunter2@127.0.0.1:1/none"
    assert _levels(studies(broken, enabled=False)) == {"studies": Level.OK}
    (found,) = studies(broken, enabled=True)
    assert found.level == Level.PROBLEM and "hunter2" not in repr(found)
    monkeypatch.setenv("PHOTOSHOOT_STUDIES", broken)
    assert _levels(studies(broken, enabled=False)) == {"studies": Level.PROBLEM}


def test_studies_are_written_and_left_as_they_were(tmp_path: Path, postgres: Callable[[str], str]) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    assert _levels(studies(url, enabled=True)) == {"studies": Level.OK} and not list(tmp_path.iterdir())
    optuna.create_study(study_name="mine", storage=url)
    for place, kept in ((url, ["mine"]), (postgres("doctor"), [])):
        (found,) = studies(place, enabled=True)
        assert found.level == Level.OK and "reads and writes" in found.found
        assert optuna.get_all_study_names(place) == kept


def test_addresses_are_shown_without_who_one_is() -> None:
    assert shown("postgresql+psycopg://me:hunter2@db:5432/x?password=hunter2") == "postgresql+psycopg://db:5432/x"
    assert shown("https://me:hunter2@mlflow.example") == "https://mlflow.example"
