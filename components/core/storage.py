"""Folders on this machine and on Google Cloud Storage behind one small interface.

`open_location("gs://bucket/path")` or `open_location("some/folder")`; both list, read, write, upload and download the
same way. Transfers run in parallel, are retried and checked against CRC32C. A download appears whole or not at all;
an upload ends with the top-level JSON files, by which readers recognise an artifact.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from components.core.atomic import atomic_folder, atomic_path
from components.core.errors import DataError, InputError, MachineError, machine_errors
from components.core.progress import Task, task

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

    def download(self, to: Path) -> int:
        """Copy everything to the folder `to`, which appears when all is there and checked; returns the file count.

        A folder that was at `to` is replaced. Raises `InputError` when there is nothing to copy.
        """

    def upload(self, source: Path) -> int:
        """Copy the file or folder `source` here; returns the file count. Raises `InputError` when it is empty."""


def open_location(uri: str | Path) -> Location:
    """The location that a path or a gs:// address names; nothing is read yet. Raises `InputError` for other schemes."""
    text = str(uri)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return LocalLocation(Path(text))
    if scheme != "gs" or not rest.strip("/"):
        raise InputError(f"{text}: not an address of a folder", remedy="give a path or gs://bucket/path")
    bucket, _, prefix = rest.partition("/")
    return GcsLocation(bucket, prefix.strip("/"))


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

    def download(self, to: Path) -> int:
        names = self.list()
        if not names:
            raise _nothing(self.uri)
        with atomic_folder(to) as temporary, task("copy", len(names)) as shown:
            for name in names:
                target = _below(temporary, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._folder / name, target)
                shown.advance()
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

    @property
    def uri(self) -> str:
        return f"gs://{self._bucket_name}/{self._prefix}".rstrip("/")

    def exists(self, name: str = "") -> bool:
        with _cloud_errors(self.uri):
            if name:
                return bool(self._bucket().blob(self._key(name)).exists())
            return any(True for _ in self._blobs("", limit=1))

    def list(self, prefix: str = "") -> list[str]:
        with _cloud_errors(self.uri):
            return sorted(self._name(blob.name) for blob in self._blobs(prefix))

    def read_bytes(self, name: str) -> bytes:
        from google.api_core.exceptions import NotFound

        with _cloud_errors(self.uri):
            try:
                return bytes(self._bucket().blob(self._key(name)).download_as_bytes(checksum="crc32c"))
            except NotFound:
                raise _missing(self.uri, name) from None

    def write_bytes(self, name: str, data: bytes) -> None:
        from google.cloud.storage.retry import DEFAULT_RETRY

        with _cloud_errors(self.uri):
            self._bucket().blob(self._key(name)).upload_from_string(
                data, content_type="application/octet-stream", checksum="crc32c", retry=DEFAULT_RETRY)

    def download(self, to: Path) -> int:
        from google.cloud.storage import transfer_manager

        with _cloud_errors(self.uri):
            blobs = sorted(self._blobs(""), key=lambda blob: str(blob.name))
            if not blobs:
                raise _nothing(self.uri)
            with atomic_folder(to) as temporary, task("download", len(blobs)) as shown:
                for some in _batches(blobs):
                    pairs = [(blob, _below(temporary, self._name(blob.name))) for blob in some]
                    for _, path in pairs:
                        path.parent.mkdir(parents=True, exist_ok=True)
                    results = transfer_manager.download_many(
                        [(blob, str(path)) for blob, path in pairs], download_kwargs={"checksum": "crc32c"},
                        worker_type=transfer_manager.THREAD, max_workers=_THREADS)
                    _raise_first(results)
                    for blob, path in pairs:
                        _check(path, blob.crc32c, f"gs://{self._bucket_name}/{blob.name}")
                    shown.advance(len(some))
        return len(blobs)

    def upload(self, source: Path) -> int:
        files = _to_send(source)
        first = [(name, path) for name, path in files if not _is_header(name)]
        last = [(name, path) for name, path in files if _is_header(name)]
        with _cloud_errors(self.uri), task("upload", len(files)) as shown:
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


@contextmanager
def _cloud_errors(uri: str) -> Iterator[None]:
    """Turn what the client library raises into one clear line."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.exceptions import NotFound
    from requests.exceptions import RequestException  # type: ignore[import-untyped]

    try:
        yield
    except GoogleAuthError as error:
        remedy = "`gcloud auth application-default login`, or give the pod a service account"
        raise MachineError("no valid Google Cloud credentials", path=uri, remedy=remedy) from error
    except NotFound as error:
        raise InputError("no such bucket or object", path=uri, remedy="check the address") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise MachineError("access denied", path=uri, remedy="grant this account a role on the bucket") from error
    except (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException, ConnectionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MachineError(f"Google Cloud Storage does not answer ({reason[:200]})", path=uri,
                           remedy="try again; finished work is kept") from error


def _missing(uri: str, name: str) -> InputError:
    return InputError(f"no file {name}", path=uri, remedy="check the name")


def _nothing(uri: str) -> InputError:
    return InputError("no files there", path=uri, remedy="check the address")
