"""Are a version's files those that were registered? The files on the disk against the ledger's record of them.

A version from before there were records says in its tags what its weights are; of the rest of it nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model import GENERATOR
from components.core.digest import file_digest
from components.core.errors import DataError
from components.core.record.ledger import RECORDED, Record

CODE = "pyfunc_model.py"
"""The file of a version that MLflow runs when it loads it."""
ARTIFACTS = "artifacts"
"""The folder of a version with what `registry.Versions.files` gives."""
MODEL_TAG = "digest.model"
"""Tag of a version: sha256 of its generator."""
_MLFLOWS = ("registered_model_meta",)
"""Files that MLflow writes into a version's folder when it loads it."""
_CACHE = "__pycache__"
"""What Python makes of `CODE`, beside it; whoever runs a version must not read it from there (`try_out`)."""
_SHA256 = re.compile("[0-9a-f]{64}")
ACCEPT = '--accept-changed "why" takes it as it is, and the ledger keeps why'


@dataclass(frozen=True)
class Change:
    """A file of a version that is not as it was registered, by its path in the version's folder."""

    path: str
    what: str
    """What became of it: changed, missing, or not one of the version's."""

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def digests_of(folder: Path, only: str = "") -> dict[str, str]:
    """Path in the folder -> sha256, of all files of a version, or of those whose path begins with `only`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(only) and name not in _MLFLOWS and _CACHE not in path.parts and not path.is_dir():
            found[name] = file_digest(path) if path.is_file() and not path.is_symlink() else "no file"
    return found


def changes(folder: Path, record: Record | None, tags: Mapping[str, str], only: str = "") -> tuple[Change, ...]:
    """What of a version's folder is not as it was registered; of its files whose path begins with `only`.

    `record` is the ledger's, `tags` are the version's, by which its weights are checked where there is no record.
    """
    if record is None:
        path, digest = f"{ARTIFACTS}/{GENERATOR}", tags.get(MODEL_TAG, "")
        there = folder / path
        known = _SHA256.fullmatch(digest) and there.is_file()
        return (Change(path, "was changed"),) if known and file_digest(there) != digest else ()
    wanted = {name: digest for name, digest in record.files.items() if name.startswith(only)}
    found = digests_of(folder, only)
    words = [(name, "is missing" if name not in found else "was changed") for name, digest in wanted.items()
             if found.get(name) != digest]
    words += [(name, "was not registered with it") for name in found if name not in wanted]
    return tuple(Change(name, what) for name, what in sorted(words))


def refuse(name: str, number: str, changed: tuple[Change, ...], where: str) -> None:
    """Raise `DataError`, which names the files, where there are changes."""
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise DataError(f"version {number} of {name} is not as it was registered: "
                        f"{', '.join(map(str, changed[:3]))}{more}", path=where,
                        remedy=f"put the file back, or register the model again; {ACCEPT}")


def unrecorded(name: str, number: str, tags: Mapping[str, str]) -> str:
    """What to say of a version without a record: how it comes, and what that means."""
    if RECORDED in tags:
        return (f"the ledger's record of version {number} of {name} is gone: its files could be compared with its "
                "tags only; `photoshoot audit` shows what else is missing")
    return (f"version {number} of {name} is not recorded: it was registered before the ledger kept what a version "
            "consists of, so only its weights were compared with its tags")
