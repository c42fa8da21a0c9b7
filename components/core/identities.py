"""Who is who, who may be trained on, and the ordered pairs that follow from it.

`identities.parquet` has one row per person of the people data set: its identity (null: set aside), how sure the
clustering is, and the split. Splits are disjoint by identity. Pairs are never stored: `Pairs` computes the k-th one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import DataError, InputError, machine_errors

FORMAT = "photoshoot.identities/1"
TABLE = "identities.parquet"
SCORES = "scores.json"

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Indices = npt.NDArray[np.int64]

_SCHEMA = pa.schema(
    [
        ("person_id", pa.string()),
        ("identity", pa.string()),
        ("confidence", pa.float32()),
        ("split", pa.string()),
    ]
)


class _People(Protocol):
    """What is asked of a people data set here (`components.core.people.PeopleDataset` has it)."""

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


class Identities:
    """The identities of one people data set, as `cluster` wrote them."""

    def __init__(self, rows: Iterable[Assignment], people_digest: str, scores: dict[str, Any]) -> None:
        self.rows: dict[str, Assignment] = {row.person_id: row for row in rows}
        self.people_digest = people_digest
        self.scores = scores
        _check_disjoint(self.rows.values())

    @staticmethod
    def open(folder: Path) -> Identities:
        """Read a folder written by `write`.

        Raises `InputError` when there is no such folder, `DataError` for another format version, a torn file, or an
        identity that spans two splits.
        """
        path = Path(folder) / TABLE
        with machine_errors(path):
            try:
                table = pq.read_table(path)
                scores = json.loads((Path(folder) / SCORES).read_text(encoding="utf-8"))
            except FileNotFoundError as error:
                raise InputError("no identities here", path=error.filename or path,
                                 remedy="make them with `photoshoot cluster`") from None
            except (pa.ArrowInvalid, ValueError) as error:
                raise DataError(f"torn or not an identities file ({str(error).splitlines()[0]})", path=path,
                                remedy="run `photoshoot cluster` again") from None
        metadata = table.schema.metadata or {}
        found = metadata.get(b"format", b"none").decode()
        if found != FORMAT or not set(_SCHEMA.names) <= set(table.column_names):
            raise DataError(f"format {found}, expected {FORMAT}", path=path, remedy="run `photoshoot cluster` again")
        rows = (Assignment(row["person_id"], row["identity"], row["confidence"], row["split"])
                for row in table.select(_SCHEMA.names).to_pylist())
        return Identities(rows, metadata.get(b"people_digest", b"").decode(), scores)

    def write(self, folder: Path) -> None:
        """Write `identities.parquet` and `scores.json` into an existing folder, each atomically."""
        columns = {name: [getattr(row, name) for row in self.rows.values()] for name in _SCHEMA.names}
        schema = _SCHEMA.with_metadata({"format": FORMAT, "people_digest": self.people_digest})
        path = Path(folder) / TABLE
        with machine_errors(folder):
            partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
            pq.write_table(pa.table(columns, schema=schema), partial)
            os.replace(partial, path)
            scores = Path(folder) / SCORES
            partial = scores.with_name(f"{scores.name}.partial-{os.getpid()}")
            partial.write_text(json.dumps(self.scores, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, scores)

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
            raise DataError(f"person {person_id} has no row in {TABLE}: made from another people data set",
                            remedy="run `photoshoot cluster` on these people") from None

    def members(self, people: _People, split: Split) -> dict[str, Indices]:
        """Identity -> its photos' indices in `people` (ascending), for the identities of one split, sorted by name.

        People set aside are in no split. Raises `DataError` when the identities were made from other people.
        """
        if people.digest != self.people_digest:
            raise DataError("these identities were made from another people data set",
                            remedy="run `photoshoot cluster` on these people")
        groups: dict[str, list[int]] = {}
        for index, person_id in enumerate(people.ids):
            row = self.row(person_id)
            if row.identity is not None and row.split == split:
                groups.setdefault(row.identity, []).append(index)
        return {name: np.asarray(groups[name], np.int64) for name in sorted(groups)}


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


def _check_disjoint(rows: Iterable[Assignment]) -> None:
    split_of: dict[str, str | None] = {}
    for row in rows:
        if row.identity is None:
            if row.split is not None:
                raise DataError(f"person {row.person_id} has no identity but is in split {row.split}")
        elif row.split not in SPLITS:
            raise DataError(f"identity {row.identity}: unknown split {row.split}")
        elif split_of.setdefault(row.identity, row.split) != row.split:
            raise DataError(f"identity {row.identity} is in two splits, {split_of[row.identity]} and {row.split}",
                            remedy="run `photoshoot cluster` again")
