"""Services that the faults take away: an MLflow server, a database, a bucket."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PHOTOSHOOT_CONTAINERS" in os.environ:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="PHOTOSHOOT_CONTAINERS is not set: .ci/containers builds the "
                                                    "images and sets it"))


def wait_for(condition: Callable[[], Any], seconds: float = 200) -> None:
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """A server that can be taken away and brought back."""

    def __init__(self, command: list[str], ready: Callable[[], bool], folder: Path) -> None:
        self._command, self._ready, self._folder = command, ready, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with open(self._folder / "service.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder,
                                             start_new_session=True)
        wait_for(self._ready)

    def kill(self) -> None:
        """End it without a word."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def restart(self, away: float) -> None:
        """Kill it, and start it again that many seconds later."""
        self.kill()
        time.sleep(away)
        self.start()


@pytest.fixture
def tracking_server(tmp_path: Path) -> Iterator[Callable[..., tuple[Service, str]]]:
    """tracking_server(store) starts an MLflow server; the service and its address."""
    made: list[Service] = []

    def serve(store: str = "") -> tuple[Service, str]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers",
                   "1", "--backend-store-uri", store or f"sqlite:///{tmp_path}/store.db",
                   "--artifacts-destination", str(tmp_path / "files")]
        service = Service(command, lambda: _healthy(port), tmp_path)
        made.append(service)
        service.start()
        return service, url

    yield serve
    for service in made:
        service.kill()


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A PostgreSQL server of our own, started, with an empty database; the service and the database's URL."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "no PostgreSQL server here: apt-get install postgresql"
    user: list[str] = []
    folder = tmp_path / "database"
    folder.mkdir()
    if os.geteuid() == 0:  # the server refuses to run as root
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for path in (folder, *folder.parents[:4]):
            path.chmod(path.stat().st_mode | 0o055)
        shutil.chown(folder, "nobody", "nogroup")
    port, bin_ = free_port(), programs[-1]
    subprocess.run([*user, bin_ / "initdb", "-D", folder / "data", "-A", "trust", "-U", "tester"], check=True,
                   stdout=subprocess.DEVNULL, cwd=folder)
    client = [str(bin_ / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "tester", "-d", "postgres", "-c"]

    def answers() -> bool:
        return subprocess.run([*client, "SELECT 1"], capture_output=True, check=False).returncode == 0

    command = [*user, str(bin_ / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h",
               "127.0.0.1"]
    (tmp_path / "service.log").touch()
    service = Service(command, answers, tmp_path)
    service.start()
    subprocess.run([*client, "CREATE DATABASE mlflow"], check=True, capture_output=True)
    yield service, f"postgresql+psycopg://tester@127.0.0.1:{port}/mlflow"
    service.kill()


class Bucket:
    """A bucket behind a proxy that answers some requests with 503."""

    def __init__(self, port: int) -> None:
        self.requests = self.refused = 0
        self.refuse: Callable[[int], bool] = lambda number: False
        bucket, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    bucket.requests += 1
                    refused = bucket.refuse(bucket.requests)
                    bucket.refused += refused
                if refused:
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                there = http.client.HTTPConnection("127.0.0.1", port)
                there.request(self.command, self.path, body, dict(self.headers))
                reply = there.getresponse()
                content = reply.read()
                self.send_response(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """gs://bucket, with faults."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    emulator = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    emulator.start()
    before = Bucket(port)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", before.url)
    yield before
    before.server.shutdown()
    before.server.server_close()
    emulator.stop()
