"""What the tests' own servers promise: they answer while the block lasts and are gone after it, also when it fails."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from servers import Handler, Service, free_port, gcs_emulator, gcs_proxy, http_server, silent_port, url_of, wait_for

from components.core.stores.storage import open_location

_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
_SERVE = """
import os, signal, sys, time
from http.server import HTTPServer, SimpleHTTPRequestHandler
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a helper, as servers have
    time.sleep(600)
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        found += [int(stat.parent.name)] * (int(its) == session and state != "Z")
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
@pytest.mark.parametrize("code", [_SERVE, _STUBBORN + _SERVE])
def test_a_program_and_its_helpers_end_when_a_test_fails(code: str, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers._END_S", 1)
    port = free_port()
    command = [sys.executable, "-c", code, str(port)]
    with pytest.raises(KeyError), Service(command, lambda: listens(port), tmp_path) as it:
        session = it._process.pid if it._process else 0
        assert len(members(session)) == 2 and listens(port)
        raise KeyError
    wait_for(lambda: not members(session), 5)
    assert not listens(port)


def test_a_program_that_is_taken_away_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with Service([sys.executable, "-c", _SERVE, str(port)], lambda: listens(port), tmp_path, end=signal.SIGINT) as it:
        it.kill()
        assert not listens(port)
        it.restart(away=0)
        assert listens(port)


def test_a_program_that_ends_at_once_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such database')"]
    with pytest.raises(AssertionError, match="no such database"), Service(command, lambda: False, tmp_path):
        pass


class Hello(Handler):
    def do_GET(self) -> None:
        self.reply_json(200, "hello")


def _hello() -> AbstractContextManager[object]:
    return http_server(Hello)


@pytest.mark.parametrize("serve", [_hello, lambda: gcs_emulator("bucket"), lambda: gcs_proxy("bucket")])
def test_a_server_in_a_thread_ends_when_a_test_fails(serve: Callable[[], AbstractContextManager[object]],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    ports = []
    real = socket.socket.listen

    def noted(self: socket.socket, *backlog: int) -> None:
        real(self, *backlog)
        ports.append(self.getsockname()[1])

    monkeypatch.setattr("socket.socket.listen", noted)
    with pytest.raises(KeyError), serve():
        assert ports and all(map(listens, ports))
        raise KeyError
    assert not any(map(listens, ports))


def test_a_silent_port_refuses_and_stays_taken() -> None:
    with silent_port() as port:
        assert not listens(port)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_answers_are_whole() -> None:
    with http_server(Hello) as server:
        connection = http.client.HTTPConnection(url_of(server).removeprefix("http://"))
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"], answer.read()) == (200, "application/json", b'"hello"')
        connection.close()


def test_the_proxy_refuses_what_it_is_told_to_and_counts() -> None:
    with gcs_proxy("bucket") as proxy:
        proxy.refuse = lambda number, kind: kind.startswith("POST") and not proxy.refused
        place = open_location("gs://bucket/a")
        place.write_bytes("b", b"content")
        assert place.read_bytes("b") == b"content"
        assert proxy.refused == ["POST /upload/storage/v1"] and proxy.requests >= 3
