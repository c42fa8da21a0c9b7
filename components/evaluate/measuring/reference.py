"""What real photos measure, kept between evaluations of the same photos by the same networks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from components.core.atomic import atomic_path
from components.core.digest import code_digest, json_digest
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.measure import Instruments, Reals, measure_reals

FORMAT = "photoshoot.reference/2"


def reference(people: Album, members: Mapping[str, npt.NDArray[np.int64]], instruments: Instruments, label: str,
              cache: Path | None) -> Reals:
    """`measure_reals`, read from the folder `cache` where it is there under the digest of photos and networks, and
    kept there where it is not. A file that cannot be read is made anew. None: nothing is kept."""
    if cache is None:
        return measure_reals(people, members, instruments, label)
    path = cache / f"{_digest(people, members, instruments)}.npz"
    found = _read(path)
    if found is None:
        found = measure_reals(people, members, instruments, label)
        with atomic_path(path) as partial:
            np.savez(partial, **{field.name: getattr(found, field.name) for field in fields(Reals)})
    return found


def _read(path: Path) -> Reals | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {field.name: file[field.name] for field in fields(Reals)}
    except (OSError, ValueError, LookupError, EOFError, SyntaxError, TypeError, RuntimeError, OverflowError,
            MemoryError, TokenError, zlib.error, BadZipFile):
        return None
    return Reals(**{**values, "identities": values["identities"].tolist()})


def _digest(people: Album, members: Mapping[str, npt.NDArray[np.int64]], instruments: Instruments) -> str:
    """Over the photos (by the data set's digest), whose they are, the networks that look at them, and the code."""
    content = [FORMAT, people.people.digest, people.size, {name: group.tolist() for name, group in members.items()},
               instruments.features.name, instruments.embedder.name, instruments.body.name,
               instruments.finder.name,
               code_digest("core", "evaluate")]
    return json_digest(content)
