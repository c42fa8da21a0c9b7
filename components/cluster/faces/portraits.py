"""Whose face a plain photo shows: found by YuNet, chosen where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.cluster.faces.covered import cover_of
from components.core.errors import InputError
from components.core.faces.yunet import FoundFace, faces_in

Pixels = npt.NDArray[np.uint8]
Whom = Literal["alone", "largest", "centre"]

NO_FACE_FOUND = "no face found"
_BYSTANDER = 0.5
"""A face of less than this share of the largest one's size is somebody who stands by."""
_MIDDLE = 0.1
"""Farthest from the photo's middle, as a share of its shorter side, that the face is the photo's subject whoever else
is at its sides. In 100 portraits of a news agency the subject is within .08, others are from .27 on."""
_RIVAL = 0.7
"""From this share of the subject's size on somebody beside it is no smaller to the eye; two of these are a group."""
_ASIDE = 0.25
"""Nearest to the middle, likewise, that somebody beside the subject may be."""
_HEAD = 1.42
"""Height of a head in a pose map, in sizes of YuNet's box: the median of 18 real photos (1.35 to 1.64)."""


@dataclass(frozen=True)
class Portrait:
    """The face of whom a photo shows: its `chip` as by `head.face_chip`, `head`, its head's height in pixels, and
    `others`, how many more faces there are that are no bystanders'."""

    chip: Pixels
    head: float
    others: int


def portrait(photo: Pixels, whom: Whom) -> Portrait:
    """The face in a photo [H, W, 3], turned upright.

    `whom` to take of several: largest, or centre, the one nearest the middle. alone: nobody, unless one is in the
    middle, all others well to its sides, and not two of them as large. Raises `InputError` that says so where there is
    no face, or several and nobody to take, and what `yunet.faces_in` raises.
    """
    faces = faces_in(photo)
    if not faces:
        raise InputError(NO_FACE_FOUND, remedy="bring a photo that shows the face")
    face = _chosen(faces, photo.shape[:2], whom)
    chip = face.chip(photo)
    if cover_of(chip) == "mouth":
        chip = face.chip(photo, landmarks=3)
    return Portrait(chip, _HEAD * face.size, len(_prominent(faces)) - 1)


def _prominent(faces: Sequence[FoundFace]) -> list[FoundFace]:
    return [face for face in faces if face.size >= _BYSTANDER * faces[0].size]


def _chosen(faces: Sequence[FoundFace], shape: Sequence[int], whom: Whom) -> FoundFace:
    height, width = shape

    def off(face: FoundFace) -> float:
        x, y = face.middle
        return float(np.hypot(x - width / 2, y - height / 2)) / min(height, width)

    several = _prominent(faces)
    if len(several) == 1 or whom == "largest":
        return faces[0]
    by_place = sorted(several, key=off)
    subject, others = by_place[0], by_place[1:]
    rivals = [face for face in others if face.size >= _RIVAL * subject.size]
    if whom == "centre" or (off(subject) <= _MIDDLE and off(others[0]) >= _ASIDE and len(rivals) <= 1):
        return subject
    raise InputError(f"{len(several)} faces, and nothing says whose photo it is",
                     remedy="cut the photo to one person, or set cluster.person to largest or centre")
