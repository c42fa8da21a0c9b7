"""A real page on loopback, real networks behind it, and synthetic people to bring."""

from __future__ import annotations

import http.cookiejar
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from components.core.settings import SynthesizeSettings
from components.core.stores.published import GROUPS
from components.synthesize import synthesize
from pipelines.home.folder import Home
from pipelines.studio.app import Studio, application
from pipelines.studio.limits import Limits
from pipelines.studio.models import Asked
from pipelines.studio.server import Place, running
from tests.support.networks import needs_weights


@dataclass
class Served:
    """A page that answers at `address`."""

    address: str
    studio: Studio
    folder: Path


@contextmanager
def served(folder: Path, *, token: str | None = None, local: bool = True, limits: Limits | None = None,
           asked: Asked | None = None) -> Iterator[Served]:
    folder.mkdir(mode=0o700, exist_ok=True)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        place = Place("127.0.0.1" if local else "0.0.0.0", sock.getsockname()[1], token)
        asked = asked or Asked(Home(folder / "home"), version="starter")
        with running(asked, place, folder, limits) as studio:
            server = uvicorn.Server(uvicorn.Config(application(studio), log_level="error", lifespan="off"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
            thread.start()
            yield Served(f"http://127.0.0.1:{place.port}", studio, folder)
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., AbstractContextManager[Served]]:
    return lambda **how: served(tmp_path / "private", **how)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four plain photos: two of one synthetic person, two of another."""
    root = tmp_path_factory.mktemp("sitters")
    drawn = {"people": 2, "photos_per_person": 2, "outfits_per_person": 1, "height": 320, "back_views": 0.0,
             "first_person": 3, "write_maps": False}
    return sorted((synthesize(root, SynthesizeSettings.model_validate(drawn), workers=1).folder / "photos").iterdir())


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory, photos: list[Path]) -> Iterator[Served]:
    """The page with the starter model, as everybody gets it."""
    needs_weights(*GROUPS["landmarks"], "sface")
    with served(tmp_path_factory.mktemp("studio") / "private",
                limits=Limits(photo_bytes=2_000_000, request_bytes=4_000)) as one:
        yield one


class Client:
    """A visitor without a browser."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def __call__(self, method: str, path: str, body: bytes | dict[str, Any] | None = None,
                 **headers: str) -> tuple[int, bytes]:
        """Status and content."""
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        more = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, sent, {"Origin": self.address, **more, **given},
                                         method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def said(self, *request: Any, **headers: str) -> dict[str, Any]:
        """The content of a JSON answer."""
        return dict(json.loads(self(*request, **headers)[1]))

    def state(self) -> dict[str, Any]:
        return self.said("GET", "/api/state")

    def settled(self) -> dict[str, Any]:
        """The state once nothing is under way."""
        while (state := self.state())["busy"]:
            time.sleep(0.05)
        return state

    def bring(self, content: bytes, kind: str = "person", name: str = "me.jpg") -> str:
        answer = self.said("POST", f"/api/photos/{kind}", content, X_Name=name)
        return str(answer["id"])


@pytest.fixture
def visitor() -> Callable[[Served], Client]:
    """visitor(page): somebody who has opened it."""

    def come(page: Served) -> Client:
        client = Client(page.address)
        assert client("GET", "/")[0] == 200
        return client

    return come
