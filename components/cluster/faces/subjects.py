"""Who is to be sorted: the people of a data set, or the faces in a folder of plain portraits. Both look the same."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.cluster.faces.montage import head_crop
from components.cluster.faces.portraits import NO_FACE_FOUND as NO_FACE_FOUND
from components.cluster.faces.portraits import Whom, portrait
from components.core.digest import file_digest
from components.core.errors import InputError, MachineError, PhotoshootError, machine_errors
from components.core.faces.yunet import check_detector
from components.core.people.dataset import PeopleDataset
from components.core.pictures.folder import list_photos, said_by
from components.core.pictures.images import read_photo
from components.core.pictures.labels import labels_of

Pixels = npt.NDArray[np.uint8]

NO_FACE = "the face is not seen (from behind, or no head in the pose map)"
SMALL_HEAD = "the head is too small to tell people apart"
_AHEAD = 64
"""Portraits looked at ahead of the one that is needed: what bounds the memory."""
_FEW = 32
"""Fewer portraits are not worth the start of other processes."""


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
        """Id -> identity from labels.csv or, where there is none, the sub-folder; for scores only."""
    @property
    def said(self) -> dict[str, str]:
        """Id -> the person whose sub-folder the photo is in; {} where there are no such folders."""
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
        # A folder names one person: who is not alone in a photo is not named by it.
        people_in = Counter([*self.photos, *(photo for photo, _ in people.rejected)])
        by_photo = said_by(self.photos)
        self.said = {one: by_photo[photo] for one, photo in zip(self.ids, self.photos, strict=True)
                     if photo in by_photo and people_in[photo] == 1}
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
    """Photos in a folder and below it, each with the face of `whom` it shows, found by YuNet in several processes.

    Raises `InputError` as `list_photos` and `read_labels` do.
    """

    synthetic = False

    def __init__(self, folder: Path, whom: Whom = "alone") -> None:
        self._whom: Whom = whom
        files = list_photos(folder)
        self.folder = files.root
        self._paths = [photo.path for photo in files.photos]
        self.ids: Sequence[str] = [photo.name for photo in files.photos]
        self.photos = self.ids
        self.said = files.said()
        self.labels = labels_of(files)
        self._digests: list[str] = []

    @property
    def keys(self) -> Sequence[str]:
        return numbered(self._digests)

    @property
    def digest(self) -> str:
        pairs = zip(self.ids, self._digests, strict=True)
        return hashlib.sha256("\n".join(f"{name} {digest}" for name, digest in pairs).encode()).hexdigest()

    def faces(self) -> Iterator[Face]:
        check_detector()  # here, so that it is fetched once, and its absence is one clear error
        self._digests = []
        if len(self.ids) < _FEW:
            for path in self._paths:
                digest, face = _look(path, self._whom)
                self._digests.append(digest)
                yield face
            return
        waiting = iter(self._paths)
        workers = len(os.sched_getaffinity(0))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            running = [pool.submit(_look, path, self._whom) for path in islice(waiting, _AHEAD)]
            while running:
                try:
                    digest, face = running.pop(0).result()
                except BrokenProcessPool:
                    raise MachineError("a process that looks for faces was killed, perhaps because memory ran out",
                                       path=self.folder, remedy="free memory and run the same command again") from None
                running += [pool.submit(_look, path, self._whom) for path in islice(waiting, 1)]
                self._digests.append(digest)
                yield face

    def picture(self, index: int) -> Pixels:
        face = _look(self._paths[index], self._whom)[1]
        if face.chip is not None:
            return face.chip
        try:
            return read_photo(self._paths[index])
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


def _look(path: Path, whom: Whom) -> tuple[str, Face]:
    """Digest of a photo's file and the face it shows."""
    import cv2

    cv2.setNumThreads(1)
    with machine_errors(path):
        digest = file_digest(path)
    try:
        found = portrait(read_photo(path), whom)
    except InputError as error:
        return digest, Face(None, reason=error.problem)
    return digest, Face(found.chip, found.head)
