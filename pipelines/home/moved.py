"""A home folder that was copied or renamed: what points to its old place is made to point to where it lies now.

MLflow finds a run's files by absolute paths in its database, from any working directory and without this package;
relative ones it takes from wherever it is called. So the paths stay absolute, the home remembers where it was when
they were last right (`FILE`), and whoever opens it elsewhere puts them right. The order makes that safe to kill: first
the places that paths may point to are written down, then the database changes in one transaction and the files one by
one, at last the new place is written. What was done is not done again, what was not is.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from components.core.atomic import atomic_path
from components.core.documents import MOST_JSON, MOST_SUMMARY, json_object, json_value, read_bytes
from components.core.errors import DataError, MachineError, machine_errors

FILE, FORMAT = "home.json", "photoshoot.home/1"
DATABASE = "mlflow.db"
RUN_TAG, HOME_TAG, PHOTOS_TAG = "photoshoot.run", "photoshoot.home", "photoshoot.photos"
RUN_LOCK = ".lock"
"""Held by a pipeline run for as long as it lives."""
HERE = "home:"
"""How the cache calls the home, whose place is nobody's business there; see `Record.cached_as`."""

_REPAIR_LOCK = ".repair-lock"
_BUSY_S = 30.0
_RESULT_PATHS = ("report", "contact_sheet", "folder")
_COLUMNS = (
    ("experiments", "artifact_location", ""),
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("datasets", "dataset_source", ""),
    ("tags", "value", f"key IN ('{HOME_TAG}', '{PHOTOS_TAG}')"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)
"""Where MLflow's database has paths: table, column, of which rows. Other text (an error's, say) may begin with a path
too and is left alone."""


@dataclass(frozen=True)
class Record:
    """What a home knows of its own place."""

    root: str
    """Where it was when all paths were right."""
    cached_as: str = HERE
    """How the cache's keys and entries call the home: `HERE`, or for a home older than its record the place where
    its entries were made, because that is in their keys."""
    pending: tuple[str, ...] = ()
    """Places that paths may still point to, because a repair has not ended."""

    def right_at(self, root: Path) -> bool:
        """Whether all paths are right for a home that lies at `root`."""
        return self.root == str(root) and not self.pending


@dataclass(frozen=True)
class Repair:
    """What was put right: the places the home had been, and how many paths in the database and files changed."""

    places: tuple[str, ...]
    rows: int
    files: int


class Places:
    """Paths under any of the folders `old` become paths under `now`; where these lie in one another, the longest that
    fits decides, so that doing it twice changes nothing more."""

    def __init__(self, old: set[str], now: str) -> None:
        named = {path: now for path in (*old, now)}
        # MLflow takes file:// too.
        named |= {_as_uri(path): _as_uri(now) for path in (*old, now) if path.startswith("/")}
        self._named = sorted(named.items(), key=lambda item: -len(item[0]))

    def moved(self, value: Any) -> Any:
        """A path, file:// address, or JSON object with one as its "uri", where it is now; anything else as it is."""
        if not isinstance(value, str):
            return value
        if value.startswith("{"):
            return self._in_json(value)
        for old, now in self._named:
            if value == old or value.startswith(f"{old}/"):
                return now + value[len(old):]
        return value

    def _in_json(self, value: str) -> str:
        try:
            content = json_object(value)
        except ValueError:
            return value
        uri = content.get("uri")
        moved = self.moved(uri)
        return value if moved == uri else json.dumps(content | {"uri": moved})

    def under(self, keys: Collection[str], content: Any) -> Any:
        """A JSON document with the same done to what stands under `keys`, at any depth."""
        if isinstance(content, dict):
            return {key: self.moved(value) if key in keys and isinstance(value, str) else self.under(keys, value)
                    for key, value in content.items()}
        return [self.under(keys, value) for value in content] if isinstance(content, list) else content


def settle(root: Path, *, again: bool = False) -> Repair | None:
    """See that the paths of the home at `root` (absolute, without links) are right; None where they were.

    Costs a file of a line to read as long as the home stays where it is. `again` looks through everything whatever the
    record says. Raises `MachineError` where the home cannot be written or a run is under way in it.
    """
    known = read(root)
    if known and known.right_at(root) and not again:
        return None
    with machine_errors(root), _locked(root / _REPAIR_LOCK):
        known = read(root)  # another command may have been first
        if known is None or again:
            found = _derived(root)
            known = found if known is None else replace(known, pending=tuple({*known.pending, *found.pending}))
            if known.right_at(root):
                write(root, known)
        return None if known.right_at(root) else _repair(root, known)


def tell(repair: Repair, root: Path) -> None:
    """Say what was put right, and what was not: a server's records are not this machine's to change."""
    from pipelines.display import errors, say

    say(f"this home was at {' and '.join(repair.places)}: {repair.rows} paths in its database and "
        f"{repair.files} files now lead to {root}")
    if not keeps_records(root):
        errors.print("MLFLOW_TRACKING_URI is set: what that server keeps of its runs is left as it is", soft_wrap=True)


def keeps_records(root: Path) -> bool:
    """Whether runs of the home at `root` are recorded in its own database, by the environment."""
    return os.environ.get("MLFLOW_TRACKING_URI", "") in ("", f"sqlite:///{root / DATABASE}")


def read(root: Path) -> Record | None:
    """The home's record, if it has one. Raises `DataError` for one of another format."""
    path = root / FILE
    try:
        content = json_object(read_bytes(path, MOST_JSON))
        if content.pop("format") != FORMAT:
            raise ValueError
        return Record(str(content["root"]), str(content["cached_as"]), tuple(map(str, content["pending"])))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = "use the version of photoshoot that wrote it, or remove the file: it is made anew"
        raise DataError(f"not a home's record of format {FORMAT}", path=path, remedy=remedy) from None


def write(root: Path, record: Record) -> None:
    """Keep the home's record."""
    with atomic_path(root / FILE) as partial:
        partial.write_text(json.dumps({"format": FORMAT, **asdict(record)}) + "\n", encoding="utf-8")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database at `path`, which must be there; one transaction at a time, begun by hand.

    Raises `MachineError` for a file that is no database, or one that is in use for longer than half a minute.
    """
    try:
        # Bytes that a killed process left half-written are taken back by SQLite, which has to write for that.
        database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise MachineError(f"the database cannot be used: {error}", path=path,
                           remedy="make sure it can be read and written, and that no other program uses it") from error


def has(database: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether this MLflow's database has that column."""
    return any(row[1] == column for row in database.execute(f'PRAGMA table_info("{table}")'))


def cache_entries(root: Path) -> list[Path]:
    """The files in which the cache says what a step made, oldest first."""
    return sorted((root / "cache").glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def uris_of(entry: Any) -> list[str]:
    """The addresses of artifacts in a cache entry."""
    if isinstance(entry, dict):
        own = [entry["uri"]] if isinstance(entry.get("uri"), str) else []
        return own + [uri for value in entry.values() for uri in uris_of(value)]
    return [uri for value in entry for uri in uris_of(value)] if isinstance(entry, list) else []


def _repair(root: Path, known: Record) -> Repair:
    with _no_run(root):
        old = {known.root, *known.pending} - {str(root)}
        write(root, replace(known, pending=tuple(sorted({*known.pending, *old, str(root)}))))
        rows = _in_database(root / DATABASE, Places(old, str(root)))
        cached, kept = Places(old - {known.cached_as}, known.cached_as), Places(old, str(root))
        files = sum(_in_file(path, cached, ("uri",)) for path in cache_entries(root))
        files += sum(_in_file(path, kept, _RESULT_PATHS) for path in sorted(root.glob("runs/*/result.json")))
        write(root, Record(str(root), known.cached_as))
    return Repair(tuple(sorted(old)), rows, files)


def _in_database(path: Path, places: Places) -> int:
    if not path.is_file():
        return 0
    with opened(path) as database:
        database.create_function("moved", 1, places.moved, deterministic=True)
        database.execute("BEGIN IMMEDIATE")
        changed = 0
        for table, column, which in _COLUMNS:
            if has(database, table, column):
                changed += database.execute(
                    f'UPDATE "{table}" SET "{column}" = moved("{column}") '
                    f'WHERE moved("{column}") IS NOT "{column}" AND ({which or "1"})').rowcount
        database.execute("COMMIT")
    return changed


def _in_file(path: Path, places: Places, keys: Collection[str]) -> bool:
    content = load(path)
    moved = places.under(keys, content)
    if moved == content:
        return False
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(moved), encoding="utf-8")
    return True


def _there(path: Path, as_asked: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return as_asked(path)
    except OSError:  # no name of a file at all: what is damaged says anything
        return False


def _derived(root: Path) -> Record:
    """The record of a home that has none: where it was, by its database and its cache.

    A place counts only where files that are said to lie there lie here: the database may know of other homes as well.
    """
    places, newest = set(), HERE
    for path in cache_entries(root):
        for uri in uris_of(load(path)):
            place, _, below = uri.rpartition("/artifacts/")
            if place.startswith("/") and _there(root / "artifacts" / below):
                places.add(place)
                newest = place
    for place, proof in _told(root / DATABASE):
        # An experiment alone proves nothing; unless nothing lies at its place, that may be another home.
        if place.startswith("/") and (_there(root / proof, Path.is_dir) if proof else not _there(Path(place))):
            places.add(place)
    return Record(str(root), newest, tuple(sorted(places - {str(root)})))


def _told(path: Path) -> set[tuple[str, str]]:
    """Where the database says that the home is, each with a folder that proves it by being here ("": there is none)."""
    if not path.is_file():
        return set()
    found: set[tuple[str, str]] = set()
    with opened(path) as database:
        if not has(database, "runs", "artifact_uri"):
            return set()
        for uri, run in database.execute("SELECT artifact_uri, run_uuid FROM runs WHERE artifact_uri IS NOT NULL"):
            place, folder, below = path_of(uri).rpartition("/mlflow-artifacts/")
            if folder and below == f"{run}/artifacts":
                found.add((place, f"mlflow-artifacts/{run}"))
        found |= {(place, f"runs/{run}") for place, run in database.execute(
            "SELECT home.value, run.value FROM tags AS home JOIN tags AS run ON home.run_uuid = run.run_uuid "
            "WHERE home.key = ? AND run.key = ?", (HOME_TAG, RUN_TAG))}
        for (uri,) in database.execute("SELECT artifact_location FROM experiments"):
            place, folder, below = path_of(uri or "").rpartition("/mlflow-artifacts")
            if folder and not below:
                found.add((place, ""))
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _no_run(root: Path) -> Iterator[None]:
    """Keep runs out meanwhile. One that was begun before the home was moved writes to where it was."""
    with open(root / RUN_LOCK, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError("this home was moved while a run is under way in it", path=root,
                               remedy="end that run or wait for it, then run the same command again") from None
        yield


def load(path: Path) -> Any:
    """A JSON file's content; None where it is not whole, which is for its readers to say."""
    try:
        return json_value(read_bytes(path, MOST_SUMMARY), MOST_SUMMARY, finite=False)
    except ValueError:
        return None


def _as_uri(path: str) -> str:
    return f"file://{quote(path)}"


def path_of(uri: str) -> str:
    """The path that MLflow means by a path or file:// address."""
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri
