"""A local cache of data sets on gs://: shards are fetched when they are first used, checked, and bounded in size.

``$PHOTOSHOOT_CACHE`` (default ``~/.cache/photoshoot``) holds a folder per data set. Several processes may share it.
When its shards take more than ``$PHOTOSHOOT_CACHE_GB`` (default 50), those that were used longest ago go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import DataError, SettingsError, machine_errors
from components.core.stores.storage import Location, is_remote, open_location

FOLDER, SIZE = "PHOTOSHOOT_CACHE", "PHOTOSHOOT_CACHE_GB"
_DEFAULT_GB = 50.0
_SHARDS = "shard-*.tar"
_LOCKS, _COMING = ".locks", ".coming"


class ShardCache:
    """The local copies of one data set's files."""

    def __init__(self, location: Location, folder: Path, digests: Path) -> None:
        self._location = location
        self.folder = folder
        """Where the files are that every use needs, and the shards that were used."""
        self._digests_path = digests

    @staticmethod
    def of(path: str | Path, header: str, files: Sequence[str]) -> ShardCache | None:
        """The cache of the data set at `path`, or None for one on this machine.

        Fetches its header and `files`, the last of which is the table of the shards' digests. A data set that was
        replaced under the same address has another header, so it gets another folder. Raises as `storage` does.
        """
        if not is_remote(path):
            return None
        location = open_location(path)
        content = location.read_bytes(header)
        key = hashlib.sha256(location.uri.encode() + b"\0" + content).hexdigest()[:24]
        folder = _root() / key
        for name in files:
            with _alone(folder / name):
                if not (folder / name).exists():
                    location.fetch([name], folder)
        with atomic_path(folder / header) as temporary:
            temporary.write_bytes(content)
        return ShardCache(location, folder, folder / files[-1])

    @property
    def uri(self) -> str:
        """Where the data set is."""
        return self._location.uri

    def read(self, number: int, name: str, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of shard `number`, which has the file name `name`; fetched when it is not here."""
        path = self.folder / name
        while True:
            # Another process may remove it between fetching and opening.
            try:
                data = read_piece(path, offset, length)
            except FileNotFoundError:
                self._fetch(number, name, path)
                continue
            with suppress(FileNotFoundError):
                now = time.time_ns()  # the file system's own clock may tick but every 10 ms
                os.utime(path, ns=(now, now))
            return data

    def _fetch(self, number: int, name: str, path: Path) -> None:
        with machine_errors(path), _alone(path):
            if path.exists():
                return
            coming = self.folder / _COMING
            for left in coming.glob(f".{path.stem}.partial-*"):  # by a killed process: the lock was free
                left.unlink()
            try:
                self._location.fetch([name], coming)
                if file_digest(coming / name) != self._digests[number]:
                    raise DataError("the shard is not the one that its data set was made with",
                                    path=f"{self.uri}/{name}", remedy="copy the whole data set there again")
                os.replace(coming / name, path)
            finally:
                (coming / name).unlink(missing_ok=True)
        _evict(path)

    @cached_property
    def _digests(self) -> dict[int, str]:
        import pyarrow.parquet as pq

        table = pq.read_table(self._digests_path, columns=["shard", "sha256"])
        return dict(zip(table["shard"].to_pylist(), table["sha256"].to_pylist(), strict=True))


def read_piece(path: Path, offset: int, length: int) -> bytes:
    """`length` bytes of a file from `offset`; fewer where it ends before."""
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def _root() -> Path:
    return Path(os.environ.get(FOLDER) or Path.home() / ".cache" / "photoshoot") / "people"


def _limit() -> float:
    """Bytes that all shards together may take."""
    text = os.environ.get(SIZE) or str(_DEFAULT_GB)
    try:
        return float(text) * 1e9
    except ValueError:
        raise SettingsError(f"{SIZE}={text} is not a number of gigabytes",
                            remedy=f"set it to {_DEFAULT_GB:g}") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time works at `path`; the lock goes with the process that holds it."""
    lock = path.parent / _LOCKS / path.name
    with machine_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _evict(kept: Path) -> None:
    """Remove the shards that were used longest ago until the rest fit; `kept` stays, or a small cache would spin."""
    root, limit = _root(), _limit()
    with _alone(root / "evict"):
        found = []
        for path in root.glob(f"*/{_SHARDS}"):
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= limit:
                return
            if path != kept:
                path.unlink(missing_ok=True)
                total -= size
