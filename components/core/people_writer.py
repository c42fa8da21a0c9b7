"""Writing a people data set: shard by shard beside its place, finished shards kept when the work is interrupted."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from components.core.atomic import atomic_path, replace_folder
from components.core.errors import InputError, MachineError, machine_errors
from components.core.people import BLOCK, FACE, FORMAT, MEMBERS, Origin, PersonRecord, content_digest, shard_name

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP = 65536
_SHOWN_REASONS = 3


@dataclass(frozen=True)
class EncodedPerson:
    """A person ready to be written: the record (its place still 0) and the PNG files by kind."""

    record: PersonRecord
    members: dict[str, bytes]


class PeopleWriter:
    """Writes ``<out>.partial`` and renames it to `out` when all shards are there.

    `plan` identifies the work (inputs and settings): finished shards of an interrupted run with the same plan are
    kept, others are thrown away. Raises `MachineError` where the disk is full or read-only, or another process
    writes the same data set.
    """

    def __init__(self, out: Path, *, resolution: int, texel: int, origin: Origin, settings: dict[str, Any],
                 plan: str) -> None:
        self._out = out
        self._header = {"format": FORMAT, "resolution": resolution, "texel": texel, "origin": origin}
        self._settings = settings
        self._plan = plan
        self._partial = out.with_name(out.name + ".partial")

    def __enter__(self) -> PeopleWriter:
        with machine_errors(self._partial):
            self._partial.mkdir(parents=True, exist_ok=True)
            self._lock = open(self._partial / ".lock", "w")  # held until __exit__
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise MachineError("another process is writing this data set", path=self._out,
                                   remedy="wait for it or choose another folder") from None
            plan = self._partial / "plan.json"
            same = plan.exists() and plan.read_text(encoding="utf-8") == self._plan
            for old in self._partial.iterdir():
                # A killed run leaves half-written files under hidden names.
                if old.name != ".lock" and (old.name.startswith(".") or not same):
                    old.unlink()
            if not same:
                with atomic_path(plan) as temporary:
                    temporary.write_text(self._plan, encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._lock.close()

    def has(self, shard: int) -> bool:
        """Whether this shard was finished by an earlier run of the same plan."""
        return self._rows(shard).exists()

    @contextmanager
    def shard(self, number: int) -> Iterator[ShardWriter]:
        """Write one shard; it counts when the block succeeds."""
        with atomic_path(self._partial / shard_name(number)) as temporary, open(temporary, "wb") as file:
            writer = ShardWriter(file, number)
            yield writer
            file.write(b"\0" * (2 * BLOCK))
        with atomic_path(self._rows(number)) as temporary:
            _write_table(temporary, [_table(writer.rows)])

    def finish(self, shards: int) -> tuple[int, int]:
        """Put manifest and header in place of the parts and rename the folder: (accepted, rejected).

        Raises `InputError` that shows the first reasons when not one photo was accepted.
        """
        import pyarrow.parquet as pq

        parts = [self._rows(number) for number in range(shards)]
        accepted = rejected = 0
        digests: list[str] = []
        reasons: list[str] = []
        for part in parts:
            table = pq.read_table(part, columns=["photo", "inputs_digest", "reason"])
            for photo, digest, reason in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
                if reason is None:
                    accepted += 1
                    digests.append(digest)
                else:
                    rejected += 1
                    reasons += [f"{photo}: {reason}"] if len(reasons) < _SHOWN_REASONS else []
        if not accepted:
            shutil.rmtree(self._partial)
            raise InputError(f"not one of {rejected} photos can be used: " + "; ".join(reasons),
                             remedy="mend these or bring other photos")
        with machine_errors(self._partial):
            _write_table(self._partial / "manifest.parquet", (pq.read_table(part) for part in parts))
            header = {**self._header, "accepted": accepted, "rejected": rejected, "shards": shards,
                      "settings": self._settings, "digest": content_digest(digests, self._settings)}
            (self._partial / "people.json").write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
            for leftover in (*parts, self._partial / "plan.json", self._partial / ".lock"):
                with suppress(FileNotFoundError):
                    leftover.unlink()
            replace_folder(self._partial, self._out)
        return accepted, rejected

    def _rows(self, number: int) -> Path:
        return self._partial / f"rows-{number:05d}.parquet"


class ShardWriter:
    """Adds people to a tar file, and rows for them and for the photos left out."""

    def __init__(self, file: io.BufferedWriter, number: int) -> None:
        self._file, self._number = file, number
        self.rows: list[dict[str, Any]] = []

    def add(self, person: EncodedPerson) -> None:
        """Append a person's files."""
        offset = self._file.tell()
        for kind in (*MEMBERS, *person.members.keys() & {FACE}):
            data = person.members[kind]
            info = tarfile.TarInfo(f"{person.record.id}.{kind}.png")
            info.size, info.mode = len(data), 0o644
            self._file.write(info.tobuf(tarfile.USTAR_FORMAT) + data + b"\0" * (-len(data) % BLOCK))
        record = replace(person.record, shard=self._number, offset=offset, length=self._file.tell() - offset)
        self.rows.append({**asdict(record), "reason": None})

    def reject(self, photo: str, reason: str) -> None:
        """Record that a photo was left out, and why."""
        self.rows.append({"photo": photo, "reason": reason})


def schema() -> pa.Schema:
    """Columns of manifest.parquet: `PersonRecord`'s fields and `reason` (null for the accepted)."""
    import pyarrow as pa

    text, whole, real, flag = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    box = pa.list_(pa.int32())
    kinds = {"id": text, "photo": text, "photo_digest": text, "inputs_digest": text, "shard": pa.int32(),
             "offset": whole, "length": whole, "box": box, "scale": real, "coverage": real, "head_box": box,
             "face_seen": flag, "view": text, "channel_order": text, "label": text, "reason": text}
    return pa.schema(list(kinds.items()))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema())


def _write_table(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables one after the other, in row groups of up to 65,536 rows, without holding more than that."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema(), compression="zstd") as writer:
        held: list[pa.Table] = []
        for table in tables:
            held.append(table)
            if sum(one.num_rows for one in held) >= _ROWS_PER_GROUP:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))
