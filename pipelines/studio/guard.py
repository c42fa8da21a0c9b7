"""What stands before every page: who may ask, from where, for how much; and what browsers are told to refuse.

Against DNS rebinding the name in Host has to be one of ours; against requests that other sites make a browser send,
Origin has to be the page's own for whatever changes something. Probes and metrics hold nothing of anybody and are asked
for by address, so they are left alone.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/healthz", "/readyz", "/metrics")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                               "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()", "x-robots-tag": "noindex",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware. With `local` only this machine's names are answered, without, any: a token is asked for then."""

    def __init__(self, app: ASGIApp, local: bool, refused: Callable[[str], None]) -> None:
        self._app, self._local, self._refused = app, local, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                more = {**_HEADERS, "cache-control": "no-store"}
                message["headers"] = [*message["headers"], *(
                    (name.encode(), value.encode()) for name, value in more.items() if name.encode() not in there)]
            await send(message)

        problem = None if scope["path"] in OPEN else self._problem(scope)
        if problem is None:
            await self._app(scope, receive, guarded)
            return
        reason, words, remedy = problem
        self._refused(reason)
        body = json.dumps({"problem": words, "remedy": remedy}).encode()
        await guarded({"type": "http.response.start", "status": 403,
                       "headers": [(b"content-type", b"application/json"),
                                   (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    def _problem(self, scope: Scope) -> tuple[str, str, str] | None:
        hosts = _values(scope, b"host")
        name = urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 else None
        if name is None or (self._local and not is_loopback(name)):
            return "host", "this page does not answer to that name", "open it as http://127.0.0.1 with its port"
        if scope["method"] in _SAFE:
            return None
        origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
        # The scheme is not compared: before a proxy that ends TLS it is another.
        if len(origins) != 1 or urlsplit(origins[0]).netloc != hosts[0] or any(site != "same-origin" for site in sites):
            return "origin", "another site may not ask for that", "open the page itself"
        return None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
