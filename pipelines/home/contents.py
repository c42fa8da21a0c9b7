"""The verb `home`: where a home lies, what of it takes the space, and whether what it points to is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import machine_errors
from pipelines.home import moved as moved_home
from pipelines.home.folder import Home

KINDS = {
    "artifacts": "what the steps made", "mlflow-artifacts": "files of MLflow's runs and versions",
    "state": "checkpoints, photos fetched", "runs": "logs, results, reports", "compared": "pages of `compare`",
    "fetched": "runs made elsewhere", "cache": "which step can be reused",
}
DATABASES, OTHER = "databases", "other"


@dataclass(frozen=True)
class Reference:
    """Something that the home points to: what it is and where it is said to lie."""

    what: str
    path: str


@dataclass(frozen=True)
class Contents:
    """A home: `sizes` in bytes by kind of content; of `references` in all, those that lead to nothing and those that
    lead out of the home; whether a server keeps the records, whose references are not looked at."""

    home: str
    on_server: bool
    sizes: dict[str, int]
    references: int
    missing: list[Reference]
    outside: list[Reference]


def contents(home: Home) -> Contents:
    """Look through a home. Raises `MachineError` for a database that cannot be read."""
    with machine_errors(home.root):
        found = [*_in_database(home.root / moved_home.DATABASE), *_in_cache(home.root)]
    return Contents(
        str(home.root), not home.keeps_records, _sizes(home.root), len(found),
        missing=[reference for reference in found if not Path(reference.path).exists()],
        outside=[reference for reference in found if not Path(reference.path).is_relative_to(home.root)],
    )


def _sizes(root: Path) -> dict[str, int]:
    sizes = dict.fromkeys((*KINDS, DATABASES, OTHER), 0)
    for entry in os.scandir(root):
        kind = entry.name if entry.name in KINDS else DATABASES if ".db" in entry.name else OTHER
        sizes[kind] += _size(entry)
    return {kind: size for kind, size in sizes.items() if size}


def _size(entry: os.DirEntry[str]) -> int:
    """Bytes of a file or folder; links count as themselves, and what is deleted meanwhile as nothing."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return sum(map(_size, os.scandir(entry)))
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _in_database(path: Path) -> Iterator[Reference]:
    """Versions, and pipeline runs (of which each has files; steps need not)."""
    if not path.is_file():
        return
    with moved_home.opened(path) as database:
        if moved_home.has(database, "model_versions", "storage_location"):
            for name, version, place in database.execute(
                    "SELECT name, version, coalesce(storage_location, source) FROM model_versions "
                    "WHERE current_stage IS NOT 'Deleted_Internal' ORDER BY name, version"):
                yield from _local(f"version {version} of {name}", place)
        if moved_home.has(database, "runs", "artifact_uri"):
            for name, place in database.execute(
                    "SELECT tags.value, artifact_uri FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
                    "WHERE tags.key = ? AND lifecycle_stage = 'active' ORDER BY start_time", (moved_home.RUN_TAG,)):
                yield from _local(f"run {name}", place)


def _in_cache(root: Path) -> Iterator[Reference]:
    known = moved_home.read(root)
    for path in moved_home.cache_entries(root):
        for uri in moved_home.uris_of(moved_home.load(path)):
            if known and uri.startswith(f"{known.cached_as}/"):
                uri = f"{root}{uri.removeprefix(known.cached_as)}"
            yield from _local(f"reusable {Path(uri).name}", uri)


def _local(what: str, place: str | None) -> Iterator[Reference]:
    """Where it is a path of this machine."""
    path = moved_home.path_of(place or "")
    if path.startswith("/"):
        yield Reference(what, path)
