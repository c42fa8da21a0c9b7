"""A home folder that is renamed or copied: every command still finds every file, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from servers import Service, free_port, healthy, wait_for
from smoke import SMALL, run_pipeline

from components.core.errors import DataError, InputError, MachineError
from components.core.record import tracking
from pipelines.home import moved as moved_home
from pipelines.home.contents import contents
from pipelines.home.folder import Home
from pipelines.home.moved import Record, settle

pytestmark = pytest.mark.long

Run = tuple[Path, dict[str, Any]]


@pytest.fixture
def copied(smoke_run: Run, tmp_path: Path) -> Path:
    """A copy of the home with a run in it."""
    return Path(shutil.copytree(smoke_run[0], tmp_path / "home"))


@pytest.fixture
def old(copied: Path) -> Path:
    """A home as it was before homes had a record: KFP's own cache, results with absolute paths."""
    (copied / moved_home.FILE).unlink()
    for path in (copied / "cache").iterdir():
        path.write_text(path.read_text().replace(f'"{moved_home.HERE}/', f'"{copied}/'))
    for path in copied.glob("runs/*/result.json"):
        path.write_text(path.read_text().replace('"report.html"', f'"{path.parent}/report.html"'))
    _settled_by_hand(copied)
    return copied


def _settled_by_hand(root: Path) -> None:
    """Let the database's paths lead to `root`, as if all had been made there."""
    with sqlite3.connect(root / "mlflow.db") as database:
        (before,) = database.execute("SELECT value FROM tags WHERE key = 'photoshoot.home'").fetchone()
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("tags", "value"),
                              ("logged_models", "artifact_location"), ("model_versions", "storage_location"),
                              ("datasets", "dataset_source")):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (before, str(root)))


def _moved(home: Path) -> Path:
    """The home under another name; whoever still looks at the old one finds nothing."""
    number = int(home.name.rpartition("-")[2]) + 1 if "-" in home.name else 1
    return home.rename(home.with_name(f"home-{number}"))


def _mentions(root: Path, place: Path) -> list[str]:
    """Where the databases, the cache and the results still say `place`."""
    found = []
    for path in root.glob("*.db"):
        with sqlite3.connect(path) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for column in [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]:
                    hit = database.execute(f'SELECT "{column}" FROM "{table}" WHERE instr("{column}", ?)',
                                           (f"{place}/",)).fetchone()
                    found += [f"{table}.{column}: {hit[0]}"] if hit else []
    files = [*root.glob("runs/*/result.json")]
    return found + [str(path) for path in files if f"{place}/" in path.read_text()]


def _whole(root: Path, *before: Path) -> None:
    """All that the home points to is there and in it, and nothing speaks of where it was before."""
    found = contents(Home(root))
    assert found.references >= 7 and found.missing == found.outside == []
    assert [mention for place in before for mention in _mentions(root, place)] == []
    assert moved_home.read(root) == Record(str(root), moved_home.read(root).cached_as)  # type: ignore[union-attr]


@pytest.fixture
def photoshoot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """photoshoot(*arguments) -> last line of --json of a command that went well."""
    from pipelines.cli import main

    def run(*arguments: str | Path) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["photoshoot", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert not end.value.code, said
        return dict(json.loads(said.out.splitlines()[-1]))

    return run


@pytest.fixture
def spoilt(smoke_run: Run, tmp_path: Path) -> Iterator[Path]:
    """The home that the copy was made of, and in it nothing that anybody can read. Nobody touches it, either."""
    original = tmp_path / "original"
    shutil.copytree(smoke_run[0], original)
    Home.at(original)
    shutil.copytree(original, tmp_path / "home")
    for path in original.rglob("*"):
        if path.is_file():
            path.write_bytes(b"gone")
    before = _looks(original)
    yield original
    assert _looks(original) == before


def _looks(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}


def test_a_home_is_moved_between_every_two_commands(
        smoke_run: Run, spoilt: Path, photoshoot: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    home, run = tmp_path / "home", smoke_run[1]

    def elsewhere(*command: str | Path) -> dict[str, Any]:
        nonlocal home
        home = _moved(home)
        return photoshoot(*command, "--home", home)

    version = elsewhere("versions")["versions"][0]
    assert version["version"] == run["model_version"] and version["aliases"] == ["challenger"]
    compared = elsewhere("compare", run["run_id"], "@challenger")
    assert compared["runs"] == [run["run_id"]] * 2 and Path(compared["page"]).is_relative_to(home)

    photos = next(smoke_run[0].glob("artifacts/*/synthesize/photos"))
    photo = min((photos / "photos").iterdir())
    pose = photos / "iuv" / f"{photo.stem}.png"
    elsewhere("shoot", "--photo", photo, "--iuv", pose, "--pose", pose, "--out", tmp_path / "new", "--version", "1")
    assert (tmp_path / "new" / pose.name).is_file()
    # Each is tried by MLflow alone in a fresh process, in another working directory.
    assert elsewhere("promote", "1", "--force", "--reason", "try")["champion"] == "1"
    _registered_again(home)
    assert elsewhere("promote", "2", "--force", "--reason", "try")["champion"] == "2"
    assert elsewhere("rollback")["champion"] == "1"
    assert len(elsewhere("history")["entries"]) == 3
    assert [row["status"] for row in elsewhere("runs")["runs"]] == ["succeeded"]

    found = elsewhere("home")
    assert found["missing"] == found["outside"] == [] and found["sizes"]["artifacts"] > 1e6
    _whole(home, spoilt, *(home.with_name(f"home-{number}") for number in range(1, int(home.name.rpartition("-")[2]))))


def test_in_a_moved_home_the_ui_serves_files_and_a_run_reuses_every_step(
        smoke_run: Run, spoilt: Path, tmp_path: Path) -> None:
    home = _moved(tmp_path / "home")
    _serves(home, smoke_run[1], tmp_path)
    home = _moved(home)
    code, again, log = run_pipeline(home)
    assert code == 0, log
    assert [step for step, state in again["steps"].items() if state != "reused"] == ["challenge", "register"]
    assert again["model_version"] == "1"
    _whole(home, spoilt, tmp_path / "home", tmp_path / "home-1")


def _serves(home: Path, run: dict[str, Any], folder: Path) -> None:
    """The MLflow UI hands out a run's file."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "pipelines.cli", "ui", "--home", str(home), "--port", str(port)]
    with (Service(command, lambda: healthy(url), folder, end=signal.SIGINT),
          urllib.request.urlopen(f"{url}/get-artifact?path=result.json&run_uuid={run['mlflow_run_id']}") as answer):
        assert json.load(answer)["run_id"] == run["run_id"]


def _registered_again(home: Path) -> None:
    """A second version, of the same files."""
    client = tracking.client(Home(home).tracking_uri)
    first = client.get_model_version("photoshoot", "1")
    client.create_model_version("photoshoot", client.get_model_version_download_uri("photoshoot", "1"), first.run_id)


def test_a_training_that_was_killed_goes_on_in_the_moved_home(copied: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "run", *SMALL, "--set", "train.steps=4000", "--set",
               "train.checkpoint_every=2", "--set", "train.seed=3", "--home"]
    known = set(copied.glob("state/*/step-*.json"))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def until(home: Path, happened: Callable[[], object]) -> None:
        process = subprocess.Popen([*command, str(home)], **quiet)
        try:
            wait_for(lambda: happened() or process.poll() is not None)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()
            wait_for(lambda: not _steps_alive(home))

    until(copied, lambda: len(set(copied.glob("state/*/step-*.json")) - known) > 1)
    (place,) = {path.parent.name for path in set(copied.glob("state/*/step-*.json")) - known}
    home = _moved(copied)
    reached = max(home.glob(f"state/{place}/step-*.json")).name
    until(home, lambda: max(home.glob(f"state/{place}/step-*.json")).name > reached)
    assert {path.name for path in home.glob("state/*") if path.name == place} == {place}
    log = max(home.glob("runs/*/events.jsonl")).read_text()
    started = [event for line in log.splitlines() if (event := json.loads(line)).get("state") == "started"]
    assert [event["step"] for event in started] == ["train"]
    assert not copied.exists()
    with sqlite3.connect(home / "mlflow.db") as database:  # the next command of the moved home ended the killed run
        killed = database.execute("SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
                                  "WHERE tags.key = 'photoshoot.run' AND status = 'KILLED'").fetchone()
    assert killed == (1,)


def _steps_alive(home: Path) -> bool:
    mark = f"{home}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "cmdline").read_bytes() and entry.name != str(os.getpid()):
                    return True
            except OSError:
                continue
    return False


KILLING = """
import os, signal, sys
from pathlib import Path
from pipelines.home import moved as moved_home
name, count, root = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
owner = moved_home.Places if name == "moved" else moved_home
plain, calls = getattr(owner, name), 0
def counted(*arguments):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*arguments)
setattr(owner, name, counted)
moved_home.settle(root)
"""


@pytest.mark.parametrize(("name", "count"), [
    ("write", 1), ("moved", 1), ("moved", 15), ("load", 1), ("load", 4), ("write", 2),
])
@pytest.mark.parametrize("kind", ["copied", "old"])
def test_a_repair_that_was_killed_is_finished_by_the_next(
        kind: str, name: str, count: int, request: pytest.FixtureRequest) -> None:
    first: Path = request.getfixturevalue(kind)
    Home.at(first) if kind == "copied" else None
    second = _moved(first)
    count += 5 if kind == "old" and name == "load" else 0  # finding out where it was reads the cache first
    done = subprocess.run([sys.executable, "-c", KILLING, name, str(count), str(second)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    third = _moved(second)
    assert settle(third) is not None
    _whole(third, first, second)
    assert settle(third) is None


def test_a_home_from_before_there_was_a_record_finds_out_where_it_was(
        old: Path, photoshoot: Callable[..., dict[str, Any]]) -> None:
    home = _moved(old)
    result = next(home.glob("runs/*/result.json"))
    assert photoshoot("versions", "--home", home)["versions"]
    _whole(home, old)
    assert Home(home).cached_as == str(old)
    assert json.loads(result.read_text())["report"] == str(result.parent / "report.html")
    home = _moved(home)
    Home.at(home)
    assert Home(home).cached_as == str(old)  # its keys do not change any more
    _whole(home, old)


def test_an_old_home_that_was_not_moved_only_gets_its_record(old: Path) -> None:
    before = (old / "mlflow.db").read_bytes()
    assert settle(old) is None
    assert moved_home.read(old) == Record(str(old), str(old))
    assert (old / "mlflow.db").read_bytes() == before


def test_commands_at_once_repair_once(copied: Path) -> None:
    Home.at(copied)
    home = _moved(copied)
    code = ("import sys; from pathlib import Path; from pipelines.home.moved import settle; "
            "print(settle(Path(sys.argv[1])))")
    commands = [subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True)
                for _ in range(4)]
    said = [command.communicate()[0].strip() for command in commands]
    assert [command.returncode for command in commands] == [0] * 4
    assert sum(line != "None" for line in said) == 1
    _whole(home, copied)


def test_a_home_that_is_moved_under_a_run_waits_for_its_end(copied: Path) -> None:
    before = Home.at(copied)
    with before.lock():
        home = _moved(copied)
        with pytest.raises(MachineError, match="moved while a run is under way"):
            Home.found(home)
    Home.found(home)
    _whole(home, copied)


def test_a_link_is_not_a_move(copied: Path, tmp_path: Path) -> None:
    record = asdict(moved_home.read(Home.at(copied).root))  # type: ignore[arg-type]
    link = tmp_path / "link"
    link.symlink_to(copied)
    assert Home.found(link).root == copied
    assert asdict(moved_home.read(copied)) == record  # type: ignore[arg-type]
    moved = _moved(copied)
    with pytest.raises(InputError, match=r"a link to .* which is not there"):
        Home.at(link)
    link.unlink()
    link.symlink_to(moved)
    assert Home.found(link).root == moved
    _whole(moved, copied)


def test_what_is_no_path_of_this_home_stays_as_it_is(old: Path, tmp_path: Path) -> None:
    """Errors that begin with a path, a folder whose name only begins alike, a run of another home in this database."""
    other = tmp_path / "other"
    (other / "mlflow-artifacts").mkdir(parents=True)
    with sqlite3.connect(old / "mlflow.db") as database:
        (run,) = database.execute("SELECT run_uuid FROM tags WHERE key = 'photoshoot.home'").fetchone()
        kept = {"photoshoot.error": f"{old}/runs/x: no space left", "photoshoot.photos": f"{old}-photos/a"}
        database.executemany("INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                             [(*item, run) for item in kept.items()])
        database.execute("INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                         "VALUES (99, 'others', ?, 'active')", (f"{other}/mlflow-artifacts",))
        database.execute("INSERT INTO runs (run_uuid, experiment_id, artifact_uri, lifecycle_stage) "
                         "VALUES ('f00', 99, ?, 'active')", (f"{other}/mlflow-artifacts/f00/artifacts",))
    home = _moved(old)
    repair = settle(home)
    assert repair and repair.places == (str(old),)
    with sqlite3.connect(home / "mlflow.db") as database:
        found = dict(database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
        assert found.items() >= kept.items() and found["photoshoot.home"] == str(home)
        assert database.execute("SELECT artifact_uri FROM runs WHERE run_uuid = 'f00'").fetchone() == (
            f"{other}/mlflow-artifacts/f00/artifacts",)


def test_what_is_missing_or_outside_is_named(copied: Path, photoshoot: Callable[..., dict[str, Any]]) -> None:
    Home.at(copied)
    shutil.rmtree(copied / "mlflow-artifacts" / "models")
    with sqlite3.connect(copied / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = '/elsewhere/' || run_uuid")
    found = photoshoot("home", "--home", copied)
    assert {reference["what"].partition(" ")[0] for reference in found["missing"]} == {"version", "run"}
    assert [reference["path"].startswith("/elsewhere/") for reference in found["outside"]] == [True]


def test_a_repair_may_be_asked_for_where_the_record_was_lost_or_is_wrong(
        old: Path, photoshoot: Callable[..., dict[str, Any]]) -> None:
    home = _moved(old)
    moved_home.write(home, Record(str(home), str(old)))
    assert photoshoot("home", "--home", home)["missing"]
    assert photoshoot("home", "--repair", "--home", home)["missing"] == []
    _whole(home, old)
    (home / moved_home.FILE).write_text('{"format": "photoshoot.home/2"}')
    with pytest.raises(DataError, match=r"home\.json.*photoshoot\.home/1"):
        Home.at(home)


def test_a_servers_records_are_left_alone(
        copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Home.at(copied)
    home = _moved(copied)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:1")
    Home.found(home)
    said = capsys.readouterr().err
    assert f"this home was at {copied}" in said and "left as it is" in said and "secret" not in said
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    _whole(home, copied)


def test_a_home_that_stays_costs_one_small_file(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Home.at(copied)
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: pytest.fail("nothing is to be looked up"))
    assert settle(copied) is None
    code = ("import sys; from pathlib import Path; from pipelines.home.folder import Home; "
            "Home.found(Path(sys.argv[1])); "
            "sys.exit(sum(name in sys.modules for name in ('mlflow', 'sqlalchemy', 'torch', 'kfp', 'rich')))")
    assert subprocess.run([sys.executable, "-c", code, str(copied)]).returncode == 0
