"""The folder a user brings: photos, their pose maps, and optionally mattes and labels."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import InputError, machine_errors
from components.core.people.dataset import Origin
from components.core.pictures.images import PHOTO_SUFFIXES

SYNTHETIC = "synthetic.json"
LABELS = "labels.csv"
_UNREADABLE_SUFFIXES = (".heic", ".heif", ".avif", ".gif", ".jxl", ".dng", ".cr2", ".nef", ".arw")
_LONGEST_ID = 72


@dataclass(frozen=True)
class Detected:
    """A person whom DensePose found in a photo that came without a pose map."""

    id: str
    iuv: bytes
    """The pose map of the whole photo, a PNG as `iuv.write_iuv` makes them."""


@dataclass(frozen=True)
class Photo:
    """One photo and what lies beside it."""

    path: Path
    id: str
    iuv: Path
    """Where its pose map is looked for; it may be missing."""
    matte: Path | None
    """The user's own matte, where there is one."""
    label: str | None
    """Identity from labels.csv."""
    detected: tuple[Detected, ...] | None = None
    """The people found in it; None where nobody looked, because it has a pose map or nothing can look."""


@dataclass(frozen=True)
class PhotoFolder:
    """The photos in order of file name, and whether they were synthesised."""

    path: Path
    photos: list[Photo]
    origin: Origin

    @staticmethod
    def open(folder: str | Path) -> PhotoFolder:
        """List a folder: images in it or in its photos/, with iuv/<stem>.png, matte/<stem>.png and labels.csv.

        Raises `InputError` for a folder that is missing or without photos, two photos of one stem, and a labels.csv
        that cannot be read, lacks a column, or names a photo that is not there.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError("no such folder", path=folder, remedy="check --photos")
        inside = folder / "photos"
        root = inside if inside.is_dir() else folder
        with machine_errors(root):
            paths = sorted((path for path in root.iterdir() if _is_photo(path)), key=lambda path: path.name)
        if not paths:
            raise InputError("no photos in this folder", path=root,
                             remedy=f"put images ({', '.join(PHOTO_SUFFIXES)}) there or in its photos/")
        by_stem: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            by_stem[path.stem].append(path.name)
        twice = next((names for names in by_stem.values() if len(names) > 1), None)
        if twice:
            raise InputError(f"{' and '.join(twice)} share one stem, and pose maps are found by stem", path=root,
                             remedy="rename or remove one of them")
        labels = read_labels(folder / LABELS, {path.name for path in paths})
        photos = []
        for path in paths:
            matte = folder / "matte" / f"{path.stem}.png"
            photos.append(Photo(path=path, id=photo_id(path.stem), iuv=folder / "iuv" / f"{path.stem}.png",
                                matte=matte if matte.exists() else None, label=labels.get(path.name)))
        return PhotoFolder(folder, photos, "synthetic" if (folder / SYNTHETIC).exists() else "photos")

    def plan(self, settings: dict[str, Any]) -> str:
        """Identifies the work: changes with any file's size or time, a label, or a setting."""
        digest = hashlib.sha256(json.dumps([self.origin, settings], sort_keys=True).encode())
        for photo in self.photos:
            stamps = [_stamp(path) for path in (photo.path, photo.iuv, photo.matte)]
            digest.update(json.dumps([photo.path.name, photo.label, stamps]).encode())
        return digest.hexdigest()


def photo_id(stem: str) -> str:
    """A person's id from the photo's stem: letters, digits, _ and - only; changed or long ones get a short digest."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    if safe == stem and len(stem) <= _LONGEST_ID:
        return stem
    return f"{safe[: _LONGEST_ID - 9]}-{hashlib.sha256(stem.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def read_labels(path: Path, photos: set[str]) -> dict[str, str]:
    """Photo file name -> identity from labels.csv (columns photo and identity, others ignored); {} without a file.

    Raises `InputError` for a file without these columns, a photo that is not in `photos`, or two identities of one.
    """
    if not path.exists():
        return {}
    labels: dict[str, str] = {}
    remedy = "remove the row or bring the photo"
    try:
        with machine_errors(path), open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"photo", "identity"} <= set(reader.fieldnames or ()):
                raise InputError("no columns photo and identity", path=path,
                                 remedy="write `photo,identity` into its first row")
            for row in reader:
                photo, identity = (row["photo"] or "").strip(), (row["identity"] or "").strip()
                if photo not in photos:
                    raise InputError(f"line {reader.line_num} names the photo {photo or '(none)'}, which is not there",
                                     path=path, remedy=remedy)
                if labels.get(photo, identity) != identity:
                    raise InputError(f"line {reader.line_num}: {photo} has two identities, {labels[photo]} and "
                                     f"{identity}", path=path, remedy="keep one of them")
                if identity:
                    labels[photo] = identity
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"not a readable CSV file ({error})", path=path, remedy="save it as CSV in UTF-8") from None
    return labels


def _is_photo(path: Path) -> bool:
    suffix = path.suffix.lower()
    return not path.name.startswith(".") and suffix in PHOTO_SUFFIXES + _UNREADABLE_SUFFIXES and path.is_file()


def _stamp(path: Path | None) -> list[int] | None:
    try:
        status = path.stat() if path else None
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns] if status else None
