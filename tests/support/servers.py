"""Real servers for tests, each on a free port of this machine and ended when its ``with`` block ends, however it ends.

Imported as ``servers``: pytest puts this folder on its path.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

_HERE = "127.0.0.1"
_START_S, _END_S = 200, 30
_NOBODY = 65534


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that refuses connections: taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind((_HERE, 0))
        yield int(taken.getsockname()[1])


def free_port() -> int:
    """A port that nobody has taken."""
    with silent_port() as port:
        return port


def wait_for(condition: Callable[[], object], seconds: float = _START_S) -> None:
    """Poll until it holds; an assertion fails when it takes longer."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


# HTTP, in a thread.


class Handler(BaseHTTPRequestHandler):
    """Says nothing on the terminal, and answers in one line."""

    def reply(self, status: int, content: bytes = b"", **headers: str) -> None:
        """Send a whole answer; ``_`` in a header's name stands for ``-``."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def reply_json(self, status: int, body: Any) -> None:
        """Send a whole answer in JSON."""
        self.reply(status, json.dumps(body).encode(), Content_Type="application/json")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def http_server(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A web server in a thread; `url_of` is its address."""
    server = ThreadingHTTPServer((_HERE, 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def url_of(server: ThreadingHTTPServer) -> str:
    """A web server's address."""
    return f"http://{_HERE}:{server.server_port}"


def kubeconfig(path: Path, url: str, token: str = "", namespace: str = "") -> Path:
    """Write a kubeconfig whose one context, ``there``, leads to a server; returns its path."""
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    # JSON is YAML.
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "there",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "there", "context": context}]}))
    return path


# Google Cloud Storage, in threads.


@contextmanager
def gcs_emulator(bucket: str) -> Iterator[str]:
    """A server that speaks as Google Cloud Storage does, in memory, with one empty bucket; its address, as
    STORAGE_EMULATOR_HOST takes it."""
    from gcp_storage_emulator.server import create_server

    # A port looked up beforehand could be taken by now, and the emulator would wait for ever.
    server = create_server(_HERE, 0, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        yield f"http://{_HERE}:{server._api._httpd.server_port}"
    finally:
        server.stop()


@contextmanager
def gcs_bucket(name: str) -> Iterator[str]:
    """``gs://name``, empty, on an emulator that the environment names until the block ends."""
    with gcs_emulator(name) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        yield f"gs://{name}"


class GcsProxy:
    """Stands before an emulator and passes requests on, late or not at all."""

    def __init__(self, behind: str) -> None:
        self.requests = 0
        self.pause = 0.0
        """Seconds by which each request is late."""
        self.refused: list[str] = []
        """Kinds (method and path without bucket) of the requests that were answered with 503."""
        self.refuse: Callable[[int, str], bool] = lambda number, kind: False
        """Whether to refuse a request, by its number, from 1, and its kind."""
        self._behind, self._lock = behind.removeprefix("http://"), threading.Lock()

    def refuses(self, command: str, path: str) -> bool:
        """Note a request, and whether it is one to refuse."""
        time.sleep(self.pause)
        kind = f"{command} {path.partition('?')[0].partition('/b/')[0]}"
        with self._lock:
            self.requests += 1
            refused = self.refuse(self.requests, kind)
            self.refused += [kind] * refused
        return refused

    def ask(self, command: str, path: str, body: bytes,
            headers: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers that the emulator answers."""
        there = http.client.HTTPConnection(self._behind)
        try:
            there.request(command, path, body, dict(headers))
            reply = there.getresponse()
            ours = ("transfer-encoding", "content-length", "connection", "server", "date")
            return reply.status, reply.read(), {k: v for k, v in reply.getheaders() if k.lower() not in ours}
        finally:
            there.close()


class _Passing(Handler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: GcsProxy, *arguments: Any) -> None:
        self._proxy = proxy
        super().__init__(*arguments)

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # The sender was killed: the emulator would wait for the rest for ever.
            self.close_connection = True
            return None
        if self._proxy.refuses(self.command, self.path):
            return self.reply(503)
        status, content, headers = self._proxy.ask(self.command, self.path, body, dict(self.headers))
        self.reply(status, content, **headers)

    do_GET = do_POST = do_PUT = do_DELETE = _answer


@contextmanager
def gcs_proxy(bucket: str) -> Iterator[GcsProxy]:
    """``gs://bucket`` on an emulator behind a proxy that the environment names until the block ends."""
    with gcs_emulator(bucket) as behind, pytest.MonkeyPatch.context() as patch:
        proxy = GcsProxy(behind)
        with http_server(functools.partial(_Passing, proxy)) as server:
            patch.setenv("STORAGE_EMULATOR_HOST", url_of(server))
            yield proxy


# Programs, as processes.


class Service:
    """A program that serves, in a session of its own, which `with` starts and ends; it can be taken away and brought
    back. `ready` says whether it answers, `end` ends it in good order; what it says goes to ``folder/service.log``."""

    def __init__(self, command: Sequence[str | Path], ready: Callable[[], bool], folder: Path, *,
                 environment: Mapping[str, str] | None = None, end: signal.Signals = signal.SIGTERM,
                 **process: Any) -> None:
        self._command, self._ready, self._end = [str(word) for word in command], ready, end
        self._log = folder / "service.log"
        self._process_options = {"cwd": folder, "env": environment, "start_new_session": True, **process}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish(self._end)

    def start(self) -> None:
        """Start it and wait until it answers; an assertion fails where it does not."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._process_options)
        try:
            wait_for(lambda: self._ready() or self._process is None or self._process.poll() is not None)
            assert self._process.poll() is None, self._log.read_text(errors="replace")[-2000:]
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it without a word."""
        self._finish(signal.SIGKILL)

    def restart(self, away: float) -> None:
        """Kill it, and start it again that many seconds later."""
        self.kill()
        time.sleep(away)
        self.start()

    def _finish(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, by)  # the session that was started above, and nothing else
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # who did not listen, and helpers that it left
        process.wait()


def healthy(url: str) -> bool:
    """Whether ``/health`` below the address answers well."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


class MlflowServer(Service):
    """An MLflow server that keeps artifacts itself, in the folder `artifacts`; its address is `uri`."""

    def __init__(self, folder: Path, store: str) -> None:
        port = free_port()
        self.uri, self.artifacts = f"http://{_HERE}:{port}", folder / "artifacts"
        command = [sys.executable, "-m", "mlflow", "server", "--host", _HERE, "--port", str(port), "--workers", "1",
                   "--backend-store-uri", store, "--artifacts-destination", str(self.artifacts)]
        super().__init__(command, functools.partial(healthy, self.uri), folder)


@contextmanager
def mlflow_server(folder: Path, store: str = "") -> Iterator[MlflowServer]:
    """An MLflow server on the database `store` (default: SQLite in the folder)."""
    with MlflowServer(folder, store or f"sqlite:///{folder}/server.db") as server:
        yield server


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps out of the path; None where it is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, debian), os.environ["PATH"]]))
    return Path(found).resolve().parent if found else None


class PostgresServer(Service):
    """A PostgreSQL server whose role `role` owns everything."""

    def __init__(self, programs: Path, folder: Path, role: str, account: Mapping[str, Any]) -> None:
        self.port, self._role, self._programs = free_port(), role, programs
        self._there = ["-h", _HERE, "-p", str(self.port), "-U", role]
        command: list[str | Path] = [
            programs / "postgres", "-D", folder / "data", "-p", str(self.port), "-k", folder, "-h", _HERE, "-F"]
        # SIGINT does not wait for clients that still hold a connection.
        super().__init__(command, self._answers, folder, end=signal.SIGINT, **account)

    def database(self, name: str) -> str:
        """Make an empty database; its SQLAlchemy URL."""
        subprocess.run([self._programs / "createdb", *self._there, name], check=True, capture_output=True)
        return f"postgresql+psycopg://{self._role}@{_HERE}:{self.port}/{name}"

    def _answers(self) -> bool:
        asked = subprocess.run([self._programs / "pg_isready", *self._there, "-d", "postgres"], capture_output=True)
        return asked.returncode == 0


@contextmanager
def postgres_server(*initdb: str, role: str = "tester", password: str = "") -> Iterator[PostgresServer]:
    """A PostgreSQL server of our own; skips where PostgreSQL is not installed.

    It trusts everybody on this machine, unless the options `initdb` say otherwise; then `password` is the role's.
    """
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    # The server refuses to run as root, and pytest's folders are closed to others.
    account: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="photoshoot-postgres-", ignore_cleanup_errors=True) as name:
        folder, options = Path(name), list(initdb)
        if password:
            (folder / "password").write_text(password)
            options.append(f"--pwfile={folder / 'password'}")
        if account:
            os.chown(folder, _NOBODY, _NOBODY)
        made = subprocess.run([programs / "initdb", "-D", folder / "data", "-U", role, "-A", "trust", "--no-sync",
                               *options], cwd=folder, capture_output=True, text=True, **account)
        assert made.returncode == 0, made.stderr
        with PostgresServer(programs, folder, role, account) as server:
            yield server
