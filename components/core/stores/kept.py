"""A folder that outlives the machine: what is in it lies in the state of interrupted steps, on this disk or on gs://."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.core.errors import InputError
from components.core.stores.storage import is_remote, open_location


@contextmanager
def kept_folder(state: str | None, name: str) -> Iterator[Path | None]:
    """The folder `name` below `state`, to read and write; None without a state.

    On gs:// it is a copy, and files that are new in it are sent there when the block ends, however it ends. So files
    in it do not change, and may be missing: it holds what can be made again. Raises `MachineError` where the bucket
    does not answer.
    """
    if state is None:
        yield None
        return
    if not is_remote(state):
        yield Path(state) / name
        return
    place = open_location(f"{state}/{name}")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / name
        with suppress(InputError):  # there is nothing yet, or it was removed meanwhile
            place.download(here)
        here.mkdir(exist_ok=True)
        known = set(_names(here))
        try:
            yield here
        finally:
            for new in sorted(set(_names(here)) - known):
                place.write_bytes(new, (here / new).read_bytes())


def remove_all(place: str) -> None:
    """Remove everything below an address on gs://."""
    location = open_location(place)
    for name in location.list():
        location.remove(name)


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")]
