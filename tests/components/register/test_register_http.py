"""Registration and promotion against real MLflow servers, over HTTP: on sqlite and on PostgreSQL."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest
from recording import record

from components.core.pictures.images import decode_png
from components.core.record.registry import CHAMPION
from components.core.settings import RegisterSettings
from components.register import register
from components.register.ledger import Entry, Ledger
from components.register.promotion import promote, standing
from components.register.registry import Registry

SmallVersions = Callable[[str, str], Registry]
KILLS = int(os.environ.get("PHOTOSHOOT_KILLS", "8"))
_REQUESTS = 16
"""About as many requests as a promotion makes: kills fall on each of them, and on a few moments after the last."""
_LAST_REQUEST_S = 1
"""Within which the server has done what a dead process asked of it last."""


@contextmanager
def promoter(registry: Registry) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """A process that promotes in children; returns what to call with a job (see promoter.py)."""
    script = Path(__file__).with_name("promoter.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, str(script), registry.uri, registry.name], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"

    def ask(job: dict[str, Any], answers: bool = True) -> Any:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline()) if answers else None

    try:
        yield ask
    finally:
        ask.__dict__["errors"] = process.communicate()[1]


def test_a_version_registered_over_http_works_in_a_fresh_process(world, evaluated: Path, sqlite_server,
                                                                 tmp_path: Path) -> None:
    settings = RegisterSettings(model_name="real")
    summary = register(world.model, evaluated, world.people, world.identities, tmp_path / "out", settings,
                       tracking_uri=sqlite_server.uri)  # loads the version in a fresh process and paints
    assert (tmp_path / "out" / "try.png").stat().st_size > 100
    registry = Registry("real", sqlite_server.uri)
    assert registry.aliased("challenger") == summary.model_version == "1"
    assert registry.aliased("champion") is None
    assert list(sqlite_server.artifacts.rglob("generator.safetensors"))
    with registry.files(registry.get("1")) as folder:
        assert {path.name for path in (folder / "example").iterdir()} == {
            "source_photo.png", "source_pose.png", "source_matte.png", "target_pose.png"}
        assert json.loads((folder / "lineage.json").read_text())["training_photos"]


@pytest.mark.long
def test_killed_at_any_moment_there_is_one_champion_and_a_ledger_that_holds(
        server, small_versions: SmallVersions) -> None:
    _killed(small_versions("killed", server.uri), KILLS)


@pytest.mark.endurance
def test_killed_at_each_moment_several_times(server, small_versions: SmallVersions) -> None:
    _killed(small_versions("killed-often", server.uri), 3 * _REQUESTS)


def _killed(registry: Registry, kills: int) -> None:
    promote(registry, "1", try_out=None)
    draw, counted, killed = random.Random(kills), 1, 0
    with promoter(registry) as ask:
        for trial in range(kills):
            before = standing(registry).champion
            target = draw.choice([version for version in "123" if version != before])
            job: dict[str, Any] = {"version": target}
            if trial % 4 == 3:
                job["kill_after"] = draw.uniform(0, 0.3)
            else:
                job |= {"kill_at": 1 + (trial * 5 + draw.randrange(2)) % _REQUESTS, "sent": draw.random() < 0.5}
            code = ask(job)
            assert code in (0, -signal.SIGKILL)
            killed += code != 0
            if "kill_after" in job:
                time.sleep(_LAST_REQUEST_S)
            # What anybody sees at once, before anything is mended: a champion, the old one or the new one.
            assert registry.aliased(CHAMPION) in (before, target)
            now = standing(registry)
            assert now.champion == registry.aliased(CHAMPION)
            assert now.champion in (before, target)
            assert code != 0 or now.champion == target
            counted += now.champion != before
            assert len(now.journal.counting) == counted and not now.journal.late and not now.journal.complaints
            assert not standing(registry).notes
    assert killed >= kills // 2
    assert [entry.before for entry in now.journal.counting] == [None, *[e.to for e in now.journal.counting[:-1]]]


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(server, small_versions: SmallVersions) -> None:
    registry = small_versions("twice", server.uri)
    with promoter(registry) as ask:
        ask({"version": "1", "hold": True}, answers=False)
        codes = ask({"version": "2", "hold": True})  # both have looked; now both write
    assert sorted(codes) == [0, 3]
    winner = "12"[codes.index(0)]
    now = standing(registry)
    assert now.champion == winner == registry.aliased(CHAMPION)
    assert [entry.to for entry in now.journal.counting] == [winner]
    assert f"promoted version {winner}" in ask.__dict__["errors"]  # said to the other one


def test_many_writers_at_once_lose_no_entry_and_agree_on_all(server, small_versions: SmallVersions) -> None:
    registry = small_versions("many", server.uri)
    won: list[str] = []

    def write(name: str) -> None:
        ledger = Ledger("many", server.uri)
        for number in range(4):
            seen = ledger.read()
            made = Entry("promote", seen.champion, str(number % 3 + 1), name, "now", "why", False, {})
            stored, journal = ledger.append(made, seen)
            won.extend([stored.key] if any(found.key == stored.key for found in journal.counting) else [])

    threads = [threading.Thread(target=write, args=(f"writer {k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal = Ledger("many", server.uri).read()
    assert sorted(won) == sorted(entry.key for entry in journal.counting)
    assert len(journal.counting) + len(journal.late) == 16 and not journal.complaints
    assert standing(registry).champion == journal.champion == registry.aliased(CHAMPION)


def grey(model: str) -> int:
    """What is served under the champion alias: the grey level that it paints."""
    row = dict.fromkeys(("source_photo", "source_pose", "target_pose"), b"x")
    answer = mlflow.pyfunc.load_model(f"models:/{model}@champion").predict(pd.DataFrame([row]))
    return int(decode_png(answer["image"][0])[0, 0, 0])


def test_a_card_longer_than_a_database_holds_is_cut_and_says_where_the_whole_is(
        server, small_versions: SmallVersions) -> None:
    registry = small_versions("wordy", server.uri)
    registry.describe("1", "word " * 2000, {})
    client = mlflow.MlflowClient(server.uri)
    description = client.get_model_version("wordy", "1").description
    assert description.startswith("word word") and description.endswith("model_card.md of the version's run.")
    registry.describe("1", "short", {})
    assert client.get_model_version("wordy", "1").description == "short"


@pytest.mark.long
def test_the_commands_move_what_is_served(sqlite_server, small_versions: SmallVersions, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.cli import main

    registry = small_versions("served", sqlite_server.uri)
    record(registry, "3", ssim=0.1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_server.uri)

    def photoshoot(*arguments: str) -> tuple[int, dict[str, Any]]:
        common = ["--model-name", "served", "--home", str(tmp_path / "home"), "--json"]
        monkeypatch.setattr(sys, "argv", ["photoshoot", *arguments, *common])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), json.loads(capsys.readouterr().out.splitlines()[-1])

    assert photoshoot("promote", "1")[0] == 0
    assert grey("served") == 60
    code, refused = photoshoot("promote", "3")
    assert code == 2 and "ssim" in refused["error"] and "--force" in refused["error"]
    code, refused = photoshoot("promote", "3", "--force")
    assert code == 2 and "needs a reason" in refused["error"]
    assert grey("served") == 60
    code, moved = photoshoot("promote", "3", "--force", "--reason", "the client wants it darker")
    assert code == 0 and (moved["champion"], moved["before"]) == ("3", "1")
    assert grey("served") == 180
    assert photoshoot("rollback")[1]["champion"] == "1"
    assert grey("served") == 60
    entries = photoshoot("history")[1]["entries"]
    assert [(found["action"], found["from"], found["to"], found["forced"]) for found in entries] == [
        ("promote", None, "1", False), ("promote", "1", "3", True), ("rollback", "3", "1", False)]
    assert entries[1]["why"] == "the client wants it darker" and (
        entries[1]["digests"]["evaluation"] == registry.get("3").tags["digest.evaluation"])
    listed = photoshoot("versions")[1]["versions"]
    assert [(row["version"], row["aliases"], row["verdict"]) for row in listed] == [
        ("3", [], "failed"), ("2", [], "passed"), ("1", ["champion"], "passed")]
