"""Looking into a home folder: one that is not there, one whose database is damaged, one where little has happened."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from components.core.errors import InputError
from pipelines.home import Home

Photoshoot = Callable[..., tuple[int, dict[str, Any]]]
LOOKING = (("runs",), ("versions",), ("history",), ("promote", "1"), ("rollback",))


@pytest.fixture
def photoshoot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Photoshoot:
    """photoshoot(*arguments) -> exit code, last line of --json."""
    from pipelines.cli import main

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["photoshoot", *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.mark.parametrize("command", [*LOOKING, ("compare",)], ids=lambda command: command[0])
def test_a_misspelt_home_is_said_and_not_made(command: tuple[str, ...], photoshoot: Photoshoot, tmp_path: Path) -> None:
    code, said = photoshoot(*command, "--home", str(tmp_path / "hmoe"))
    assert code == 2 and "no home folder here" in said["error"] and "hmoe" in said["error"]
    assert not (tmp_path / "hmoe").exists()


def test_a_home_need_not_be_there_where_a_server_keeps_everything(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError):
        Home.found(tmp_path / "new")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert Home.found(tmp_path / "new").tracking_uri == "http://127.0.0.1:1"


@pytest.mark.parametrize("command", LOOKING, ids=lambda command: command[0])
def test_a_damaged_database_is_one_line(command: tuple[str, ...], photoshoot: Photoshoot, tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"no database at all " * 100)
    code, said = photoshoot(*command, "--home", str(home.root))
    assert code == 3 and "mlflow.db" in said["error"] and "not a database" in said["error"]


def test_a_model_that_nobody_registered_has_no_history_and_one_never_promoted_an_empty_one(
        photoshoot: Photoshoot, tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    assert photoshoot("history", "--home", str(tmp_path), "--model-name", "nobody")[0] == 2
    client = mlflow.MlflowClient(home.tracking_uri)
    client.create_registered_model("photoshoot")
    client.create_model_version("photoshoot", str(tmp_path), await_creation_for=0)
    code, found = photoshoot("history", "--home", str(tmp_path))
    assert code == 0 and found["entries"] == [] and found["champion"] is None
