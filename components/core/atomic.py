"""Files and folders that are either whole or not there: written beside their place, then renamed.

A process that is killed leaves what it had half written. Beside each such file or folder lies a lock that the process
holds for as long as it lives, and that the kernel lets go when it ends: `sweep` removes what nobody holds any more, and
puts back a folder that was caught between moving aside and being replaced. What a process of another machine wrote
on a shared disk counts as abandoned only when it was not touched for a day as well.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.core.errors import machine_errors

_TOKEN = re.compile(r"\.partial-(\d+-[0-9a-f]{6}|\d+)(?=\.|$)")
_ALIVE, _TAKING, _ASIDE = ".alive", ".taking", ".old"
_YOUNG_S = 60.0
_ELSEWHERE_S = 86_400.0
"""How long nothing may be heard of another machine's process: not every shared disk shares locks."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write a file to; it takes `path`'s place when the block succeeds.

    Missing parent folders are made. The temporary name keeps the suffix, for writers that look at it. When the
    block fails the temporary file is removed and whatever was at `path` stays. Raises `MachineError` where the disk
    is full or cannot be written.
    """
    path = Path(path)
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(path) as token:
            temporary = path.with_name(f".{path.stem}.partial-{token}{path.suffix}")
            try:
                yield temporary
                _sync(temporary)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new, empty temporary sibling folder of `path`; it takes `path`'s place when the block succeeds.

    A folder that was at `path` is replaced as a whole; what killed processes left of it is removed. When the block
    fails the temporary folder is removed and whatever was at `path` stays. Raises `MachineError` where the disk is full
    or cannot be written.
    """
    path = Path(path)
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        with _held(path) as token:
            temporary = path.with_name(f"{path.name}.partial-{token}")
            temporary.mkdir()
            try:
                yield temporary
                _replace_folder(temporary, path, path.with_name(f".{path.name}.partial-{token}{_ASIDE}"))
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise


def sweep(folder: Path, name: str | None = None) -> list[Path]:
    """Remove from a folder what killed processes left half written, of `name` or of everything; what was removed.

    What a living process writes stays, and so does what cannot be told. Nothing is raised: it is for whoever writes
    next to say that the disk refuses.
    """
    found: dict[str, list[Path]] = {}
    with suppress(OSError):
        for entry in os.scandir(folder):
            token = _TOKEN.search(entry.name)
            if token and (name is None or entry.name.removeprefix(".").startswith(_beginning(name))):
                found.setdefault(token[1], []).append(Path(entry.path))
    return [path for token, paths in found.items() if _is_dead(token, paths) for path in _removed(paths)]


def sweep_below(root: Path, but: Collection[str] = ()) -> list[Path]:
    """`sweep` of a folder and all folders in it, without those of the names `but`."""
    removed = []
    for place, folders, _ in os.walk(root):
        removed += sweep(Path(place))
        folders[:] = [folder for folder in folders if folder not in but and not _TOKEN.search(folder)]
    return removed


def _beginning(name: str) -> str:
    return f"{Path(name).stem if '.' in name.lstrip('.') else name}."


@contextmanager
def _held(path: Path) -> Iterator[str]:
    """A token for names of what is half written, and its lock beside `path` for as long as the block lasts."""
    token = f"{os.getpid()}-{secrets.token_hex(3)}"
    lock = path.with_name(f".{path.name}.partial-{token}{_ALIVE}")
    taking = lock.with_suffix(_TAKING)  # under its name it is seen only when it is held
    try:
        file = open(taking, "x", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        error.filename = str(path)  # what the person knows of
        raise
    with file:
        try:
            with suppress(OSError):  # a disk without locks: then nobody removes what is left there
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(socket.gethostname())
            file.flush()
            os.replace(taking, lock)
            yield token
        finally:
            taking.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _is_dead(token: str, paths: list[Path]) -> bool:
    """Whether the process that wrote these is certainly gone."""
    lock = next((path for path in paths if path.name.endswith(_ALIVE)), None)
    quiet_s = time.time() - max((_changed(path) for path in paths), default=0.0)
    if lock is None:  # of a version without locks, or its process ended between two removals
        return quiet_s > (_ELSEWHERE_S if token.isdigit() else _YOUNG_S)
    try:
        with open(lock, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            host = file.read()
    except OSError:  # held, or it cannot be told
        return False
    if host != socket.gethostname():
        return quiet_s > _ELSEWHERE_S
    return True


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _removed(paths: list[Path]) -> list[Path]:
    """Remove them, the lock last: whoever is killed here is swept up after, too."""
    for path in sorted(paths, key=lambda one: one.name.endswith(_ALIVE)):
        if path.name.endswith(_ASIDE):
            place = path.with_name(_TOKEN.split(path.name.removeprefix("."))[0])
            if not place.exists():
                with suppress(OSError):
                    os.replace(path, place)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return paths


def _replace_folder(source: Path, path: Path, aside: Path) -> None:
    """Rename the folder `source` to its sibling `path`; one that was there is moved `aside` first, then removed."""
    had_one = path.exists()
    if had_one:
        os.replace(path, aside)
    try:
        os.replace(source, path)
    except OSError:
        if had_one:
            os.replace(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    # Without this a crash soon after the rename can leave an empty file under the final name.
    with open(path, "rb") as file:
        os.fsync(file.fileno())
