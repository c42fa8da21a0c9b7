"""The command: who may come in and from where, its folder after kill -9, the model it follows."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from components.core.errors import InputError
from pipelines.home.folder import Home
from pipelines.studio.folders import PREFIX, private_folder, remove_left
from pipelines.studio.models import Asked, Models
from pipelines.studio.server import TOKEN, Place, serve, token_from
from tests.pipelines.studio.conftest import Client, Served

Serve = Callable[..., AbstractContextManager[Served]]
VERSION = Path(__file__).resolve().parents[2] / "fixtures" / "version-ce91e44" / "version"
SECRET = "a long enough secret"


def test_a_token_lets_in_and_nothing_else_does(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.studio.app._WRONG_TOKEN_S", 0.05)
    with serve(token=SECRET, local=False) as page:
        somebody = Client(page.address)
        status, content = somebody("GET", "/")
        assert status == 200 and b'name="token"' in content and b'id="brief"' not in content and not len(somebody.jar)
        for path in ("/api/state", "/poses/waving.webp", "/photos/x/shown.webp", "/shoots/x/pictures.zip"):
            assert somebody("GET", path)[0] == 401, path
        for path in ("/api/shoots", "/api/photos/person", "/api/leave"):
            assert somebody("POST", path, {})[0] == 401, path
        for wrong in ("", "a long enough secre", SECRET + "x", "ü" * 20):
            assert somebody("POST", "/login", f"token={wrong}".encode())[0] == 401
        # Whatever name it is reached by: the cookie is bound to that name, and only the token gives one.
        status, content = somebody("POST", "/login", f"token={SECRET}".encode(), Host="studio.example",
                                   Origin="https://studio.example", X_Forwarded_Proto="https")
        assert status in (200, 303)
        assert somebody("POST", "/login", f"token={SECRET}".encode())[0] == 200
        (cookie,) = somebody.jar
        assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "strict"
        assert len(str(cookie.value)) >= 43 and somebody("GET", "/api/state")[0] == 200
        for path in ("/healthz", "/readyz", "/metrics"):
            assert Client(page.address)("GET", path)[0] in (200, 503)


def test_other_names_and_other_sites_are_refused(serve: Serve, visitor: Callable[[Served], Client]) -> None:
    with serve() as page:
        somebody, port = visitor(page), page.address.rpartition(":")[2]
        for host in (f"evil.example:{port}", "192.0.2.1", f"127.0.0.1.evil.example:{port}", ""):
            assert somebody("GET", "/", Host=host)[0] in (400, 403), host
            assert somebody("GET", "/healthz", Host=host or "x")[0] == 200
        for host in (f"localhost:{port}", "localhost", f"[::1]:{port}", "127.0.0.1"):
            assert somebody("GET", "/", Host=host)[0] == 200, host
        for origin in ("https://evil.example", "null", f"http://localhost:{port}", f"http://127.0.0.1:{port}9", ""):
            assert somebody("POST", "/api/leave", b"", Origin=origin)[0] == 403, origin
        assert somebody("POST", "/api/leave", b"", Sec_Fetch_Site="cross-site")[0] == 403
        assert somebody("DELETE", "/api/photos/x", Origin="https://evil.example")[0] == 403
        assert somebody("GET", "/api/state")[0] == 200
        with page.studio.visitors.lock:
            assert page.studio.metrics.text().count(b'refusals_total{reason="origin"} 7.0') == 1
        for path in ("/docs", "/openapi.json", "/static/../app.py", "/static/%2e%2e/app.py", "/poses/..%2fx.webp"):
            assert somebody("GET", path)[0] == 404, path
        assert somebody("POST", "/login", b"token=" + b"x" * 70_000)[0] == 413


def test_a_host_that_others_reach_needs_a_token_that_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                     ) -> None:
    asked = Asked(Home(tmp_path), version="starter")
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(InputError, match=f"everybody could use the page -- give --token-file or {TOKEN}"):
            serve_page(asked, host)
    assert token_from(None) is None
    monkeypatch.setenv(TOKEN, f" {SECRET}\n")
    assert token_from(None) == SECRET
    (tmp_path / "token").write_text("short\n")
    with pytest.raises(InputError, match="openssl rand"):
        token_from(tmp_path / "token")
    with pytest.raises(InputError, match="cannot be read"):
        token_from(tmp_path / "none")
    (tmp_path / "token").write_text(SECRET[::-1] + "\n")
    assert token_from(tmp_path / "token") == SECRET[::-1]
    with pytest.raises(InputError, match="no such model"):
        serve_page(Asked(Home(tmp_path), path=tmp_path / "nothing"), "127.0.0.1")


def serve_page(asked: Asked, host: str) -> None:
    serve(asked, Place(host, 0))


def test_folders_of_pages_that_are_gone_are_removed_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                  ) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left, alive = (tmp_path / f"{PREFIX}{name}" for name in ("left", "alive"))
    for folder in (left, alive):
        folder.mkdir()
        (folder / ".alive").touch()
        (folder / "photo").write_bytes(b"x")
    (tmp_path / "mine").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "mine")
    with open(alive / ".alive") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with private_folder() as own:
            assert not left.exists() and alive.exists() and (tmp_path / "mine").exists()
            assert own.stat().st_mode & 0o777 == 0o700 and own.parent == tmp_path
            assert remove_left(tmp_path) == 0 and own.exists()
        assert not own.exists()
    assert remove_left(tmp_path) == 1 and not alive.exists()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """command() starts the page by its command; the process, and the address that it prints."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "studio", "--port", "0", "--version", "starter", "--home",
             str(tmp_path / "home")], env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        line = next(line for line in process.stderr if "http://" in line)
        return process, "http" + line.split("http")[1].split("/   ")[0]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_kill_9_leaves_nothing_that_a_restart_does_not_remove(
        command: Callable[[], tuple[subprocess.Popen[str], str]], tmp_path: Path) -> None:
    process, address = command()
    somebody = Client(address)
    assert somebody("GET", "/")[0] == 200 and somebody("GET", "/healthz") == (200, b"alive\n")
    somebody.bring(b"a face", name="me.jpg")
    (folder,) = tmp_path.glob(f"{PREFIX}*")
    assert folder.stat().st_mode & 0o777 == 0o700 and any(path.is_file() for path in folder.glob("*/*"))
    process.send_signal(signal.SIGKILL)
    assert process.stderr is not None and "me.jpg" not in process.stderr.read()
    process.wait()
    assert folder.exists()
    process, address = command()
    assert not folder.exists() and Client(address)("GET", "/")[0] == 200
    deadline = time.monotonic() + 60
    while Client(address)("GET", "/readyz")[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert Client(address)("GET", "/readyz")[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, 130)
    assert not list(tmp_path.glob("*photoshoot-studio-*"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """registry() registers another version."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client: Any = mlflow.MlflowClient()
    client.create_registered_model("photoshoot")
    shutil.copytree(VERSION, tmp_path / "version")
    return lambda: client.create_model_version("photoshoot", str(tmp_path / "version"))


def test_the_page_follows_the_champion_and_goes_on_while_the_registry_is_away(
        registry: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(Asked(Home(tmp_path), version="champion"))
    registry()
    assert not models.refresh() and not models.ready and "no champion" in models.problem
    client: Any = mlflow.MlflowClient()
    client.set_registered_model_alias("photoshoot", "champion", "1")
    assert models.refresh() and models.own is not None and models.own.version == "photoshoot version 1"
    assert not models.refresh()
    registry()
    client.set_registered_model_alias("photoshoot", "champion", "2")
    usable = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert not models.refresh() and models.own.version == "photoshoot version 1" and models.problem
    monkeypatch.setenv("MLFLOW_TRACKING_URI", usable)
    assert models.refresh() and models.own.version == "photoshoot version 2" and not models.problem
    models.look_up()
    choices = {choice.value: choice.label for choice in models.choices()}
    assert list(choices) == ["", "1", "starter"] and choices[""] == "photoshoot version 2 (champion)"
    assert models.get("1").version == "photoshoot version 1" and models.get("1") is models.get("1")
    assert "starter" in models.get("starter").version and models.get("") is models.own
    with pytest.raises(InputError, match="no version 7"):
        models.get("7")


def test_without_a_version_the_starter_stands_in_and_a_file_may_be_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(VERSION / "artifacts", model)
    models = Models(Asked(Home(tmp_path)))
    assert models.refresh() and models.own is not None and "starter" in models.own.version and models.note
    named = Models(Asked(Home(tmp_path), path=model))
    assert named.refresh() and named.own is not None and named.own.version == "the model model" and not named.refresh()
    assert [choice.value for choice in named.choices()] == ["", "starter"]
    (model / "generator.safetensors").write_bytes(b"torn")
    torn = Models(Asked(Home(tmp_path), path=model / "generator.safetensors"))
    assert not torn.refresh() and not torn.ready and "damaged" in torn.problem
