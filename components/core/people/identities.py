"""Who is who, who may be trained on, and the ordered pairs that follow from it.

`identities.parquet` has one row per person of the people data set: its identity (null: set aside), how sure the
clustering is, and the split. Splits are disjoint by identity. Pairs are never stored: `Pairs` computes the k-th one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.atomic import atomic_path
from components.core.documents import MOST_SUMMARY, json_object, read_bytes
from components.core.errors import DataError, InputError, machine_errors
from components.core.people.manifest import Texts, parquet
from components.core.stores.storage import is_remote, open_location

FORMAT = "photoshoot.identities/1"
TABLE = "identities.parquet"
SCORES = "scores.json"

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Indices = npt.NDArray[np.int64]
_UNKNOWN, _NONE = -2, -1
_ROWS_AT_ONCE = 8192

_SCHEMA = pa.schema(
    [
        ("person_id", pa.string()),
        ("identity", pa.string()),
        ("confidence", pa.float32()),
        ("split", pa.string()),
    ]
)


class _People(Protocol):
    """What is asked of a people data set here (`components.core.people.dataset.PeopleDataset` has it)."""

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def digest(self) -> str: ...


@dataclass(frozen=True)
class Assignment:
    """One person's row. `identity` None: set aside (no face to tell by, or like nobody), then `split` is None too."""

    person_id: str
    identity: str | None
    confidence: float
    split: Split | None


class Rows(Mapping[str, Assignment]):
    """Person id -> row, each built when it is asked for; in the order of the file."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.ids = Texts(table["person_id"])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, person_id: str) -> Assignment:
        try:
            at = self.ids.index(person_id)
        except ValueError:
            raise KeyError(person_id) from None
        return next(_assignments(self._table.slice(at, 1)))

    def values(self) -> ValuesView[Assignment]:
        return _RowValues(self)

    def assignments(self) -> Iterator[Assignment]:
        """All rows, a few thousand built at a time."""
        for start in range(0, len(self), _ROWS_AT_ONCE):
            yield from _assignments(self._table.slice(start, _ROWS_AT_ONCE))


class _RowValues(ValuesView[Assignment]):
    _mapping: Rows

    def __iter__(self) -> Iterator[Assignment]:
        return self._mapping.assignments()


class Identities:
    """The identities of one people data set, as `cluster` wrote them. Columns in memory, about 100 bytes a person."""

    def __init__(self, rows: Iterable[Assignment] | pa.Table, people_digest: str, scores: dict[str, Any]) -> None:
        self._table = rows if isinstance(rows, pa.Table) else _table_of(rows)
        self.rows: Mapping[str, Assignment] = Rows(self._table)
        self.people_digest = people_digest
        self.scores = scores
        self._names, self._identities = _codes(self._table["identity"])
        splits, codes = _codes(self._table["split"])
        self._splits = np.asarray([*[_split_number(name) for name in splits], _NONE])[codes]
        self._check_disjoint()

    @staticmethod
    def open(folder: str | Path) -> Identities:
        """Read a folder written by `write`, or a copy of it on gs://.

        Raises `InputError` when there is no such folder, `DataError` for another format version, a torn file, or an
        identity that spans two splits, and what `storage` raises where gs:// does not answer.
        """
        if is_remote(folder):
            with TemporaryDirectory() as copy:
                open_location(folder).fetch([TABLE, SCORES], Path(copy))
                return Identities.open(copy)  # the mapped file stays readable when its name is gone
        path = Path(folder) / TABLE
        with machine_errors(path):
            try:
                table = parquet(path, pq.read_table, path, memory_map=True)
                scores = json_object(read_bytes(Path(folder) / SCORES, MOST_SUMMARY), MOST_SUMMARY, finite=False)
            except FileNotFoundError as error:
                raise InputError("no identities here", path=error.filename or path,
                                 remedy="make them with `photoshoot cluster`") from None
            except ValueError as error:
                raise DataError(f"damaged or not an identities file ({str(error).splitlines()[0]})", path=path,
                                remedy="run `photoshoot cluster` again") from None
        metadata = table.schema.metadata or {}
        found = metadata.get(b"format", b"none").decode()
        if found != FORMAT or not set(_SCHEMA.names) <= set(table.column_names):
            raise DataError(f"format {found}, expected {FORMAT}", path=path, remedy="run `photoshoot cluster` again")
        table = table.select(_SCHEMA.names).replace_schema_metadata(None)
        return Identities(table, metadata.get(b"people_digest", b"").decode(), scores)

    def write(self, folder: Path) -> None:
        """Write `identities.parquet` and `scores.json` into an existing folder, each atomically."""
        schema = _SCHEMA.with_metadata({"format": FORMAT, "people_digest": self.people_digest})
        with atomic_path(Path(folder) / TABLE) as path:
            pq.write_table(self._table.cast(_SCHEMA).replace_schema_metadata(schema.metadata), path)
        with atomic_path(Path(folder) / SCORES) as path:
            path.write_text(json.dumps(self.scores, indent=2) + "\n", encoding="utf-8")

    @property
    def digest(self) -> str:
        """sha256 (hex) over the rows; does not depend on the Parquet writer's version."""
        hasher = hashlib.sha256(f"{FORMAT}\n{self.people_digest}\n".encode())
        for row in self.rows.values():
            content = [row.person_id, row.identity, float(np.float32(row.confidence)), row.split]
            hasher.update(json.dumps(content).encode() + b"\n")
        return hasher.hexdigest()

    def of(self, person_id: str) -> str | None:
        """The person's identity; None when set aside. Raises `DataError` for a person of another data set."""
        return self.row(person_id).identity

    def row(self, person_id: str) -> Assignment:
        """The person's whole row. Raises `DataError` for a person of another data set."""
        try:
            return self.rows[person_id]
        except KeyError:
            raise _stranger(person_id) from None

    def members(self, people: _People, split: Split) -> dict[str, Indices]:
        """Identity -> its photos' indices in `people` (ascending), for the identities of one split, sorted by name.

        People set aside are in no split. Raises `DataError` when the identities were made from other people.
        """
        if people.digest != self.people_digest:
            raise DataError("these identities were made from another people data set",
                            remedy="run `photoshoot cluster` on these people")
        rows = self._rows_of(people.ids)
        wanted = np.flatnonzero(self._splits[rows] == _split_number(split))
        identities = self._identities[rows[wanted]]
        order = np.argsort(identities, kind="stable")
        found, starts = np.unique(identities[order], return_index=True)
        groups = np.split(wanted[order].astype(np.int64), starts[1:])
        named = {self._names[number]: group for number, group in zip(found.tolist(), groups, strict=False)}
        return {name: named[name] for name in sorted(named)}

    def _rows_of(self, ids: Sequence[str]) -> Indices:
        """The row of each person."""
        wanted = ids.column if isinstance(ids, Texts) else pa.chunked_array([pa.array(ids, pa.string())])
        if wanted.equals(self._table["person_id"]):
            return np.arange(len(ids), dtype=np.int64)
        rows = pc.index_in(wanted, value_set=self._table["person_id"].combine_chunks())
        if rows.null_count:
            raise _stranger(ids[int(np.argmax(rows.is_null().to_numpy()))])
        return np.asarray(rows.to_numpy(), np.int64)

    def _check_disjoint(self) -> None:
        known = np.flatnonzero(self._identities < len(self._names))
        for at in np.flatnonzero((self._identities == len(self._names)) & (self._splits != _NONE))[:1]:
            raise DataError(f"person {self._table['person_id'][int(at)]} has no identity but is in split "
                            f"{self._table['split'][int(at)]}")
        identities, splits = self._identities[known], self._splits[known]
        for at in np.flatnonzero(splits < 0)[:1]:
            raise DataError(f"identity {self._names[identities[at]]}: unknown split "
                            f"{self._table['split'][int(known[at])]}")
        first = np.full(len(self._names), _NONE)
        first[identities[::-1]] = splits[::-1]  # written backwards, so that the first of each stays
        for at in np.flatnonzero(first[identities] != splits)[:1]:
            one, other = SPLITS[first[identities[at]]], SPLITS[splits[at]]
            raise DataError(f"identity {self._names[identities[at]]} is in two splits, {one} and {other}",
                            remedy="run `photoshoot cluster` again")


def _assignments(table: pa.Table) -> Iterator[Assignment]:
    columns = (table[name].to_pylist() for name in _SCHEMA.names)
    return (Assignment(*row) for row in zip(*columns, strict=True))


def _table_of(rows: Iterable[Assignment]) -> pa.Table:
    """A later row of the same person replaces an earlier one."""
    kept = list({row.person_id: row for row in rows}.values())
    return pa.table({name: [getattr(row, name) for row in kept] for name in _SCHEMA.names}, schema=_SCHEMA)


def _codes(column: pa.ChunkedArray) -> tuple[list[str], Indices]:
    """(distinct texts, number of each row's text); the number after the last for null."""
    encoded = column.combine_chunks().dictionary_encode()
    names = [str(name) for name in encoded.dictionary.to_pylist()]
    return names, np.asarray(pc.fill_null(encoded.indices, len(names)).to_numpy(), np.int64)


def _split_number(name: str) -> int:
    return SPLITS.index(name) if name in SPLITS else _UNKNOWN


def _stranger(person_id: str) -> DataError:
    return DataError(f"person {person_id} has no row in {TABLE}: made from another people data set",
                     remedy="run `photoshoot cluster` on these people")


class Pairs(Sequence[tuple[int, int]]):
    """All ordered pairs (i, j), i != j, inside each group, in a fixed order, none of them stored.

    `groups` are arrays of data set indices, one per identity, as `Identities.members(...).values()`. Memory is one
    integer per group; looking up a pair is a binary search over the groups.
    """

    def __init__(self, groups: Iterable[npt.ArrayLike]) -> None:
        self._groups: list[Indices] = [np.asarray(group, np.int64) for group in groups]
        sizes = np.asarray([len(group) for group in self._groups], np.int64)
        self._ends: Indices = np.cumsum(sizes * (sizes - 1))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, k: int) -> tuple[int, int]:  # type: ignore[override]  # slices would store pairs
        """The k-th pair as (source index, target index). Raises IndexError outside 0 <= k < len."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        at = int(np.searchsorted(self._ends, k, side="right"))
        group = self._groups[at]
        others = len(group) - 1
        i, j = divmod(int(k) - (int(self._ends[at - 1]) if at else 0), others)
        return int(group[i]), int(group[j + (j >= i)])  # skipping i itself


def singles(groups: Iterable[npt.ArrayLike]) -> Indices:
    """Data set indices of the people of whom there is one photo: they can be reconstructed, never re-posed."""
    arrays = (np.asarray(group, np.int64) for group in groups)
    return np.asarray([group[0] for group in arrays if len(group) == 1], np.int64)
