"""Servers that are broken in every way that a server can be, each on a free port of this machine.

Imported as ``broken``: pytest puts this folder on its path.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from servers import Handler, http_server, silent_port

SLOW_S = 3.0
"""How long the slow ones take to begin, or to end, an answer."""
SEEN: list[str] = []
"""Authorization headers that the server behind the redirecting one was shown."""


def _answering(status: int, content: bytes, kind: str, **headers: str) -> type[Handler]:
    class Answering(Handler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.reply(status, content, Content_Type=kind, **headers)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

    return Answering


def _socket(answer: Callable[[socket.socket], None]) -> Callable[[], contextmanager]:
    @contextmanager
    def serve() -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            def work() -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        threading.Thread(target=_one, args=(connection,), daemon=True).start()

            def _one(connection: socket.socket) -> None:
                with suppress(OSError), connection:
                    answer(connection)

            threading.Thread(target=work, daemon=True).start()
            yield int(listening.getsockname()[1])
            listening.shutdown(socket.SHUT_RDWR)

    return serve


def _garbage(connection: socket.socket) -> None:
    connection.sendall(bytes(range(256)) * 4)


def _closed(connection: socket.socket) -> None:
    connection.recv(10)


def _slow(connection: socket.socket) -> None:
    time.sleep(SLOW_S)


def _dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(int(SLOW_S / 0.05)):
        connection.sendall(b" ")
        time.sleep(0.05)


def _over(handler: type[Handler]) -> Callable[[], contextmanager]:
    @contextmanager
    def serve() -> Iterator[int]:
        with http_server(handler) as server:
            yield int(server.server_port)

    return serve


@contextmanager
def _redirecting() -> Iterator[int]:
    class Elsewhere(Handler):
        def do_GET(self) -> None:
            SEEN.append(self.headers.get("Authorization") or "")
            self.reply(200, b"OK")

        do_POST = do_GET

    with http_server(Elsewhere) as elsewhere:
        place = f"http://localhost:{elsewhere.server_port}/health"
        with http_server(_answering(302, b"", "text/plain", Location=place)) as server:
            yield int(server.server_port)


_PAGE = b"<!doctype html><html><body>Please log in</body></html>"
BROKEN: dict[str, Callable[[], contextmanager]] = {
    "html": _over(_answering(200, _PAGE, "text/html")), "500": _over(_answering(500, b"oh", "text/plain")),
    "401": _over(_answering(401, b'{"error_code": "UNAUTHENTICATED"}', "application/json")),
    "garbage": _socket(_garbage), "closed": _socket(_closed), "list": _over(_answering(200, b"[]", "application/json")),
    "{}": _over(_answering(200, b"{}", "application/json")), "dead": silent_port, "slow": _socket(_slow),
    "dripping": _socket(_dripping), "redirecting": _redirecting,
}
