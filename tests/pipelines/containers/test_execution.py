"""The pipeline in containers. What needs an engine and the images runs where PHOTOSHOOT_CONTAINERS is set (CI sets it
after it has built them); there, an engine that is missing is a failure and no reason to skip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import InputError, MachineError
from components.core.presets import preset
from components.core.stores.known_weights import KNOWN, cache_folder
from pipelines.containers import engines
from pipelines.containers.execution import OWNER, Limits, Setup, _lend_weights, _mounts, connected, end_all, environment
from pipelines.containers.images import LOCAL, images
from pipelines.containers.runner import _explained, run_container
from pipelines.home.folder import Home

needs_engine = pytest.mark.skipif(
    "PHOTOSHOOT_CONTAINERS" not in os.environ,
    reason="PHOTOSHOOT_CONTAINERS is not set: .ci/containers builds the images and sets it")


@pytest.mark.parametrize("wanted", ["8", "8gb", "-1g", "g", "1.5g", "8G"])
def test_a_limit_that_no_engine_knows_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match="--memory 8g"):
        Limits(wanted)


def test_a_limit_without_containers_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", "run", "--memory", "2g", "--home", str(tmp_path)],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "--backend containers" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_step_is_told_what_concerns_it_and_nothing_else() -> None:
    here = {"MLFLOW_TRACKING_URI": "sqlite:///a", "MLFLOW_RUN_ID": "other", "PHOTOSHOOT_STATE": "/h/state",
            "OMP_NUM_THREADS": "1", "HTTPS_PROXY": "http://proxy", "GOOGLE_CLOUD_PROJECT": "p", "PATH": "/mine",
            "AWS_SECRET_ACCESS_KEY": "s", "PYTHONPATH": "/mine", "HOME": "/home/me", "PHOTOSHOOT_CACHE": "/mine"}
    told = environment(Setup("unix:///x", "/h", "1:1", events="/h/runs/1/events.jsonl"), here)
    assert told == {"MLFLOW_TRACKING_URI": "sqlite:///a", "PHOTOSHOOT_STATE": "/h/state", "OMP_NUM_THREADS": "1",
                    "HTTPS_PROXY": "http://proxy", "GOOGLE_CLOUD_PROJECT": "p", "PHOTOSHOOT_CACHE": "/h/downloads",
                    "PHOTOSHOOT_PROGRESS": "/h/runs/1/events.jsonl"}


def test_a_container_sees_the_home_the_photos_and_files_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("overrides.csv", "key.json"):
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere/mlflow.db")
    (tmp_path / "networks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHOTOSHOOT_WEIGHTS", "networks")
    home = Home.at(tmp_path / "home")
    settings = preset("smoke").with_changes([f"cluster.overrides={tmp_path}/overrides.csv"])
    assert _mounts(settings, str(tmp_path / "photos"), home) == {
        str(tmp_path / "overrides.csv"): "ro", str(tmp_path / "key.json"): "ro", str(tmp_path / "photos"): "ro",
        str(tmp_path / "elsewhere"): "rw", str(tmp_path / "home"): "rw", str(tmp_path / "networks"): "ro",
    }
    told = environment(Setup("unix:///x", "/h", "1:1"), os.environ)
    assert told["PHOTOSHOOT_WEIGHTS"] == str(tmp_path / "networks")


def test_weights_that_are_here_are_not_fetched_in_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PHOTOSHOOT_WEIGHTS", raising=False)
    kept, lent = tmp_path / "cache" / "weights", tmp_path / "home" / "downloads" / "weights"
    kept.mkdir(parents=True)
    for name in ("vgg16", "vgg19"):
        (kept / KNOWN[name].file).write_bytes(name.encode())
    settings = preset("smoke").with_changes(["train.perceptual=vgg19", "cluster.embedder=vggface2"])
    for _ in range(2):
        _lend_weights(settings, None, lent)
        assert {path.name: path.read_bytes() for path in lent.iterdir()} == {KNOWN["vgg19"].file: b"vgg19"}
    told = environment(Setup("unix:///x", str(tmp_path / "home"), "1:1"), {})
    monkeypatch.setenv("PHOTOSHOOT_CACHE", told["PHOTOSHOOT_CACHE"])
    assert cache_folder() == lent


@pytest.mark.parametrize(("state", "words"), [
    ({"ExitCode": 137, "OOMKilled": True}, ["out of memory", "limit 2g", "--memory"]),
    ({"ExitCode": 251}, ["out of memory", "limit 2g", "--memory"]),
    ({"ExitCode": 137, "OOMKilled": False}, ["killed from outside"]),
    ({"ExitCode": 127, "OOMKilled": False, "Error": "no sh"}, ["could not be started", "no sh"]),
    ({"ExitCode": 1}, ["exited with code 1", "/log.txt"]),
])
def test_an_end_is_explained(state: dict[str, Any], words: list[str]) -> None:
    setup = Setup("unix:///x", "/h", "1:1", options={"mem_limit": "2g"}, log="/log.txt")
    said = str(_explained("train", state, setup))
    assert "train" in said and all(word in said for word in words)


def test_without_an_engine_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engines, "_SOCKET", str(tmp_path / "none.sock"))
    with pytest.raises(MachineError, match=r"no container engine.*install docker or podman"), engines.engine_socket():
        pass
    with pytest.raises(MachineError, match=r"no docker; no podman.*install docker or podman"):
        engines.find_engine()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with engines.engine_socket() as address:
        yield address


@pytest.fixture
def started(address: str, tmp_path: Path) -> Iterator[Callable[..., tuple[bool, list[dict[str, Any]], str]]]:
    """Run a shell script as a step's container; whether it succeeded, the events, the log."""
    events, log = tmp_path / "events.jsonl", tmp_path / "log.txt"
    events.touch()

    def run(script: str, **options: Any) -> tuple[bool, list[dict[str, Any]], str]:
        setup = Setup(address, str(tmp_path), f"{os.getuid()}:{os.getgid()}", {str(tmp_path): "rw"}, options,
                      str(events), str(log))
        os.environ["PHOTOSHOOT_PROGRESS"] = str(events)
        try:
            command = ["sh", "-c", script, "--function_to_execute", "train"]
            good = run_container(setup, images(LOCAL)["train"], command, environment(setup, os.environ))
        finally:
            del os.environ["PHOTOSHOOT_PROGRESS"]
        with connected(address) as client:
            assert not client.containers.list(all=True, sparse=True, filters={"label": f"{OWNER}={tmp_path}"})
        return good, [json.loads(line) for line in events.read_text().splitlines()], log.read_text()

    yield run
    with connected(address) as client:
        end_all(client, str(tmp_path))


@needs_engine
def test_a_container_that_ends_at_once_is_a_success_and_its_words_are_kept(started: Any, tmp_path: Path) -> None:
    good, events, log = started("echo words; echo complaints >&2; id -u; touch $(dirname $PHOTOSHOOT_PROGRESS)/made")
    assert good and not events
    assert log.splitlines() == ["words", "complaints", str(os.getuid())]
    assert (tmp_path / "made").stat().st_uid == os.getuid()


@needs_engine
@pytest.mark.parametrize(("script", "options", "words"), [
    ("exit 3", {}, "exited with code 3"),
    ("python3 -c 'import os; os.kill(os.getpid(), 9)'", {}, "killed from outside"),
    ("python3 -c 'b = bytearray(400_000_000)'", {"mem_limit": "100m"}, "ran out of memory (limit 100m)"),
    ("touch /opt/venv/x", {}, "exited with code 1"),
    ("chown 12345 $PHOTOSHOOT_PROGRESS", {}, "exited with code 1"),
], ids=["fails", "killed", "memory", "read-only", "no-privileges"])
def test_a_container_that_fails_is_no_success_and_says_why(
    started: Any, script: str, options: dict[str, Any], words: str
) -> None:
    good, events, _ = started(script, **options)
    assert not good
    (event,) = events
    assert event["step"] == "train" and event["state"] == "failed"
    assert words in json.loads(event["error"])["problem"]


@needs_engine
def test_what_a_step_says_itself_comes_first(started: Any) -> None:
    own = json.dumps({"step": "train", "state": "failed", "error": "{}"})
    good, events, _ = started(f"echo '{own}' >> $PHOTOSHOOT_PROGRESS; exit 1")
    assert not good and events == [json.loads(own)]


@needs_engine
def test_a_container_that_somebody_removes_did_not_succeed(started: Any, address: str, tmp_path: Path) -> None:
    def remove() -> None:
        with connected(address) as client:
            _wait_for(lambda: client.containers.list(sparse=True, filters={"label": f"{OWNER}={tmp_path}"}))
            end_all(client, str(tmp_path))

    remover = threading.Thread(target=remove)
    remover.start()
    good, events, _ = started("sleep 60")
    remover.join()
    problem = json.loads(events[-1]["error"])["problem"]
    # The engine kills it first, and may be asked in between.
    assert not good and ("removed before its end" in problem or "killed from outside" in problem)


@needs_engine
def test_many_short_containers_all_count(started: Any) -> None:
    """The engine's own removal of containers that ended loses some of these."""
    for number in range(8):
        good, _, log = started(f"echo {number}")
        assert good and log.splitlines()[-1] == str(number)


@needs_engine
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_ending_the_command_ends_its_containers(ending: signal.Signals, address: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "run", "--backend", "containers", "--preset", "smoke", "--home",
         str(home)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with connected(address) as client:
        def ours() -> list[Any]:
            return client.containers.list(all=True, sparse=True, filters={"label": f"{OWNER}={home}"})

        _wait_for(lambda: ours() and command.poll() is None)
        command.send_signal(ending)
        command.wait(60)
        _wait_for(lambda: not ours())


@needs_engine
def test_an_image_that_is_not_built_is_said_before_anything_starts(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    code = ("import sys, pipelines.containers.images as i, pipelines.cli as c; f = i.code_digest; "
            "i.code_digest = lambda s: 'other' if s == 'train' else f(s); c.main()")
    done = subprocess.run([sys.executable, "-c", code, "run", "--backend", "containers", "--preset", "smoke", "--home",
                           str(tmp_path / "home")], capture_output=True, text=True)
    assert done.returncode == 3
    assert "photoshoot-train:other" in done.stderr and "make images" in done.stderr
    assert not (tmp_path / "home" / "artifacts").exists()


def _wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)
