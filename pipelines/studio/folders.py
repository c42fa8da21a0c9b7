"""The private folder of a page: everything that visitors bring and get lies in it, and goes with it.

It lies below the temporary directory, nobody else may look into it, and a lock that the kernel lets go, whatever ends
the process, tells whether its page lives: what others left is removed at the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from components.core.errors import machine_errors

PREFIX = "photoshoot-studio-"
_NEW = ".new-" + PREFIX
_LOCK = ".alive"
_STILLBORN_S = 60.0


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of our own until the block ends; those of pages that ended without removing theirs are removed first.

    Raises `MachineError` where the temporary directory cannot be written.
    """
    place = Path(tempfile.gettempdir())
    with machine_errors(place):
        remove_left(place)
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=place))  # mode 0700
        lock = open(made / _LOCK, "w")  # noqa: SIM115 -- held as long as the folder is there
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = made.rename(place / made.name.removeprefix(".new-"))  # only now it looks like a page's
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def remove_left(place: Path) -> int:
    """Remove folders whose pages are gone; how many."""
    removed = 0
    for folder in (*place.glob(f"{PREFIX}*"), *place.glob(f"{_NEW}*")):
        if _is_ours(folder) and _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _is_ours(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()


def _is_left(folder: Path) -> bool:
    try:
        if folder.name.startswith(_NEW):  # between two lines of `private_folder`, or killed there
            return time.time() - folder.stat().st_mtime > _STILLBORN_S
        with open(folder / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True  # removed half
    except OSError:
        return False
