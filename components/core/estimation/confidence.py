"""How far an estimated pose map can be trusted, and what is the matter with it, in words."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS

_SURE = 0.5
"""Visibility from which a landmark counts as seen; BlazePose's own."""
_LIMBS = {"the legs are": (25, 26, 27, 28), "the arms are": (13, 14, 15, 16)}
_SHOULDERS_AND_HIPS = (11, 12, 23, 24)


@dataclass(frozen=True)
class Confidence:
    """How well pose map, person mask and landmarks go together."""

    score: float
    """0..1: the landmarks' visibility times how far map and mask agree."""
    agreement: float
    """Intersection over union of the pose map's silhouette and the person mask inside the map's box."""
    notes: tuple[str, ...]
    """What is missing or doubtful; none of it alone makes a photo useless."""


def confidence_of(landmarks: Landmarks, iuv: Pixels) -> Confidence:
    """Judge a pose map [H, W, 3] made from `landmarks`."""
    agreement = _agreement(iuv, landmarks.mask)
    seen = float(landmarks.visibility[list(_SHOULDERS_AND_HIPS)].mean())
    score = float(np.clip(landmarks.score * (0.5 + 0.5 * seen) * agreement, 0, 1))
    return Confidence(score, agreement, tuple(_notes(landmarks, iuv)))


def _agreement(iuv: Pixels, mask: Pixels) -> float:
    body, person = iuv[..., 0] > 0, mask > 127
    either = int((body | person).sum())
    return float((body & person).sum() / either) if either else 0.0


def _notes(landmarks: Landmarks, iuv: Pixels) -> list[str]:
    height, width = iuv.shape[:2]
    notes = []
    if not np.isin(iuv[..., 0], HEAD_PARTS).any():
        notes.append("no head is in the picture")
    elif landmarks.face is None:
        notes.append("the face is turned away or covered")
    for what, points in _LIMBS.items():
        x, y = landmarks.body[list(points), 0], landmarks.body[list(points), 1]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if not inside.any():
            notes.append(f"{what} cut off: fine for portraits")
        elif (landmarks.visibility[list(points)] < _SURE).all():
            notes.append(f"{what} hidden")
    return notes


def overlap(ours: Pixels, theirs: Pixels) -> float:
    """Share of a person's mask [H, W] that another's covers as well, 0..1."""
    mine = ours > 127
    rest = cv2.countNonZero(np.asarray(mine & (theirs > 127), np.uint8))
    return rest / max(1, cv2.countNonZero(mine.astype(np.uint8)))
