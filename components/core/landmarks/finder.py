"""People in a photo: found, read twice, told apart, the largest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from components.core.landmarks.body import Body, find_body, region
from components.core.landmarks.found import Landmarks
from components.core.landmarks.geometry import Square, letterbox
from components.core.landmarks.mask import person_mask
from components.core.landmarks.parts import LEFT_HAND, RIGHT_HAND, find_face, find_hand
from components.core.landmarks.ssd import BODIES, Detection, detect
from components.core.pictures.images import Pixels

_SURE, _SAME = 0.9, 0.1
_TURNS = (0.5 * np.pi, -0.5 * np.pi, np.pi)


@dataclass(frozen=True)
class Finder:
    """Finds people. Holds no network itself: each thread of each process loads its own at first use."""

    most: int = 8
    """People per photo that are looked at, the largest first."""
    least_score: float = 0.5
    """`Landmarks.score` below which nobody is reported."""

    def __call__(self, photo: Pixels) -> list[Landmarks]:
        """The people in `photo`, uint8 RGB [H, W, 3] of any size, the largest first; none where there are none.

        Raises as `runtime.network` does.
        """
        return [self._landmarks(photo, body) for body in self.bodies(photo)]

    def bodies(self, photo: Pixels) -> list[Body]:
        """Body points and mask alone of the same people in the same order."""
        found = self._read(photo, detect(photo, BODIES, letterbox(*photo.shape[:2])))
        if not found or found[0].flag < _SURE:
            found = distinct([*found, *self._read(photo, _looked_for(photo))])
        return found[:self.most]

    def _read(self, photo: Pixels, detections: Iterable[Detection]) -> list[Body]:
        bodies = [twice_read(photo, region(one.points[:2])) for one in detections]
        return distinct([body for body in bodies if body.flag >= self.least_score])

    def _landmarks(self, photo: Pixels, body: Body) -> Landmarks:
        return Landmarks(
            body=body.points, visibility=body.visibility, presence=body.presence, world=body.world,
            face=find_face(photo, body.points),
            left_hand=find_hand(photo, body.points, body.visibility, LEFT_HAND),
            right_hand=find_hand(photo, body.points, body.visibility, RIGHT_HAND),
            mask=person_mask(body.mask, body.square, *photo.shape[:2]), score=body.flag)


def find_people(photo: Pixels) -> list[Landmarks]:
    """`Finder()(photo)`."""
    return Finder()(photo)


def twice_read(photo: Pixels, square: Square) -> Body:
    """The person in `square`; once found, they are read again where their own points say they are.

    That takes away a third of what the points move by when the photo moves by a few pixels.
    """
    first = find_body(photo, square)
    second = find_body(photo, region(first.alignment))
    return second if second.flag >= min(first.flag, _SURE) else first


def distinct(bodies: list[Body]) -> list[Body]:
    """Each person once, by the surest reading; the largest first."""
    kept: list[Body] = []
    for body in sorted(bodies, key=lambda one: -one.flag):
        if not any(same_person(body, other) for other in kept):
            kept.append(body)
    return sorted(kept, key=lambda one: -one.square.side)


def same_person(one: Body, other: Body) -> bool:
    """Whether two readings put most points in the same places, within a tenth of their region's side."""
    apart = np.hypot(*(one.points[:, :2] - other.points[:, :2]).T)
    return bool(np.median(apart) < _SAME * max(one.square.side, other.square.side))


def _looked_for(photo: Pixels) -> Iterator[Detection]:
    """Detections in turned copies and in overlapping quarters of the photo."""
    height, width = photo.shape[:2]
    whole = letterbox(height, width)
    for turn in _TURNS:
        yield from detect(photo, BODIES, Square(whole.x, whole.y, whole.side, turn))
    side = 0.6 * max(height, width)
    for y in dict.fromkeys((min(side, height) / 2, height - min(side, height) / 2)):
        for x in dict.fromkeys((min(side, width) / 2, width - min(side, width) / 2)):
            yield from detect(photo, BODIES, Square(x, y, side))
