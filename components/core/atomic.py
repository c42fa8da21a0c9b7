"""Files and folders that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.errors import machine_errors


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write a file to; it takes `path`'s place when the block succeeds.

    Missing parent folders are made. The temporary name keeps the suffix, for writers that look at it. When the
    block fails the temporary file is removed and whatever was at `path` stays. Raises `MachineError` where the disk
    is full or cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
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

    A folder that was at `path` is replaced as a whole. When the block fails the temporary folder is removed and
    whatever was at `path` stays. Raises `MachineError` where the disk is full or cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.partial-{os.getpid()}")
    with machine_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            replace_folder(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def replace_folder(source: Path, path: Path) -> None:
    """Rename the folder `source` to its sibling `path`; a folder that was there is moved aside first, then removed."""
    aside = path.with_name(f"{path.name}.old-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
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
