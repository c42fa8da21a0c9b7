"""labels.csv: which photo shows whom, as spreadsheets and people write it."""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from components.core.documents import MOST_LABELS, Unreadable, csv_rows, read_bytes
from components.core.errors import InputError, machine_errors
from components.core.pictures.folder import PhotoFiles, composed

_PHOTO, _IDENTITY = ("photo", "file", "filename", "image"), ("identity", "person")
_SEPARATORS = ",;\t"
"""The one of which the first row has most parts the columns."""


def labels_of(files: PhotoFiles) -> dict[str, str]:
    """Photo -> identity: by a folder's labels.csv, where there is none, by its sub-folders. Raises as `read_labels`."""
    if files.labels.exists():
        return read_labels(files.labels, [photo.name for photo in files.photos])
    return files.said()


def read_labels(path: Path, photos: Collection[str]) -> dict[str, str]:
    """Photo -> identity from labels.csv (columns photo or file, and identity; others ignored); {} without a file.

    `photos` are names relative to the photos' folder (`PhotoFile.name`). A row names one in full, or by its last part
    or without the ending where only one photo can be meant. Columns are parted by commas, semicolons or tabs, in UTF-8
    or, with a byte-order mark, UTF-16. Raises `InputError` for a file without these columns, a photo that is not there
    or may be several, or two identities of one.
    """
    if not path.exists():
        return {}
    labels: dict[str, str] = {}
    names = _Names(photos)
    try:
        with machine_errors(path):
            text = _text(read_bytes(path, MOST_LABELS))
        separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
        rows = csv_rows(text, separator)
        header = [column.strip().casefold() for column in next(rows, (1, []))[1]]
        photo_at, identity_at = _column(header, _PHOTO), _column(header, _IDENTITY)
        if photo_at is None or identity_at is None:
            raise InputError("no columns photo and identity", path=path,
                             remedy=f"write `photo{separator}identity` into its first row")
        for line, row in rows:
            if not any(cell.strip() for cell in row):
                continue
            photo, identity = (row[at].strip() if at < len(row) else "" for at in (photo_at, identity_at))
            name = names.meant(photo, f"line {line}", path)
            if labels.get(name, identity) != identity:
                raise InputError(f"line {line}: {photo} has two identities, {labels[name]} and {identity}",
                                 path=path, remedy="keep one of them")
            if identity:
                labels[name] = composed(identity)
    except (UnicodeError, Unreadable) as error:
        raise InputError(f"not a readable CSV file ({error})", path=path, remedy="save it as CSV in UTF-8") from None
    return labels


class _Names:
    """The photos by every name that may mean them, the most exact first."""

    def __init__(self, photos: Collection[str]) -> None:
        self._by: list[dict[str, set[str]]] = [defaultdict(set) for _ in range(5)]
        for photo in photos:
            name = composed(photo)
            whole, last = PurePosixPath(name), PurePosixPath(name).name
            for known, text in zip(self._by, (name, last, str(whole.with_suffix("")), PurePosixPath(last).stem,
                                              name.casefold()), strict=True):
                known[text].add(photo)

    def meant(self, written: str, where: str, path: Path) -> str:
        """The photo that is meant. Raises `InputError` where it is none or may be several."""
        name = composed(written.replace("\\", "/")).removeprefix("./")
        for known in self._by:
            for text in (name, name.removeprefix("photos/"), name.casefold()):
                found = known.get(text, set())
                if len(found) == 1:
                    return next(iter(found))
                if found:
                    raise InputError(f"{where} names the photo {written}, which may be "
                                     f"{' or '.join(sorted(found)[:3])}", path=path, remedy="write its full name")
        raise InputError(f"{where} names the photo {written or '(none)'}, which is not there", path=path,
                         remedy="remove the row or bring the photo")


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _text(data: bytes) -> str:
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf_16 else "utf-8-sig")
