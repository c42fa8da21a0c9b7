"""Who is to be sorted: the people of a data set, or the faces in a folder of plain portraits. Both look the same."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.cluster.montage import head_crop
from components.core.digest import file_digest
from components.core.errors import InputError, PhotoshootError, machine_errors
from components.core.faces.detect import check_detector, largest_face
from components.core.people.dataset import PeopleDataset
from components.core.pictures.images import PHOTO_SUFFIXES, read_photo

Pixels = npt.NDArray[np.uint8]

NO_FACE = "the face is not seen (from behind, or no head in the pose map)"
SMALL_HEAD = "the head is too small to tell people apart"
NO_FACE_FOUND = "no face found"
_AHEAD = 64
"""Portraits looked at ahead of the one that is needed: what bounds the memory."""
_FEW = 32
"""Fewer portraits are not worth the start of other processes."""
_NOT_PHOTOS = {"iuv", "matte"}


@dataclass(frozen=True)
class Face:
    """An aligned face [150, 150, 3] and its head's height in pixels of the photo, or the `reason` why there is none."""

    chip: Pixels | None
    head: float = 0.0
    reason: str = ""


class Subjects(Protocol):
    """People to sort, each with an id, the name of their photo and a key that follows the photo's content."""

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def photos(self) -> Sequence[str]: ...
    @property
    def labels(self) -> dict[str, str]:
        """Id -> identity from labels.csv, for scores only."""
    @property
    def synthetic(self) -> bool: ...
    @property
    def digest(self) -> str:
        """sha256 of what they are; known when all `faces` have been asked for."""
    @property
    def keys(self) -> Sequence[str]:
        """sha256 of the photo's file; the second person in a photo has "#2" after it, and so on. Known like digest."""
    def faces(self) -> Iterator[Face]:
        """Everybody's face, in order."""
    def picture(self, index: int) -> Pixels:
        """What to show of somebody: the face, or at least the head."""


class PeopleSubjects:
    """The people of a data set; their faces were aligned by the pose maps when it was made."""

    def __init__(self, people: PeopleDataset) -> None:
        self.people = people
        self.ids: Sequence[str] = people.ids
        self.photos: Sequence[str] = people.column("photo")
        self.keys: Sequence[str] = numbered(people.column("photo_digest"))
        self.labels = people.labels
        self.synthetic = people.origin == "synthetic"
        self.digest = people.digest

    def faces(self) -> Iterator[Face]:
        for index, seen in enumerate(self.people.column("face_seen")):
            if not seen:
                yield Face(None, reason=NO_FACE)
                continue
            person = self.people[index]
            box = person.record.head_box
            if person.face is None or box is None:
                yield Face(None, reason=SMALL_HEAD)
                continue
            # In the photo's own pixels, which the face was taken from.
            yield Face(person.face, (box[3] - box[1]) / person.record.scale)

    def picture(self, index: int) -> Pixels:
        person = self.people[index]
        return head_crop(person.photo, person.record.head_box) if person.face is None else person.face


class PortraitSubjects:
    """Photos in a folder and below it, each with its largest face, found by a detector in several processes.

    labels.csv has the columns `photo` (or `file`), relative to the folder, and `identity`. Raises `InputError` for a
    folder without photos, `MachineError` where no detector is installed.
    """

    synthetic = False

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError("no such folder", path=folder, remedy="give --photos a folder of portraits")
        names = (path.relative_to(self.folder) for path in self.folder.rglob("*")
                 if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())
        self.ids: Sequence[str] = sorted(name.as_posix() for name in names
                                         if not _NOT_PHOTOS & set(name.parts[:-1]) and not name.name.startswith("."))
        if not self.ids:
            raise InputError("no photos", path=folder, remedy=f"bring images ({', '.join(PHOTO_SUFFIXES)})")
        self.photos = self.ids
        self.labels = _labels(self.folder / "labels.csv", set(self.ids))
        self._digests: list[str] = []

    @property
    def keys(self) -> Sequence[str]:
        return numbered(self._digests)

    @property
    def digest(self) -> str:
        pairs = zip(self.ids, self._digests, strict=True)
        return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in pairs).encode()).hexdigest()

    def faces(self) -> Iterator[Face]:
        check_detector()  # here, so that its absence is one clear error
        self._digests = []
        if len(self.ids) < _FEW:
            for name in self.ids:
                digest, face = _look(self.folder / name)
                self._digests.append(digest)
                yield face
            return
        waiting = iter(self.ids)
        workers = len(os.sched_getaffinity(0))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            running = [pool.submit(_look, self.folder / name) for name in islice(waiting, _AHEAD)]
            while running:
                digest, face = running.pop(0).result()
                running += [pool.submit(_look, self.folder / name) for name in islice(waiting, 1)]
                self._digests.append(digest)
                yield face

    def picture(self, index: int) -> Pixels:
        face = _look(self.folder / self.ids[index])[1]
        if face.chip is not None:
            return face.chip
        try:
            return read_photo(self.folder / self.ids[index])
        except PhotoshootError:
            return np.full((8, 8, 3), 200, np.uint8)


def numbered(digests: Sequence[str]) -> list[str]:
    """The digests; the second of the same one with "#2" after it, and so on."""
    seen: Counter[str] = Counter()
    keys = []
    for digest in digests:
        seen[digest] += 1
        keys.append(digest if seen[digest] == 1 else f"{digest}#{seen[digest]}")
    return keys


def _look(path: Path) -> tuple[str, Face]:
    """Digest of a photo's file and its largest face."""
    import cv2

    cv2.setNumThreads(1)
    with machine_errors(path):
        digest = file_digest(path)
    try:
        found = largest_face(read_photo(path))
    except InputError as error:
        return digest, Face(None, reason=error.problem)
    return digest, Face(None, reason=NO_FACE_FOUND) if found is None else Face(found.chip, found.head)


def _labels(path: Path, photos: set[str]) -> dict[str, str]:
    if not path.is_file():
        return {}
    with machine_errors(path):
        try:
            rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"not a CSV file ({error})", path=path, remedy="save it as CSV in UTF-8") from None
    column = next((name for name in ("photo", "file") if rows and name in rows[0]), None)
    if rows and (column is None or "identity" not in rows[0]):
        raise InputError("columns photo and identity are missing", path=path,
                         remedy="start it with the line: photo,identity")
    return {row[column]: row["identity"] for row in rows if column and row[column] in photos and row["identity"]}
