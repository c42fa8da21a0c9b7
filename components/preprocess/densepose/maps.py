"""Pose maps for photos that come without: what DensePose finds, turned into one map of the whole photo per person.

NumPy only. `detectron.py` runs the networks; this room turns their outputs (labels and U, V inside each person's box)
into what everything else takes, and decides whom of several people to take.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np

from components.core.errors import DataError, InputError
from components.core.pictures.images import Pixels, encode_png, read_photo
from components.core.pictures.iuv import PARTS
from components.core.settings import PreprocessSettings
from components.preprocess.choice import beside, chosen, person_ids
from components.preprocess.densepose.detection import WAYS_OUT, Detection
from components.preprocess.photos import Detected, Photo, PhotoFolder

_READERS = 4


class Detector(Protocol):
    """Finds people in photos."""

    def prepare(self, photo: Pixels) -> Any:
        """What `detect` takes of a photo [H, W, 3]; called on several threads, and small enough to keep a batch of."""

    def detect(self, prepared: Sequence[Any]) -> list[list[Detection]]:
        """The people in each photo, boxes in pixels of a picture of at most the photo's size and of its shape."""

    def size(self, prepared: Any) -> tuple[int, int]:
        """(height, width) of the picture in whose pixels `detect` answers for a prepared photo."""


def paste(detection: Detection, size: tuple[int, int]) -> Pixels:
    """A detection as a pose map uint8 [H, W, 3] of the whole picture; what reaches beyond its edges is cut off.

    The box's corner is cut down to whole pixels, as detectron2 does when it samples labels and U, V for the box. U and
    V are clamped to [0, 1] and become 0..255; both are 0 where there is no body. Raises `DataError` for arrays that do
    not fit each other and for labels that are no DensePose parts.
    """
    labels, uv = detection.labels, detection.uv
    if labels.ndim != 2 or uv.shape != (2, *labels.shape):
        raise DataError(f"DensePose gave labels {list(labels.shape)} with U, V {list(uv.shape)}",
                        remedy="use one of DensePose's chart configurations")
    if labels.size and (labels.min() < 0 or labels.max() > PARTS):
        raise DataError(f"DensePose gave part labels from {labels.min()} to {labels.max()}, there are 0 to {PARTS}",
                        remedy="use one of DensePose's chart configurations")
    height, width = size
    left, top = int(detection.box[0]), int(detection.box[1])
    inside = (slice(max(0, -top), max(0, height - top)), slice(max(0, -left), max(0, width - left)))
    part = labels[inside].astype(np.uint8)
    coordinates = np.rint(np.clip(np.nan_to_num(uv[:, *inside]), 0, 1) * 255).astype(np.uint8)
    out = np.zeros((height, width, 3), np.uint8)
    rows, columns = part.shape
    target = out[max(0, top) : max(0, top) + rows, max(0, left) : max(0, left) + columns]
    target[..., 0] = part
    target[..., 1:] = np.where(part > 0, coordinates, 0).transpose(1, 2, 0)
    return out


def pose_maps(detections: Sequence[Detection], size: tuple[int, int], settings: PreprocessSettings) -> list[Pixels]:
    """Pose maps uint8 [H, W, 3] of the people to take (`chosen`); [] where nobody is found.

    Detections under ``settings.densepose.min_score`` count for nothing.
    """
    maps = [paste(one, size) for one in detections if one.score >= settings.densepose.min_score]
    return [maps[index] for index in chosen(maps, settings.person)]


class PoseFinder:
    """Gives photos without a pose map one, in batches; the networks are loaded when the first such photo comes.

    Without detectron2, photos without a pose map pass through as they are (and are left out for the lack of one).
    Raises `InputError` on construction where that would be all of them.
    """

    def __init__(self, folder: PhotoFolder, settings: PreprocessSettings, detector: Detector | None = None) -> None:
        self._settings = settings
        self._detector = detector
        self._able = detector is not None or installed()
        self._taken = {photo.id for photo in folder.photos}
        if not self._able and not any(photo.iuv.exists() for photo in folder.photos):
            raise InputError(f"none of the {len(folder.photos)} photos has a pose map, and detectron2 is not installed",
                             path=folder.path, remedy=way_out(folder))

    def __call__(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos in the same order, those without a pose map with what was found (`Photo.detected`).

        At most a batch of decoded photos is in memory. Raises what loading the networks raises (`MachineError`,
        `SettingsError`, `DataError`); a photo that cannot be read passes through as it is.
        """
        waiting: list[Photo] = []
        lacking = 0
        for photo in beside(photos, self._taken):
            if self._able and not photo.iuv.exists():
                lacking += 1
            elif not lacking:
                yield photo
                continue
            waiting.append(photo)
            if lacking == self._settings.densepose.batch:
                yield from self._found(waiting)
                waiting, lacking = [], 0
        if waiting:
            yield from self._found(waiting)

    def _found(self, photos: Sequence[Photo]) -> Iterator[Photo]:
        detector = self._ready()
        lacking = [photo for photo in photos if not photo.iuv.exists()]

        def prepared(photo: Photo) -> tuple[tuple[int, int], Any] | None:
            try:
                pixels = read_photo(photo.path, self._settings.max_megapixels)
            except InputError:
                return None
            return (pixels.shape[0], pixels.shape[1]), detector.prepare(pixels)

        with ThreadPoolExecutor(_READERS) as readers:
            pairs = zip(lacking, readers.map(prepared, lacking), strict=True)
            ready = [(photo, *both) for photo, both in pairs if both]
        found = detector.detect([one for _, _, one in ready]) if ready else []
        detected = {photo.id: self._named(photo, size, detector.size(one), people)
                    for (photo, size, one), people in zip(ready, found, strict=True)}
        for photo in photos:
            yield replace(photo, detected=detected[photo.id]) if photo.id in detected else photo

    def _named(self, photo: Photo, size: tuple[int, int], seen_at: tuple[int, int],
               people: Sequence[Detection]) -> tuple[Detected, ...]:
        maps = pose_maps(people, seen_at, self._settings)
        if seen_at != size:
            maps = [np.asarray(cv2.resize(one, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)) for one in maps]
        return tuple(Detected(id, encode_png(one, compress_level=1))
                     for id, one in zip(person_ids(photo.id, self._taken), maps, strict=False))

    def _ready(self) -> Detector:
        if self._detector is None:
            from components.preprocess.densepose.detectron import Detectron

            self._detector = Detectron(self._settings.densepose)
        return self._detector


def way_out(folder: PhotoFolder) -> str:
    """What to do about photos without pose maps."""
    if not folder.dumps:
        return WAYS_OUT
    return f"`photoshoot pose-maps {folder.dumps[0]} --photos {folder.path}` makes pose maps of this DensePose dump"


def installed() -> bool:
    """Whether detectron2 and its DensePose project can be imported; nothing is imported to find out."""
    return all(importlib.util.find_spec(name) is not None for name in ("detectron2", "densepose"))
