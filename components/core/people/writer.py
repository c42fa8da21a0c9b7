"""Writing people: shards into a work folder, where finished ones are kept when the work is interrupted.

The work folder of one process is a *part*: some shards of the data set, each with the rows of the manifest that
belong to it, and ``plan.json``, which says what the whole is. `components.core.people.assembly` makes one people data
set of all parts; which process wrote which shard leaves no trace in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from components.core.artifacts.people import FORMAT
from components.core.atomic import atomic_path
from components.core.documents import MOST_JSON, json_object, read_bytes
from components.core.errors import DataError, MachineError, machine_errors
from components.core.people.dataset import BLOCK, MEMBERS, OPTIONAL, Origin, PersonRecord, shard_name

if TYPE_CHECKING:
    import pyarrow as pa

PLAN = "plan.json"
END = b"\0" * (2 * BLOCK)
"""How a tar file ends."""
_ROWS_PER_GROUP = 1024
"""Small groups: looking one record up decodes one group."""
_LOCK = ".lock"


@dataclass(frozen=True)
class Plan:
    """What is to be made. Equal plans make equal data sets, byte for byte."""

    inputs: str
    """Digest of the photos, the settings and the code."""
    resolution: int
    texel: int
    origin: Origin
    settings: dict[str, Any]
    """PreprocessSettings that decide the content."""
    shards: int
    large: int = 0
    """Most pixels along the side of the larger crops that are kept; 0: none."""

    def to_json(self) -> str:
        """As it is kept in plan.json."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def read(folder: Path) -> Plan:
        """The plan of a part. Raises `DataError` where there is none or one of another format."""
        path = folder / PLAN
        remedy = "run preprocess again"
        try:
            values = json_object(read_bytes(path, MOST_JSON))
            if values.pop("format") != FORMAT:
                raise DataError(f"a part of another format than {FORMAT!r}", path=path, remedy=remedy)
            return Plan(**values)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError("no part of a people data set (plan.json is missing)", path=folder, remedy=remedy) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError("damaged plan.json", path=path, remedy=remedy) from None


@dataclass(frozen=True)
class EncodedPerson:
    """A person ready to be written: the record (its place still 0) and the PNG files by kind."""

    record: PersonRecord
    members: dict[str, bytes]


class PartWriter:
    """Writes shards into the work folder `folder`.

    Finished shards of an interrupted run of the same plan are kept, anything else in the folder is thrown away.
    Raises `MachineError` where the disk is full or read-only, or another process works there.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan

    def __enter__(self) -> PartWriter:
        with machine_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / _LOCK, "w")  # held until __exit__
            if not _locked(self._lock):
                self._lock.close()
                raise MachineError("another process is writing this data set", path=self.folder,
                                   remedy="wait for it or choose another folder")
            path, text = self.folder / PLAN, self.plan.to_json()
            same = path.exists() and path.read_text(encoding="utf-8") == text
            for old in self.folder.iterdir():
                # A killed run leaves half-written files under hidden names.
                if old.name != _LOCK and (old.name.startswith(".") or not same):
                    _remove(old)
            if not same:
                with atomic_path(path) as temporary:
                    temporary.write_text(text, encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._lock.close()

    def has(self, shard: int) -> bool:
        """Whether this shard is finished."""
        return rows_path(self.folder, shard).exists()

    @contextmanager
    def shard(self, number: int) -> Iterator[ShardWriter]:
        """Write one shard; it counts when the block succeeds."""
        with atomic_path(self.folder / shard_name(number)) as temporary, open(temporary, "wb") as file:
            writer = ShardWriter(file, number)
            yield writer
            writer.end()
        with atomic_path(rows_path(self.folder, number)) as temporary:
            write_rows(temporary, writer)

    def discard(self) -> None:
        """Remove the work folder: what was in it is in place, or of no use."""
        with machine_errors(self.folder):
            shutil.rmtree(self.folder)


class ShardWriter:
    """Adds people to a tar file, and rows for them and for the photos left out."""

    def __init__(self, file: io.BufferedWriter, number: int) -> None:
        self._file, self._number = file, number
        self._hash = hashlib.sha256()
        self.rows: list[dict[str, Any]] = []

    def add(self, person: EncodedPerson) -> None:
        """Append a person's files."""
        parts = []
        for kind in (*MEMBERS, *(kind for kind in OPTIONAL if kind in person.members)):
            data = person.members[kind]
            info = tarfile.TarInfo(f"{person.record.id}.{kind}.png")
            info.size, info.mode = len(data), 0o644
            parts += [info.tobuf(tarfile.USTAR_FORMAT), data, b"\0" * (-len(data) % BLOCK)]
        self.copy({**asdict(person.record), "reason": None}, b"".join(parts))

    def copy(self, row: dict[str, Any], data: bytes) -> None:
        """Append a person whose files are tar blocks already, with the row that tells about them."""
        offset = self._file.tell()
        self._file.write(data)
        self._hash.update(data)
        self.rows.append({**row, "shard": self._number, "offset": offset, "length": len(data)})

    def reject(self, photo: str, reason: str) -> None:
        """Record that a photo was left out, and why."""
        self.rows.append({"photo": photo, "reason": reason})

    def end(self) -> None:
        """Close the tar file's content."""
        self._file.write(END)
        self._hash.update(END)

    @property
    def sha256(self) -> str:
        """Digest (hex) of all that was written."""
        return self._hash.hexdigest()


def rows_path(folder: Path, shard: int) -> Path:
    """The manifest rows of one shard inside a part."""
    return folder / f"rows-{shard:05d}.parquet"


def schema() -> pa.Schema:
    """Columns of manifest.parquet: `PersonRecord`'s fields and `reason` (null for the accepted)."""
    import pyarrow as pa

    text, whole, real, flag = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    box = pa.list_(pa.int32())
    kinds = {"id": text, "photo": text, "photo_digest": text, "inputs_digest": text, "shard": pa.int32(),
             "offset": whole, "length": whole, "box": box, "scale": real, "coverage": real, "head_box": box,
             "face_seen": flag, "view": text, "channel_order": text, "label": text, "perceptual_hash": text,
             "pose_source": text, "matte_source": text, "confidence": real, "notes": text, "reason": text}
    return pa.schema(list(kinds.items()))


def write_table(path: Path, tables: Iterable[pa.Table], columns: pa.Schema) -> None:
    """Write tables one after the other, in row groups of up to 1,024 rows, without holding more than that."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, columns, compression="zstd") as writer:
        held: list[pa.Table] = []
        for table in tables:
            held.append(table.cast(columns))
            if sum(one.num_rows for one in held) >= _ROWS_PER_GROUP:
                writer.write_table(pa.concat_tables(held), row_group_size=_ROWS_PER_GROUP)
                held = []
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=_ROWS_PER_GROUP)


def write_rows(path: Path, shard: ShardWriter) -> None:
    """Write a shard's rows, with its digest in the table's metadata."""
    import pyarrow as pa

    columns = schema().with_metadata({"sha256": shard.sha256})
    write_table(path, [pa.Table.from_pylist(shard.rows, schema=columns)], columns)


def remove_abandoned(root: Path, after_s: float, but: str) -> None:
    """Remove the work folders in `root` in which nothing changed for `after_s` seconds and nobody works.

    Those whose name begins with `but` stay. Raises `MachineError` where one cannot be removed.
    """
    oldest = time.time() - after_s
    with machine_errors(root):
        for folder in [path for path in root.glob("*/") if not path.name.startswith(but)]:
            with suppress(FileNotFoundError):  # whoever worked there has just finished
                if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > oldest:
                    continue
                with open(folder / _LOCK, "w") as lock:
                    if _locked(lock):
                        shutil.rmtree(folder)


def _locked(file: io.TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
