"""A version looked up in MLflow's SQLite file without MLflow, whose import and start take longer than a new picture.

Only what is certain is answered, by the tables of the schema that is known (`SCHEMA`) and from an artifact folder that
is there. Whatever else it may be (a server, PostgreSQL, another schema, workspaces, nothing found, files gone) is
MLflow's to answer: `lookup` returns None.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEMA = "dc11669786a5"
"""MLflow's name for its tables as they are read here (3.17's); a test fails when the installed one's differ."""

_SQLITE = "sqlite:///"
_ELSEWHERE = ("MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE", "MLFLOW_ENABLE_WORKSPACES")
"""Environment variables with which MLflow looks elsewhere, or among some of the rows only."""
_LATEST = "latest"  # an alias that MLflow works out
_ALIASED = "SELECT version FROM registered_model_aliases WHERE workspace = 'default' AND name = ? AND alias = ?"
_VERSION = """SELECT run_id, creation_time, coalesce(nullif(storage_location, ''), source) FROM model_versions
WHERE workspace = 'default' AND name = ? AND version = ? AND current_stage != 'Deleted_Internal'"""
_ENTRIES = """SELECT v.version, t.value FROM model_versions v LEFT JOIN model_version_tags t
ON t.workspace = v.workspace AND t.name = v.name AND t.version = v.version AND t.key = ?
WHERE v.workspace = 'default' AND v.name = ? AND v.current_stage != 'Deleted_Internal' ORDER BY v.version"""
_TAGS = "SELECT key, value FROM model_version_tags WHERE workspace = 'default' AND name = ? AND version = ?"


@dataclass(frozen=True)
class Stored:
    """A version as it stands in the file: the fields of `registry.Version`, and the folder of the logged model."""

    number: str
    tags: dict[str, str]
    run_id: str
    created: int
    folder: Path


def entries(uri: str, name: str, tag: str) -> list[tuple[int, str | None]] | None:
    """Number and the tag `tag` of each version of the model `name` in the database at `uri`, by number; None: ask
    MLflow."""
    file = _file(uri)
    if file is None:
        return None
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")
            if not _is_known(database):
                return None
            return [(int(number), text) for number, text in database.execute(_ENTRIES, (tag, name))]
    except (sqlite3.Error, ValueError):
        return None


def lookup(uri: str, name: str, version: str) -> Stored | None:
    """The version `version` (number or alias) of the model `name` in the database at `uri`; None: ask MLflow."""
    file = _file(uri)
    if file is None or version.lower() == _LATEST:
        return None
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            database.execute("BEGIN")  # all of it at one moment
            return _read(database, name, version)
    except (sqlite3.Error, ValueError):
        return None


def is_unwritten(uri: str) -> bool:
    """Whether nothing can be registered at `uri`, because it is a SQLite file that is not there."""
    file = _file(uri)
    return file is not None and not file.exists()


def _file(uri: str) -> Path | None:
    """The file of a SQLite address without options."""
    path = uri.removeprefix(_SQLITE)
    if path in ("", uri) or "?" in path or any(os.environ.get(name) for name in _ELSEWHERE):
        return None
    return Path(path).absolute()


def _is_known(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]


def _read(database: sqlite3.Connection, name: str, version: str) -> Stored | None:
    if not _is_known(database):
        return None
    row = (version,) if version.isdecimal() else database.execute(_ALIASED, (name, version)).fetchone()
    if row is None:
        return None
    number = int(row[0])
    found = database.execute(_VERSION, (name, number)).fetchone()
    folder = None if found is None else _folder(found[2])
    if folder is None:
        return None
    tags = {str(key): str(value) for key, value in database.execute(_TAGS, (name, number))}
    return Stored(str(number), tags, str(found[0] or ""), int(found[1] or 0), folder)


def _folder(address: str | None) -> Path | None:
    """The folder at a path or file: address; None for any other, and where there is none."""
    parts = urlsplit(address or "")
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        folder = Path(unquote(parts.path))
    elif not parts.scheme:
        folder = Path(address or "")
    else:
        return None
    return folder if folder.is_absolute() and folder.is_dir() else None
