"""Looking into a home folder: one that is not there, one whose database is damaged, one where little has happened."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import InputError, MachineError
from pipelines.home.folder import Home
from pipelines.home.moved import Places

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


@contextmanager
def _nobody() -> Iterator[None]:
    """As somebody who may not do everything."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("mode", "below"), [(0o555, ""), (0o000, "home")], ids=["read-only", "in a closed folder"])
@pytest.mark.parametrize("open_home", [Home.at, Home.found])
def test_a_home_that_may_not_be_written_says_so(open_home: Callable[[Path], Home], mode: int, below: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other accounts
        place = Path(folder) / "home"
        Home.at(place / below)
        Path(folder).chmod(0o755)
        place.chmod(mode)
        with _nobody(), pytest.raises(MachineError, match=f"{place}.*permission denied"):
            open_home(place / below)
        place.chmod(0o755)


@pytest.mark.parametrize("name", ["a?b", "a%20b"])
def test_a_name_that_is_no_address_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rename the folder"):
        Home.at(tmp_path / name)
    assert not (tmp_path / name).exists()


PLACES = ["/a", "/a/b", "/a/b/c", "/ab", "/a b", "/é"]


@given(st.sets(st.sampled_from(PLACES)), st.sampled_from(PLACES), st.sampled_from(PLACES),
       st.sampled_from(["", "/runs", "/mlflow-artifacts/x y", "x"]))
def test_a_path_moves_with_its_home_once(old: set[str], now: str, place: str, below: str) -> None:
    places, path = Places(old, now), place + below
    moved = places.moved(path)
    assert places.moved(moved) == moved
    homes = [home for home in {*old, now} if path == home or path.startswith(f"{home}/")]
    assert moved == (now + path[len(max(homes, key=len)):] if homes else path)
    source = json.dumps({"uri": path, "other": path})
    assert json.loads(places.moved(source)) == {"uri": moved, "other": path}
    said = f"it was in {path}"
    assert places.moved(said) == said
    uri = Path(path).as_uri()
    assert places.moved(uri) == Path(moved).as_uri()
