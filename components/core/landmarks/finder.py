"""People in a photo: found, read, told apart, the largest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from components.core.landmarks import search
from components.core.landmarks.found import Landmarks
from components.core.landmarks.geometry import letterbox
from components.core.landmarks.mask import agreed_mask
from components.core.landmarks.parts import LEFT_HAND, RIGHT_HAND, find_face, find_hand
from components.core.landmarks.people import Reading, distinct, holds, read
from components.core.landmarks.ssd import BODIES, Detection, detect
from components.core.pictures.images import Pixels

_VIEW = 1280


@dataclass(frozen=True)
class Finder:
    """Finds people. Holds no network itself: each thread of each process loads its own at first use."""

    most: int = 8
    """People per photo that are reported, the largest first."""
    least_score: float = 0.5
    """`Landmarks.score` below which nobody is reported."""

    def __call__(self, photo: Pixels) -> list[Landmarks]:
        """The people in `photo`, uint8 RGB [H, W, 3] of any size, the largest first; none where there are none.

        Raises as `runtime.network` does.
        """
        return [_landmarks(reading) for reading in self.readings(photo)[:self.most]]

    def readings(self, photo: Pixels) -> list[Reading]:
        """Body points and person masks alone of everybody, in the same order."""
        view = search.reduced(photo, _VIEW)
        found = self._read(photo, view, detect(view, BODIES, letterbox(*view.shape[:2])))
        faces = search.faces(view)
        boxes = [face * np.float32(_factor(photo, view)) for face in faces]
        for face, box in zip(faces, boxes, strict=True):
            if not any(holds(box, one.body) for one in found):
                found += self._read(photo, view, search.below(view, face))
        for look in (search.turned, search.closer):
            if not found:
                found = self._read(photo, view, look(view))
        if not found:
            clean = search.cleaned(photo)
            found = self._read(clean, clean, search.doubtful(clean, letterbox(*clean.shape[:2])))
        return distinct(found, boxes)

    def _read(self, photo: Pixels, view: Pixels, detections: Iterable[Detection]) -> list[Reading]:
        """Those in `photo` whom detections in `view`, a smaller copy of it, stand for."""
        readings = (read(photo, one.times(_factor(photo, view)), self.least_score) for one in detections)
        return [reading for reading in readings if reading is not None]


def _factor(photo: Pixels, view: Pixels) -> float:
    return float(max(photo.shape[:2]) / max(view.shape[:2]))


def find_people(photo: Pixels) -> list[Landmarks]:
    """`Finder()(photo)`."""
    return Finder()(photo)


def _landmarks(reading: Reading) -> Landmarks:
    photo, body = reading.photo, reading.body
    return Landmarks(
        body=body.points, visibility=body.visibility, presence=body.presence, world=body.world,
        face=find_face(photo, body.points),
        left_hand=find_hand(photo, body.points, body.visibility, LEFT_HAND),
        right_hand=find_hand(photo, body.points, body.visibility, RIGHT_HAND),
        mask=agreed_mask(photo, body.mask, body.square), score=reading.score)
