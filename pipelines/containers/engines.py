"""Docker or podman, whichever is there: as a program that builds images, as a socket that runs containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import MachineError

_PROGRAMS = ("docker", "podman")
_SOCKET = "/var/run/docker.sock"
_START_S, _END_S = 30, 5
_IDLE_S = 300
"""Podman's service ends itself this long after the last request, whatever became of us."""
_INSTALL = "install docker or podman (apt-get install podman), and see that `podman run` or `docker info` works"


@dataclass(frozen=True)
class Engine:
    """The program docker or podman."""

    name: str

    def run(self, *arguments: str, shown: bool = False) -> str:
        """Its output (`shown`: on standard error instead). Raises `MachineError` with its last line when it fails."""
        environment = os.environ | {"DOCKER_BUILDKIT": "1"}
        done = subprocess.run([self.name, *arguments], stdout=2 if shown else subprocess.PIPE,
                              stderr=None if shown else subprocess.PIPE, text=True, check=False, env=environment)
        if done.returncode:
            said = "its output is above" if shown else (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise MachineError(f"{self.name} {arguments[0]} failed: {said}", remedy=f"try {self.name} by hand")
        return "" if shown else done.stdout.strip()

    def inspect(self, reference: str) -> dict[str, Any] | None:
        """What the engine knows about an image that is here, None where it is not."""
        done = subprocess.run([self.name, "image", "inspect", reference], capture_output=True, text=True, check=False)
        return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else None

    def digest(self, reference: str) -> str | None:
        """Digest of an image that is here: of its manifest where a registry knows it, else its id."""
        found = self.inspect(reference)
        if found is None:
            return None
        known = [digest for digest in found.get("RepoDigests") or [] if "@" in digest]
        return known[0].partition("@")[2] if known else str(found["Id"])

    def label(self, reference: str, name: str) -> str | None:
        """A label of an image, None where there is no such image or label."""
        found = self.inspect(reference)
        return None if found is None else ((found.get("Config") or {}).get("Labels") or {}).get(name)

    def pull(self, reference: str) -> str:
        """Fetch an image; its digest."""
        self.run("pull", reference, shown=True)
        return self.digest(reference) or ""

    def push(self, local: str, remote: str, *, insecure: bool = False) -> str:
        """Push an image under another name; the digest of its manifest. `insecure`: over plain HTTP (podman; docker
        decides by itself, and does so for this machine)."""
        if self.name == "podman":
            with tempfile.NamedTemporaryFile("r", prefix="photoshoot-digest-") as file:
                verify = ["--tls-verify=false"] if insecure else []
                self.run("push", "--quiet", *verify, f"--digestfile={file.name}", local, remote)
                return Path(file.name).read_text(encoding="utf-8").strip()
        self.run("tag", local, remote)
        self.run("push", "--quiet", remote)
        name = remote.rpartition(":")[0]
        known = (self.inspect(remote) or {}).get("RepoDigests") or []
        return str(next(one for one in known if one.startswith(f"{name}@"))).partition("@")[2]


def find_engine(wanted: str = "") -> Engine:
    """Docker or podman, the first that answers. Raises `MachineError` with what to install where none does."""
    said = []
    for name in (wanted,) if wanted else _PROGRAMS:
        if not shutil.which(name):
            said.append(f"no {name}")
            continue
        done = subprocess.run([name, "info"], capture_output=True, text=True, check=False)
        # The docker program answers without a server too, and says so on standard error.
        if done.returncode == 0:
            return Engine(name)
        said.append(f"{name}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    raise MachineError(f"no container engine ({'; '.join(said)})", remedy=_INSTALL)


@contextmanager
def engine_socket() -> Iterator[str]:
    """Address of an engine's API: DOCKER_HOST, docker's socket, or a podman service of our own while the block lasts.

    Raises `MachineError` where there is no engine, or podman's service does not start.
    """
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
    elif _answers(f"unix://{_SOCKET}"):
        yield f"unix://{_SOCKET}"
    elif shutil.which("podman"):
        with _podman_service() as address:
            yield address
    else:
        raise MachineError(f"no container engine (no DOCKER_HOST, nothing answers at {_SOCKET}, no podman)",
                           remedy=_INSTALL)


@contextmanager
def _podman_service() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="photoshoot-podman-") as folder:  # mode 0700: nobody else may use it
        address, log = f"unix://{folder}/podman.sock", Path(folder, "log.txt")
        with log.open("wb") as output:
            service = subprocess.Popen(["podman", "system", "service", f"--time={_IDLE_S}", address],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(address):
                if service.poll() is not None or time.monotonic() > deadline:
                    said = (log.read_text(errors="replace").strip().splitlines() or ["no word"])[-1]
                    raise MachineError(f"podman's service does not start: {said}", remedy=_INSTALL)
                time.sleep(0.1)
            yield address
        finally:
            service.terminate()
            try:
                service.wait(_END_S)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()


def _answers(address: str) -> bool:
    import docker

    if not Path(address.removeprefix("unix://")).exists():
        return False
    try:
        client = docker.DockerClient(base_url=address, timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()
