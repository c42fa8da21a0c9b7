"""Folders on this machine and on Google Cloud Storage behind one small interface.

`open_location("gs://bucket/path")` or `open_location("some/folder")`; both list, read, write, upload and download the
same way. Transfers run in parallel, are retried and checked against CRC32C. A download appears whole or not at all;
an upload ends with the top-level JSON files, by which readers recognise an artifact.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from components.core.atomic import atomic_folder, atomic_path
from components.core.documents import MOST_LINE, json_value
from components.core.errors import DataError, InputError, machine_errors
from components.core.masking import has_secret
from components.core.progress import Task, task
from components.core.stores.cloud_errors import cloud_errors

_AT_ONCE = 64
_THREADS = 8
_READ_BLOCK = 1 << 20


class Location(Protocol):
    """A folder of files, named relative to it with forward slashes."""

    @property
    def uri(self) -> str:
        """How to name it: a path or gs://bucket/path."""

    def exists(self, name: str = "") -> bool:
        """Whether the file `name` is there; without a name, whether there is any file."""

    def list(self, prefix: str = "") -> list[str]:
        """Names of all files below it that start with `prefix`, sorted."""

    def read_bytes(self, name: str) -> bytes:
        """A file's content. Raises `InputError` when it is not there."""

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def stamps(self) -> dict[str, str]:
        """Name of every file with what changes when its content does, sorted by name."""

    def fetch(self, names: Sequence[str], to: Path, shown: Task | None = None) -> None:
        """Copy these files to below the folder `to`, each whole and checked or not at all, and tell `shown`.

        Raises `InputError` when one is not there.
        """

    def download(self, to: Path) -> int:
        """Copy everything to the folder `to`, which appears when all is there and checked; returns the file count.

        A folder that was at `to` is replaced. Raises `InputError` when there is nothing to copy.
        """

    def upload(self, source: Path) -> int:
        """Copy the file or folder `source` here; returns the file count. Raises `InputError` when it is empty."""


def is_remote(uri: str | Path) -> bool:
    """Whether this names something that is not on this machine's disks."""
    return "://" in address(uri)


def address(uri: str | Path) -> str:
    """The path or gs:// address as text; a `Path` made of an address has lost one of its slashes."""
    text = str(uri)
    return f"gs://{text[4:]}" if isinstance(uri, Path) and text.startswith("gs:/") else text


def open_location(uri: str | Path) -> Location:
    """The location that a path or a gs:// address names; nothing is read yet. Raises `InputError` for other schemes."""
    text = address(uri)
    if has_secret(text):  # it would stand in runs, pipelines and reports
        raise InputError(f"{text}: an address with a password or a token", remedy="log in with gcloud, or set "
                         "GOOGLE_APPLICATION_CREDENTIALS")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return LocalLocation(Path(text))
    if scheme != "gs" or not rest.strip("/"):
        raise InputError(f"{text}: not an address of a folder", remedy="give a path or gs://bucket/path")
    bucket, _, prefix = rest.partition("/")
    return GcsLocation(bucket, prefix.strip("/"))


def mirror(location: Location, to: Path) -> int:
    """Make the folder `to` a copy of what is at `location`; returns the count of files that were fetched.

    Only what is new or changed is fetched, so an interrupted copy goes on where it stopped; what is no longer there
    is removed. A file that was altered in `to` is fetched again. Raises `InputError` when nothing is there.
    """
    index = to.with_name(f".{to.name}.mirror")
    stamps = location.stamps()
    if not stamps:
        raise _nothing(location.uri)
    known = _read_index(index)
    here = [name for name, stamp in stamps.items() if known.get(name) == [stamp, *_status(to / name)]]
    lacking = sorted(stamps.keys() - set(here))
    for path in [*_files(to), *to.rglob(".*.partial-*")]:  # the latter were left by a killed process
        if path.relative_to(to).as_posix() not in stamps:
            path.unlink(missing_ok=True)
    with machine_errors(to), task("download", len(stamps), done=len(here)) as shown:
        with atomic_path(index) as temporary:
            temporary.write_text("".join(_index_line(name, known[name]) for name in here), encoding="utf-8")
        for some in _batches(lacking):
            location.fetch(some, to, shown)
            with open(index, "a", encoding="utf-8") as file:
                file.writelines(_index_line(name, [stamps[name], *_status(to / name)]) for name in some)
    return len(lacking)


def _index_line(name: str, values: list[Any]) -> str:
    return json.dumps([name, *values]) + "\n"


def _read_index(path: Path) -> dict[str, list[Any]]:
    """File name -> stamp, size and modification time when it was fetched."""
    index: dict[str, list[Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):  # the last line of a killed process may be torn
                name, *values = json_value(line, MOST_LINE)
                index[str(name)] = values
    return index


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


class LocalLocation:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        return str(self._folder)

    def exists(self, name: str = "") -> bool:
        return (self._folder / name).is_file() if name else any(True for _ in _files(self._folder))

    def list(self, prefix: str = "") -> list[str]:
        names = (path.relative_to(self._folder).as_posix() for path in _files(self._folder))
        return sorted(name for name in names if name.startswith(prefix))

    def read_bytes(self, name: str) -> bytes:
        try:
            with machine_errors(self._folder / name):
                return (self._folder / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _missing(self.uri, name) from None

    def write_bytes(self, name: str, data: bytes) -> None:
        with atomic_path(_below(self._folder, name)) as temporary:
            temporary.write_bytes(data)

    def remove(self, name: str) -> None:
        with machine_errors(self._folder):
            _below(self._folder, name).unlink(missing_ok=True)

    def stamps(self) -> dict[str, str]:
        found = {name: (self._folder / name).stat() for name in self.list()}
        return {name: f"{status.st_size} {status.st_mtime_ns}" for name, status in found.items()}

    def fetch(self, names: Sequence[str], to: Path, shown: Task | None = None) -> None:
        for name in names:
            try:
                with machine_errors(to), atomic_path(_below(to, name)) as temporary:
                    shutil.copyfile(_below(self._folder, name), temporary)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise _missing(self.uri, name) from None
            if shown:
                shown.advance()

    def download(self, to: Path) -> int:
        names = self.list()
        if not names:
            raise _nothing(self.uri)
        with atomic_folder(to) as temporary, task("copy", len(names)) as shown:
            self.fetch(names, temporary, shown)
        return len(names)

    def upload(self, source: Path) -> int:
        files = _to_send(source)
        with machine_errors(self._folder), task("copy", len(files)) as shown:
            for name, path in files:
                with atomic_path(self._folder / name) as temporary:
                    shutil.copyfile(path, temporary)
                shown.advance()
        return len(files)


class GcsLocation:
    """A prefix of a Google Cloud Storage bucket. STORAGE_EMULATOR_HOST is honoured."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket_name, self._prefix = bucket, prefix
        self._found: Any = None
        self._listed: dict[str, Any] = {}

    @property
    def uri(self) -> str:
        return f"gs://{self._bucket_name}/{self._prefix}".rstrip("/")

    def exists(self, name: str = "") -> bool:
        with cloud_errors(self.uri):
            if name:
                return bool(self._bucket().blob(self._key(name)).exists())
            return any(True for _ in self._blobs("", limit=1))

    def list(self, prefix: str = "") -> list[str]:
        with cloud_errors(self.uri):
            return sorted(self._name(blob.name) for blob in self._blobs(prefix))

    def read_bytes(self, name: str) -> bytes:
        from google.api_core.exceptions import NotFound

        with cloud_errors(self.uri):
            try:
                return bytes(self._bucket().blob(self._key(name)).download_as_bytes(checksum="crc32c"))
            except NotFound:
                raise _missing(self.uri, name) from None

    def write_bytes(self, name: str, data: bytes) -> None:
        from google.cloud.storage.retry import DEFAULT_RETRY

        with cloud_errors(self.uri):
            self._bucket().blob(self._key(name)).upload_from_string(
                data, content_type="application/octet-stream", checksum="crc32c", retry=DEFAULT_RETRY)

    def remove(self, name: str) -> None:
        from google.api_core.exceptions import NotFound
        from google.cloud.storage.retry import DEFAULT_RETRY

        with cloud_errors(self.uri), suppress(NotFound):
            self._bucket().blob(self._key(name)).delete(retry=DEFAULT_RETRY)

    def stamps(self) -> dict[str, str]:
        with cloud_errors(self.uri):
            self._listed = {self._name(blob.name): blob for blob in self._blobs("")}
        return {name: f"{self._listed[name].size} {self._listed[name].crc32c}" for name in sorted(self._listed)}

    def fetch(self, names: Sequence[str], to: Path, shown: Task | None = None) -> None:
        with cloud_errors(self.uri):
            for some in _batches(names):
                self._receive(some, to)
                if shown:
                    shown.advance(len(some))

    def download(self, to: Path) -> int:
        names = list(self.stamps())
        if not names:
            raise _nothing(self.uri)
        with atomic_folder(to) as temporary, task("download", len(names)) as shown:
            self.fetch(names, temporary, shown)
        return len(names)

    def _receive(self, names: Sequence[str], to: Path) -> None:
        from google.cloud.storage import transfer_manager

        blobs = [self._listed.get(name) or self._bucket().get_blob(self._key(name)) for name in names]
        absent = next((name for name, blob in zip(names, blobs, strict=True) if blob is None), None)
        if absent is not None:
            raise _missing(self.uri, absent)
        with ExitStack() as stack:
            pairs = [(blob, stack.enter_context(atomic_path(_below(to, name))))
                     for name, blob in zip(names, blobs, strict=True)]
            results = transfer_manager.download_many(
                [(blob, str(path)) for blob, path in pairs], download_kwargs={"checksum": "crc32c"},
                worker_type=transfer_manager.THREAD, max_workers=_THREADS)
            _raise_first(results)
            for blob, path in pairs:
                _check(path, blob.crc32c, f"gs://{self._bucket_name}/{blob.name}")

    def upload(self, source: Path) -> int:
        files = _to_send(source)
        first = [(name, path) for name, path in files if not _is_header(name)]
        last = [(name, path) for name, path in files if _is_header(name)]
        with cloud_errors(self.uri), task("upload", len(files)) as shown:
            for some in (*_batches(first), *_batches(last)):
                self._send(some, shown)
        return len(files)

    def _send(self, files: Sequence[tuple[str, Path]], shown: Task) -> None:
        from google.cloud.storage import transfer_manager
        from google.cloud.storage.retry import DEFAULT_RETRY

        pairs = [(str(path), self._bucket().blob(self._key(name))) for name, path in files]
        results = transfer_manager.upload_many(
            pairs, upload_kwargs={"checksum": "crc32c", "retry": DEFAULT_RETRY},
            worker_type=transfer_manager.THREAD, max_workers=_THREADS)
        _raise_first(results)
        for path, blob in pairs:
            _check(Path(path), blob.crc32c, f"gs://{self._bucket_name}/{blob.name}")
        shown.advance(len(files))

    def _bucket(self) -> Any:
        """Made on first use: naming a location costs no connection and no import."""
        if self._found is None:
            from google.cloud import storage

            self._found = storage.Client().bucket(self._bucket_name)
        return self._found

    def _blobs(self, prefix: str, limit: int | None = None) -> Iterator[Any]:
        start = f"{self._prefix}/{prefix}" if self._prefix else prefix
        bucket = self._bucket()
        for blob in bucket.client.list_blobs(bucket, prefix=start or None, max_results=limit):
            if not blob.name.endswith("/"):  # consoles make empty objects that stand for folders
                yield blob

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _name(self, key: str) -> str:
        return key[len(self._prefix) + 1 :] if self._prefix else key


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder but the half-written ones of `atomic_path`, or of others that begin with a dot."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _to_send(source: Path) -> list[tuple[str, Path]]:
    """(name, path) of a file, or of the files of a folder, headers last."""
    if source.is_file():
        return [(source.name, source)]
    if not source.is_dir():
        raise InputError("no such file or folder", path=source, remedy="check the path")
    files = [(path.relative_to(source).as_posix(), path) for path in _files(source)]
    if not files:
        raise _nothing(str(source))
    return sorted(files, key=lambda one: (_is_header(one[0]), one[0]))


def _is_header(name: str) -> bool:
    return "/" not in name and name.endswith(".json")


def _below(folder: Path, name: str) -> Path:
    """`folder`/`name`, refused when the name would lead out of the folder (object names can be anything)."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise DataError(f"the name {name!r} leads out of its folder", path=folder, remedy="rename the object")
    return folder / name


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _check(path: Path, expected: str | None, source: str) -> None:
    """Compare a file with the base64 CRC32C that the server keeps."""
    import google_crc32c

    digest: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with open(path, "rb") as file:
        while block := file.read(_READ_BLOCK):
            digest.update(block)
    found = base64.b64encode(digest.digest()).decode()
    if expected is None or found != expected:
        raise DataError(f"its CRC32C is {expected}, what arrived has {found}", path=source, remedy="transfer it again")


def _raise_first(results: Sequence[object]) -> None:
    """The transfer manager returns exceptions instead of raising them."""
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _missing(uri: str, name: str) -> InputError:
    return InputError(f"no file {name}", path=uri, remedy="check the name")


def _nothing(uri: str) -> InputError:
    return InputError("no files there", path=uri, remedy="check the address")
