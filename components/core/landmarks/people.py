"""Readings of people: each person twice, confirmed where doubtful, told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.landmarks.body import Body, find_body, region
from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square
from components.core.landmarks.mask import person_mask
from components.core.landmarks.ssd import BODIES, Detection, detect
from components.core.pictures.images import Pixels

_SURE, _CERTAIN, _SAME, _NEAR, _WITHIN = 0.9, 0.75, 0.1, 0.2, 0.6
_OUTLINE, _HEAD_POINTS = 160, 11


@dataclass(frozen=True)
class Reading:
    """A person read in `photo`, which has the places of the user's photo but may be a cleaned copy of it."""

    photo: Pixels
    body: Body
    score: float
    """As `Landmarks.score`."""

    def outline(self) -> NDArray[np.bool_]:
        """Where the person is, in a copy of the photo of at most 160 pixels."""
        height, width = self.photo.shape[:2]
        scale = _OUTLINE / max(height, width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        return person_mask(self.body.mask, self.body.square.times(scale), *size) > 127


def read(photo: Pixels, found: Detection, least: float) -> Reading | None:
    """The person of a detection, None where the score would be below `least`.

    The landmark network says yes to much that looks like nobody; the detector, asked once more with the person framed
    and upright, hardly ever does.
    """
    body = twice_read(photo, region(found.points[:2]))
    if body.flag < least:
        return None
    seen = found.score if found.score >= _CERTAIN else confirmed(photo, body)
    score = seen * body.flag
    return Reading(photo, body, score) if score >= least else None


def twice_read(photo: Pixels, square: Square) -> Body:
    """The person in `square`; once found, they are read again where their own points say they are.

    That takes away a third of what the points move by when the photo moves by a few pixels.
    """
    first = find_body(photo, square)
    second = find_body(photo, region(first.alignment))
    return second if second.flag >= min(first.flag, _SURE) else first


def confirmed(photo: Pixels, body: Body) -> float:
    """The detector's score for this person where it is shown their region, turned upright; 0 where it sees nobody."""
    near = _NEAR * body.square.side
    return max((one.score for one in detect(photo, BODIES, body.square, least=0.3)
                if np.hypot(*(one.points[0] - body.alignment[0])) < near), default=0.0)


def distinct(readings: list[Reading], faces: list[Floats]) -> list[Reading]:
    """Each person once, by the surest reading; the largest first. `faces`: boxes of all faces in the photo.

    A reading that lies in a surer one's outline is a part of that person, unless it has a face of its own.
    """
    kept: list[Reading] = []
    for one in sorted(readings, key=lambda reading: -reading.score):
        if not any(_same(one, other, faces) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda reading: -reading.body.square.side)


def holds(face: Floats, body: Body) -> bool:
    """Whether the head of `body` is the one in the face's box [4]."""
    middle, head = (face[:2] + face[2:]) / 2, body.points[:_HEAD_POINTS, :2].mean(0)
    return bool(np.hypot(*(head - middle)) < 0.8 * (face[3] - face[1]))


def _same(one: Reading, other: Reading, faces: list[Floats]) -> bool:
    apart = np.hypot(*(one.body.points[:, :2] - other.body.points[:, :2]).T)
    if np.median(apart) < _SAME * min(one.body.square.side, other.body.square.side):
        return True
    if any(holds(face, one.body) and not holds(face, other.body) for face in faces):
        return False
    mine, theirs = (reading.outline() for reading in (one, other))
    return bool((mine & theirs).sum() > _WITHIN * mine.sum())
