"""Readings of people: each person twice, confirmed where doubtful, told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.landmarks.body import Body, find_body, region
from components.core.landmarks.geometry import Square
from components.core.landmarks.ssd import BODIES, Detection, detect
from components.core.pictures.images import Pixels

_SURE, _CERTAIN, _SAME, _NEAR = 0.9, 0.75, 0.1, 0.2


@dataclass(frozen=True)
class Reading:
    """A person read in `photo`, which has the places of the user's photo but may be a cleaned copy of it."""

    photo: Pixels
    body: Body
    score: float
    """As `Landmarks.score`."""


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


def distinct(readings: list[Reading]) -> list[Reading]:
    """Each person once, by the surest reading; the largest first."""
    kept: list[Reading] = []
    for one in sorted(readings, key=lambda reading: -reading.score):
        if not any(same_person(one.body, other.body) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda reading: -reading.body.square.side)


def same_person(one: Body, other: Body) -> bool:
    """Whether two readings put most points in the same places, within a tenth of the smaller region's side."""
    apart = np.hypot(*(one.points[:, :2] - other.points[:, :2]).T)
    return bool(np.median(apart) < _SAME * min(one.square.side, other.square.side))
