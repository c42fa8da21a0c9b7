"""``photoshoot run --backend containers``: each step in its image, with docker or podman, on this machine.

The home folder, the photos and files that settings name are mounted under the paths that they have here, so the same
job runs with and without containers. A container sees nothing else of the machine, runs as the person who started it,
without privileges, on a read-only file system. Whatever ends the command, its containers end with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.core import progress
from components.core.atomic import atomic_path
from components.core.errors import InputError, MachineError
from components.core.record import tracking
from components.core.settings import Settings
from components.core.stores.known_weights import CACHE, KNOWN, PLACE, cache_folder
from components.core.stores.storage import is_remote
from components.core.stores.wanted import wanted_weights
from pipelines.containers.engines import engine_socket
from pipelines.containers.images import LOCAL, images
from pipelines.home.folder import Home
from pipelines.steps import steps_of_run

if TYPE_CHECKING:
    import docker

OWNER = "photoshoot.home"
"""Label of a container: the home folder whose run started it."""
_HANDED_ON = re.compile(
    r"PHOTOSHOOT_|MLFLOW_|OPTUNA_|GOOGLE_|CUDA_VISIBLE_DEVICES$|OMP_NUM_THREADS$|STORAGE_EMULATOR_HOST$"
    r"|(HTTPS?|NO|https?|no)_(PROXY|proxy)$")
_MEMORY = re.compile(r"\d+[mg]")


@dataclass(frozen=True)
class Limits:
    """What each container may take of the machine."""

    memory: str = ""
    """Such as 8g or 500m; empty: no limit."""

    def __post_init__(self) -> None:
        if self.memory and not _MEMORY.fullmatch(self.memory):
            raise InputError(f"{self.memory!r} is not a memory size", remedy="write --memory 8g or --memory 500m")


@dataclass(frozen=True)
class Setup:
    """What containers are started with; the job of the process in which KFP's local runner works carries it."""

    address: str
    """Of the engine's API."""
    owner: str
    """Home folder, as the containers' label."""
    user: str
    """uid:gid of the processes."""
    mounts: dict[str, str] = field(default_factory=dict)
    """Folder or file, under the same path inside -> rw or ro."""
    options: dict[str, Any] = field(default_factory=dict)
    """More keywords of docker's containers.create."""
    events: str = ""
    """File for events."""
    log: str = ""
    """File that the steps' output is appended to."""

    def to_tree(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


@contextmanager
def containers(settings: Settings, photos: str | None, home: Home, events: Path, log: Path, limits: Limits
               ) -> Iterator[Setup]:
    """An engine that has the images, and what to start containers with; when the block is left, none is left behind.

    Args:
        settings: What each step does; local files that they name are mounted.
        photos: Absolute folder of photos, if there are any.
        home: Mounted with everything in it.
        events: File for the steps' events, in the home folder.
        log: File for what they print, in the home folder.
        limits: What each container may take.

    Raises:
        MachineError: No engine, or images that are not built.
    """
    with engine_socket() as address, connected(address) as client:
        _check_images(client, steps_of_run(synthetic=photos is None, tuned=settings.tune.enabled))
        end_all(client, str(home.root))  # of a run that was killed together with its engine's service
        _lend_weights(settings, photos, home.root / "downloads" / "weights")
        user, options = _as_this_user(client)
        setup = Setup(address, str(home.root), user, _mounts(settings, photos, home),
                      options | _devices(client) | ({"mem_limit": limits.memory} if limits.memory else {}),
                      str(events), str(log))
        try:
            yield setup
        finally:
            end_all(client, str(home.root))


@contextmanager
def connected(address: str) -> Iterator[docker.DockerClient]:
    """A client of an engine's API. Raises `MachineError` when it does not answer."""
    import docker

    try:
        client = docker.DockerClient(base_url=address, version="auto")
    except docker.errors.DockerException as error:
        raise MachineError(f"the container engine at {address} does not answer: {error}",
                           remedy="start it, or set DOCKER_HOST") from error
    with contextlib.closing(client):
        yield client


def end_all(client: docker.DockerClient, owner: str) -> None:
    """Remove every container that a run of this home folder started, running or not."""
    import docker

    # Sparse: looking at each of them fails when one is gone meanwhile.
    for container in client.containers.list(all=True, sparse=True, filters={"label": f"{OWNER}={owner}"}):
        with contextlib.suppress(docker.errors.APIError):  # gone meanwhile
            container.remove(force=True)


def environment(setup: Setup, here: Mapping[str, str]) -> dict[str, str]:
    """What a step's process is handed: of the environment `here` what concerns it, nothing else of this machine."""
    handed = {name: value for name, value in here.items() if _HANDED_ON.match(name)}
    for name in (tracking.RUN_ID, "PHOTOSHOOT_HOME", "PHOTOSHOOT_DEBUG"):
        handed.pop(name, None)
    if weights := _weights_folder(here):
        handed[PLACE] = weights
    return handed | {CACHE: f"{setup.owner}/downloads", progress.PROGRESS_FILE: setup.events}


def _weights_folder(here: Mapping[str, str]) -> str:
    """The folder that PHOTOSHOOT_WEIGHTS names, absolute; empty where it names none that is here."""
    place = here.get(PLACE, "")
    return str(Path(place).resolve()) if place and not is_remote(place) and Path(place).is_dir() else ""


def _lend_weights(settings: Settings, photos: str | None, folder: Path) -> None:
    """Published weights that this machine has, put where the containers keep what they fetch."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted_weights(settings, photos is not None):
        here, there = cache_folder() / KNOWN[name].file, folder / KNOWN[name].file
        if here.is_file() and not there.is_file():
            with atomic_path(there) as partial:
                shutil.copyfile(here, partial)


def _check_images(client: docker.DockerClient, steps: tuple[str, ...]) -> None:
    import docker

    wanted = images(LOCAL)
    for name in steps:
        try:
            client.images.get(wanted[name])
        except docker.errors.ImageNotFound:
            raise MachineError(f"no image {wanted[name]} for step {name}: not built yet, or from other code",
                               remedy="make images") from None


def _as_this_user(client: docker.DockerClient) -> tuple[str, dict[str, Any]]:
    """User of the processes, so that what they write belongs to the person here, and what the engine needs for it."""
    rootless = any("rootless" in option for option in client.info().get("SecurityOptions") or [])
    podman = any("podman" in str(part.get("Name", "")).lower() for part in client.version().get("Components") or [])
    if rootless and not podman:
        return "0:0", {}  # root inside is the person outside
    return f"{os.getuid()}:{os.getgid()}", {"userns_mode": "keep-id"} if rootless else {}


def _devices(client: docker.DockerClient) -> dict[str, Any]:
    """All GPUs, where the engine can hand them on (docker with NVIDIA's container toolkit)."""
    if "nvidia" not in (client.info().get("Runtimes") or {}):
        return {}
    return {"device_requests": [{"Count": -1, "Capabilities": [["gpu"]]}]}


def _mounts(settings: Settings, photos: str | None, home: Home) -> dict[str, str]:
    mounts = {path: "ro" for path in _files(settings.to_tree())}
    for name, value in os.environ.items():
        if _HANDED_ON.match(name) and not name.startswith("PHOTOSHOOT_") and _is_local(value):
            mounts[value] = "ro"
    if photos:
        mounts[photos] = "ro"
    if weights := _weights_folder(os.environ):
        mounts[weights] = "ro"
    for url in (home.tracking_uri, home.studies_url):  # SQLite writes more files beside the database
        if url.startswith("sqlite:///"):
            mounts[str(Path(urlsplit(url).path.removeprefix("/")).parent)] = "rw"
    mounts[str(home.root)] = "rw"
    return mounts


def _files(tree: Any) -> Iterator[str]:
    """Local files and folders that settings name."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _files(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _files(value)
    elif isinstance(tree, str) and _is_local(tree):
        yield tree


def _is_local(value: str) -> bool:
    return value.startswith("/") and len(value) < 4096 and Path(value).exists()


