"""The shortcut into MLflow's SQLite file says what MLflow says, or nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from components.core.errors import DataError, InputError, MachineError
from components.core.record import registry_file
from components.core.record.registry import Versions
from components.core.record.registry_file import SCHEMA, lookup

NAME = "it's a model"  # a quote, for the SQL


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three versions in a folder with a space: by path, by file: address, and on a bucket."""
    root = tmp_path_factory.mktemp("a store")
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    client.create_registered_model(NAME)
    client.create_registered_model("other")
    for number, folder in enumerate(("one", "two"), 1):
        (root / folder / "artifacts").mkdir(parents=True)
        (root / folder / "artifacts" / "preprocess.json").write_text(str(number))
    run = client.create_run("0").info.run_id
    for source in (str(root / "one"), (root / "two").as_uri(), "gs://bucket/three"):
        client.create_model_version(NAME, source, run_id=run, tags={"verdict": "passed", "n": source[-3:]},
                                    await_creation_for=0)
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_registered_model_alias(NAME, "far", "3")
    return root


@pytest.fixture
def uri(filled: Path, tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").write_bytes((filled / "mlflow.db").read_bytes())
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("version", ["1", "2", "champion"])
def test_it_says_what_mlflow_says(uri: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions(NAME, uri)
    quick = versions.get(version)
    assert "_client" not in vars(versions)  # nobody asked MLflow
    with versions.files(quick) as folder:
        assert (folder / "preprocess.json").read_text() == quick.number
    assert "_client" not in vars(versions)
    monkeypatch.setattr("components.core.record.registry.lookup", lambda *_: None)
    assert versions.get(version) == quick and quick.tags["verdict"] == "passed" and quick.run_id and quick.created
    with versions.files(quick) as copied:
        assert (copied / "preprocess.json").read_text() == quick.number and copied != folder


def test_an_alias_that_moved_and_a_version_that_went_are_seen_at_once(uri: str) -> None:
    client = mlflow.MlflowClient(uri)
    client.set_registered_model_alias(NAME, "champion", "1")
    assert Versions(NAME, uri).get("champion").number == "1"
    client.delete_model_version(NAME, "1")
    assert lookup(uri, NAME, "1") is None and lookup(uri, NAME, "champion") is None
    with pytest.raises(InputError, match="no version 1 of"):
        Versions(NAME, uri).get("1")


def test_what_it_does_not_know_is_left_to_mlflow(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookup(uri, NAME, "champion")
    for name, version in ((NAME, "far"), (NAME, "latest"), (NAME, "nobody"), (NAME, "9"), (NAME, "²"), ("other", "1")):
        assert lookup(uri, name, version) is None
    for elsewhere in ("http://127.0.0.1:1", "postgresql+psycopg://u:p@127.0.0.1/db", "sqlite://", "sqlite:///",
                      f"{uri}?timeout=1", f"sqlite:///{tmp_path}/absent.db", f"sqlite:///{tmp_path}"):
        assert lookup(elsewhere, NAME, "champion") is None
    assert not (tmp_path / "absent.db").exists()
    for variable in ("MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE", "MLFLOW_ENABLE_WORKSPACES"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "true")
            assert lookup(uri, NAME, "champion") is None
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'a-later-one'")
    assert lookup(uri, NAME, "champion") is None


def test_the_tables_are_those_of_the_mlflow_that_is_installed(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "mlflow.db")) as database:
        found = database.execute("SELECT version_num FROM alembic_version").fetchall()
    assert found == [(SCHEMA,)], f"see whether {registry_file.__file__} still reads the tables rightly"


def test_files_that_are_gone_and_a_file_that_is_no_database_are_told_as_ever(uri: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(uri)
    client.create_model_version(NAME, str(tmp_path / "gone"), await_creation_for=0)
    versions = Versions(NAME, uri)
    with pytest.raises(DataError, match="files of version 4 of"), versions.files(versions.get("4")):
        pass
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(MachineError, match="MLflow cannot be used"):
        Versions(NAME, f"sqlite:///{tmp_path}/text.db").get("champion")


def test_a_relative_address_is_one_from_here(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = lookup("sqlite:///mlflow.db", NAME, "champion")
    assert found and found.number == "2" and found.folder.name == "two"
