"""The verb `studio`: the page, from the command to its end."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import InputError, MachineError, machine_errors
from pipelines.display import errors
from pipelines.pictures.shooting import OWN_POSES
from pipelines.processes import terminable
from pipelines.studio.folders import private_folder
from pipelines.studio.guard import is_loopback
from pipelines.studio.limits import Limits
from pipelines.studio.models import Asked, Models

if TYPE_CHECKING:
    from pipelines.studio.app import Studio
    from pipelines.studio.painting import Painter

TOKEN = "PHOTOSHOOT_STUDIO_TOKEN"
_SHORTEST = 8
_MLFLOW = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""A registry that is away is asked again in a minute: MLflow's own retries would take several."""


@dataclass(frozen=True)
class Place:
    """Where the page is, and who may come."""

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    open_browser: bool = False

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def token_from(file: Path | None) -> str | None:
    """The token that visitors have to know: the content of a file, else the environment's, else none.

    Raises `InputError` for a file that cannot be read, and for one that is easily guessed.
    """
    if file is None:
        found, where = os.environ.get(TOKEN, ""), TOKEN
        if not found:
            return None
    else:
        try:
            found, where = file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the token cannot be read ({error})", path=file, remedy="name a text file") from None
    if len(found.strip()) < _SHORTEST:
        raise InputError(f"the token in {where} is shorter than {_SHORTEST} letters",
                         remedy="make one with `openssl rand -hex 16`")
    return found.strip()


def serve(asked: Asked, place: Place, limits: Limits | None = None) -> None:
    """Show the page until interrupted.

    The address is printed once it answers; the model is loaded after that. Raises `InputError` for a host that others
    can reach without a token, `MachineError` where nothing can listen there.
    """
    if not place.local and place.token is None:
        raise InputError("others can reach this host, and everybody could use the page", path=place.host,
                         remedy=f"give --token-file or {TOKEN}, or leave --host out")
    if asked.path is not None and not asked.path.exists():
        raise InputError("no such model", path=asked.path, remedy="check the name")
    for name, value in _MLFLOW.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("pipelines.studio").setLevel(logging.INFO)
    with (_listening(place) as sock, private_folder() as folder, running(asked, place, folder, limits) as studio,
          contextlib.suppress(KeyboardInterrupt), terminable()):
        import uvicorn

        from pipelines.studio.app import application

        # No access log: it would hold the names of pictures.
        config = uvicorn.Config(application(studio), log_config=None, access_log=False, server_header=False, ws="none",
                                timeout_graceful_shutdown=3, limit_concurrency=256, lifespan="off")
        server = uvicorn.Server(config)
        threading.Thread(target=_tell, args=(server, sock, place), daemon=True).start()
        server.run(sockets=[sock])


@contextlib.contextmanager
def running(asked: Asked, place: Place, folder: Path, limits: Limits | None = None) -> Iterator[Studio]:
    """What is behind the page, at work until the block ends."""
    from pipelines.studio.app import Studio
    from pipelines.studio.metrics import Metrics
    from pipelines.studio.visitors import Visitors
    from pipelines.studio.worker import Worker

    bounds = limits or Limits()
    visitors, models, poses = Visitors(folder, bounds), Models(asked), asked.home.root / OWN_POSES

    def painter() -> Painter:
        from pipelines.studio.painting import Painter

        return Painter(visitors, metrics, poses)

    worker = Worker(visitors, models, painter)
    metrics = Metrics(worker.length, visitors.__len__)
    worker.start()
    try:
        yield Studio(visitors, models, worker, metrics, bounds, poses, f"photoshoot-{place.port}", place.local,
                     place.token)
    finally:
        worker.stop()


@contextlib.contextmanager
def _listening(place: Place) -> Iterator[socket.socket]:
    """A socket that takes connections from now on: they wait until somebody answers."""
    where = f"{place.host}:{place.port}"
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with machine_errors(where):
            try:
                sock.bind((place.host.strip("[]"), place.port))
                sock.listen(128)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise
                raise MachineError(f"cannot listen there: {error.strerror or error}", path=where,
                                   remedy="choose another --host or --port") from error
        yield sock


def _tell(server: object, sock: socket.socket, place: Place) -> None:
    """Print the address, and open the browser where there is one."""
    port = sock.getsockname()[1]
    name = "127.0.0.1" if place.host in ("0.0.0.0", "::", "localhost") else place.host
    address = f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"
    errors.print(f"photoshoot studio: {address}   (Ctrl-C ends it)")
    if place.open_browser and _has_display():
        with contextlib.suppress(webbrowser.Error, OSError):
            webbrowser.open(address)


def _has_display() -> bool:
    """Whether a browser would have a window; one in the terminal would take it over."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
