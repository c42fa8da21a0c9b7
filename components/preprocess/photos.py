"""The folder a user brings: photos, their pose maps, and optionally mattes and labels."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from components.core.artifacts.photos import SYNTHETIC, TRUE_PEOPLE
from components.core.people.dataset import Origin
from components.core.pictures.folder import list_photos
from components.core.pictures.labels import labels_of

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
    name: str
    """Relative to the folder of photos, in Unicode's composed form."""
    id: str
    iuv: Path
    """Where its pose map is looked for; it may be missing."""
    matte: Path | None
    """The user's own matte, where there is one."""
    label: str | None
    """Identity from labels.csv or, where there is none, the sub-folder."""
    truth: Path | None = None
    """Of a synthetic photo: what it should show of the person, where that was written."""
    detected: tuple[Detected, ...] | None = None
    """The people found in it; None where nobody looked, because it has a pose map or nothing can look."""
    taken: tuple[str, ...] = ()
    """Ids that further people in it could have, and other photos do."""


@dataclass(frozen=True)
class PhotoFolder:
    """The photos in order of name, and whether they were synthesised."""

    path: Path
    photos: list[Photo]
    origin: Origin
    dumps: list[Path] = field(default_factory=list)
    """DensePose dumps in it, from which `photoshoot pose-maps` makes pose maps."""

    @staticmethod
    def open(folder: str | Path) -> PhotoFolder:
        """List a folder (`list_photos`) with its labels.csv or, where there is none, its sub-folders as labels.

        Raises `InputError` as `list_photos` does, and for a labels.csv that cannot be read, lacks a column, or names a
        photo that is not there.
        """
        files = list_photos(folder)
        labels = labels_of(files)
        origin: Origin = "synthetic" if (files.folder / SYNTHETIC).exists() else "photos"
        true = files.folder / TRUE_PEOPLE if origin == "synthetic" else None
        photos = [Photo(path=one.path, name=one.name, id=photo_id(str(PurePosixPath(one.name).with_suffix(""))),
                        iuv=one.iuv, matte=one.matte, label=labels.get(one.name), truth=_truth(true, one.name))
                  for one in files.photos]
        return PhotoFolder(files.folder, photos, origin, files.dumps)

    def plan(self, settings: dict[str, Any]) -> str:
        """Identifies the work: changes with any file's size or time, a label, or a setting."""
        digest = hashlib.sha256(json.dumps([self.origin, settings], sort_keys=True).encode())
        for photo in self.photos:
            files = [photo.path, photo.iuv, photo.matte, *([photo.truth] if photo.truth else [])]
            stamps = [_stamp(path) for path in files]
            digest.update(json.dumps([photo.name, photo.label, stamps]).encode())
        return digest.hexdigest()


def photo_id(stem: str) -> str:
    """A person's id from the photo's stem: letters, digits, _ and - only; changed or long ones get a short digest."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    if safe == stem and len(stem) <= _LONGEST_ID:
        return stem
    return f"{safe[: _LONGEST_ID - 9]}-{hashlib.sha256(stem.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _truth(folder: Path | None, photo: str) -> Path | None:
    path = folder / PurePosixPath(photo).with_suffix(".png") if folder else None
    return path if path and path.exists() else None


def _stamp(path: Path | None) -> list[int] | None:
    try:
        status = path.stat() if path else None
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns] if status else None
