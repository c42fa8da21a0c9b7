"""Making one people data set of its parts: shards are linked into place, only the manifest is written.

Parts are the work folders that `writer.PartWriter` fills, one per process. The outcome depends on the plan
alone: with one part or many, the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.artifacts.people import FORMAT, HEADER, MANIFEST, SHARDS
from components.core.atomic import atomic_folder, atomic_path
from components.core.errors import DataError, InputError, machine_errors
from components.core.people.dataset import content_digest, shard_name
from components.core.people.writer import PLAN, Plan, ShardWriter, rows_path, schema, write_table

LeftOut = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From perceptual hashes by id, in order of name, to the ids that repeat an earlier one, with that one's id."""

_SHOWN_REASONS = 3
_REMEDY = "run preprocess again"
_SHARD_COLUMNS = pa.schema([("shard", pa.int32()), ("bytes", pa.int64()), ("sha256", pa.string())])


@dataclass
class _Survey:
    """What the parts' rows say, read before anything is written."""

    accepted: int = 0
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    """Id -> inputs_digest of the accepted."""
    photos: dict[str, str] = field(default_factory=dict)
    """Id -> photo of those that have a perceptual hash."""
    hashes: dict[str, str] = field(default_factory=dict)


def assemble(parts: Sequence[Path], out: Path, left_out: LeftOut) -> tuple[int, int]:
    """Make the people data set `out` of `parts`: (accepted, rejected).

    People that `left_out` names are dropped as repetitions; only shards that hold one are copied anew. A data set
    that was at `out` is replaced. Raises `DataError` for parts that do not belong together or lack a shard,
    `InputError` that shows the first reasons when not one photo was accepted, `MachineError`.
    """
    plan, homes = _shards_of(parts)
    survey = _survey(homes)
    repeated = {one: survey.photos[first] for one, first in left_out(survey.hashes).items()}
    for one in repeated:
        survey.inputs.pop(one)
    accepted, rejected = survey.accepted - len(repeated), survey.rejected + len(repeated)
    if not accepted:
        raise InputError(f"none of the {rejected} photos can be used: " + "; ".join(survey.reasons),
                         remedy="fix these, or bring other photos")
    with atomic_folder(out) as temporary:
        digests: list[dict[str, Any]] = []
        tables = (_place(home, number, temporary, repeated, digests) for number, home in enumerate(homes))
        write_table(temporary / MANIFEST, tables, schema())
        write_table(temporary / SHARDS, [pa.Table.from_pylist(digests, schema=_SHARD_COLUMNS)], _SHARD_COLUMNS)
        header = {"format": FORMAT, "resolution": plan.resolution, "texel": plan.texel, "origin": plan.origin,
                  "accepted": accepted, "rejected": rejected, "shards": plan.shards, "settings": plan.settings,
                  "digest": content_digest(list(survey.inputs.values()), plan.settings),
                  **({"large": plan.large} if plan.large else {})}
        with atomic_path(temporary / HEADER) as path:
            path.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    return accepted, rejected


def link_part(work: Path, out: Path, shards: Sequence[int]) -> None:
    """Make the folder `out` of a finished work folder's plan and `shards`, without copying where links are possible."""
    with atomic_folder(out) as temporary:
        shutil.copyfile(work / PLAN, temporary / PLAN)
        for number in shards:
            for path in (work / shard_name(number), rows_path(work, number)):
                _link(path, temporary / path.name)


def _shards_of(parts: Sequence[Path]) -> tuple[Plan, list[Path]]:
    """The plan of all parts and, for each shard, the part that has it."""
    plan = Plan.read(parts[0])
    homes: dict[int, Path] = {}
    for part in parts:
        if Plan.read(part) != plan:
            raise DataError(f"made from other photos, settings or code than {parts[0]}", path=part, remedy=_REMEDY)
        homes |= {number: part for number in range(plan.shards) if rows_path(part, number).exists()}
    missing = next((number for number in range(plan.shards) if number not in homes), None)
    if missing is not None:
        raise DataError(f"shard {missing} of {plan.shards} is in none of {len(parts)} parts", path=parts[0],
                        remedy=_REMEDY)
    return plan, [homes[number] for number in range(plan.shards)]


def _survey(homes: Sequence[Path]) -> _Survey:
    found = _Survey()
    columns = ["id", "photo", "inputs_digest", "perceptual_hash", "reason"]
    for number, home in enumerate(homes):
        table = pq.read_table(rows_path(home, number), columns=columns)
        for id, photo, inputs, looks, reason in zip(*(table[name].to_pylist() for name in columns), strict=True):
            if reason is not None:
                found.rejected += 1
                found.reasons += [f"{photo}: {reason}"] if len(found.reasons) < _SHOWN_REASONS else []
                continue
            found.accepted += 1
            found.inputs[id] = inputs
            if looks is not None:
                found.hashes[id], found.photos[id] = looks, photo
    return found


def _place(home: Path, number: int, out: Path, repeated: Mapping[str, str], digests: list[dict[str, Any]]) -> pa.Table:
    """Put one shard into `out` and return its rows; what is repeated becomes a row with the reason."""
    table = pq.read_table(rows_path(home, number))
    target = out / shard_name(number)
    if not repeated or not any(id in repeated for id in table["id"].to_pylist()):
        _link(home / shard_name(number), target)
        sha256 = (table.schema.metadata or {}).get(b"sha256", b"").decode()
    else:
        table, sha256 = _without(table, home / shard_name(number), target, number, repeated)
    digests.append({"shard": number, "bytes": target.stat().st_size, "sha256": sha256})
    return table.replace_schema_metadata(None)


def _without(table: pa.Table, shard: Path, target: Path, number: int,
             repeated: Mapping[str, str]) -> tuple[pa.Table, str]:
    """Copy a shard but for the repeated people: its new rows and digest."""
    with machine_errors(target), open(shard, "rb") as source, atomic_path(target) as temporary, \
            open(temporary, "wb") as file:
        writer = ShardWriter(file, number)
        for row in table.to_pylist():
            if row["reason"] is not None:
                writer.reject(row["photo"], row["reason"])
            elif row["id"] in repeated:
                writer.reject(row["photo"], f"the same picture as {repeated[row['id']]} -- remove one of them")
            else:
                source.seek(row["offset"])
                writer.copy(row, source.read(row["length"]))
        writer.end()
    return pa.Table.from_pylist(writer.rows, schema=schema()), writer.sha256


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system has them, else a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DataError("a part lacks its shard", path=source, remedy=_REMEDY) from None
    except OSError:
        shutil.copyfile(source, target)
