"""`members.parquet`: each person's photo by digest, identity and split, so that names and splits can be kept later.

identities.parquet knows people by their id in one data set; this table knows them by what their photos hold, across
data sets and runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.artifacts.members import FORMAT, TABLE
from components.core.errors import DataError, InputError, machine_errors
from components.core.people.identities import SPLITS, Split
from components.core.stores.storage import is_remote, open_location

_SCHEMA = pa.schema([("person_id", pa.string()), ("photo", pa.string()), ("key", pa.string()),
                     ("identity", pa.string()), ("split", pa.string()), ("confidence", pa.float32()),
                     ("reason", pa.string())])


@dataclass(frozen=True)
class Member:
    """One person: `key` follows the photo's content; `identity` None: set aside, for `reason`."""

    person_id: str
    photo: str
    key: str
    identity: str | None
    split: Split | None
    confidence: float
    reason: str | None


def write_members(folder: Path, members: Sequence[Member]) -> None:
    """Write the table into an existing folder."""
    columns = {name: [getattr(member, name) for member in members] for name in _SCHEMA.names}
    with machine_errors(folder):
        pq.write_table(pa.table(columns, schema=_SCHEMA.with_metadata({"format": FORMAT})), folder / TABLE)


def read_members(folder: str | Path) -> list[Member]:
    """Read the table of an identities folder or gs:// prefix.

    Raises `InputError` where there is none, `DataError` for another format or a torn file.
    """
    remedy = "give the folder that `photoshoot cluster` wrote"
    try:
        if is_remote(folder):
            table = pq.read_table(pa.BufferReader(open_location(folder).read_bytes(TABLE)))
        else:
            with machine_errors(folder):
                table = pq.read_table(Path(folder) / TABLE)
    except FileNotFoundError:
        raise InputError(f"no {TABLE} here", path=folder, remedy=remedy) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"damaged or not a Parquet file ({str(error).splitlines()[0]})", path=Path(folder) / TABLE,
                        remedy="run `photoshoot cluster` again") from None
    found = (table.schema.metadata or {}).get(b"format", b"none").decode()
    if found != FORMAT:
        raise DataError(f"format {found}, expected {FORMAT}", path=Path(folder) / TABLE,
                        remedy="run `photoshoot cluster` again")
    return [Member(**row) for row in table.to_pylist()]


def names_of(groups: Sequence[Sequence[str]], given: Mapping[int, str], before: Sequence[Member]) -> list[str]:
    """Name of each group of keys: `given` by hand, else that of the earlier identity most of whose photos it holds,
    else ``person-`` and the start of its least key, which the order and number of others do not change."""
    was = {member.key: member.identity for member in before if member.identity is not None}
    names: list[str | None] = [given.get(number) for number in range(len(groups))]
    taken = set(given.values())
    claims = [(-count, name, number) for number, keys in enumerate(groups) if names[number] is None
              for name, count in Counter(was[key] for key in keys if key in was).items()]
    for _, name, number in sorted(claims):
        if names[number] is None and name not in taken:
            names[number] = name
            taken.add(name)
    return [name if name is not None else _new_name(min(keys), taken) for keys, name in zip(groups, names, strict=True)]


def _new_name(key: str, taken: set[str]) -> str:
    """The shortest start of the key, of 8 characters or more, that is not taken; two groups never share a least key."""
    name = next(name for length in range(8, len(key) + 9) if (name := f"person-{key[:length]}") not in taken)
    taken.add(name)
    return name


def splits_before(groups: Mapping[str, Sequence[str]], before: Sequence[Member]) -> dict[str, Split]:
    """Splits of identities whose photos had one. Who was ever trained on stays so; then validation, then test."""
    was = {member.key: member.split for member in before if member.split is not None}
    fixed: dict[str, Split] = {}
    for name, keys in groups.items():
        found = {was[key] for key in keys if key in was}
        if found:
            fixed[name] = next(split for split in SPLITS if split in found)
    return fixed
