"""How far an estimated pose map can be trusted, and what is the matter with it, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS

_SURE = 0.5
"""Visibility from which a landmark counts as seen; BlazePose's own."""
_LIMBS = {"the legs are": (25, 26, 27, 28), "the arms are": (13, 14, 15, 16)}
_SHOULDERS_AND_HIPS = (11, 12, 23, 24)
_NOSE, _HEAD, _HANDS = 0, slice(0, 11), slice(15, 23)
_REACH = 0.35
"""Distance of a hand from the middle of the head, in lengths of the trunk, within which it is before the head."""


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


def with_faces(confidence: Confidence, landmarks: Landmarks, faces: Sequence[NDArray[np.float32]]) -> Confidence:
    """Noting faces (`other_faces`) that are not this person's."""
    if not other_faces(landmarks, faces):
        return confidence
    note = "another face lies on the body: another person, or a print"
    return replace(confidence, notes=(*confidence.notes, note))


def _agreement(iuv: Pixels, mask: Pixels) -> float:
    body, person = iuv[..., 0] > 0, mask > 127
    either = int((body | person).sum())
    return float((body & person).sum() / either) if either else 0.0


def _notes(landmarks: Landmarks, iuv: Pixels) -> list[str]:
    height, width = iuv.shape[:2]
    notes = []
    if not np.isin(iuv[..., 0], HEAD_PARTS).any():
        notes.append("no head is in the picture")
    elif not (0 <= landmarks.body[_NOSE, 0] < width and 0 <= landmarks.body[_NOSE, 1] < height):
        notes.append("the head is cut off")
    elif landmarks.face is None:
        notes.append("seen from behind, or the face is covered" if _from_behind(landmarks)
                     else "the face is turned away or covered")
    for what, points in _LIMBS.items():
        x, y = landmarks.body[list(points), 0], landmarks.body[list(points), 1]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if not inside.any():
            notes.append(f"{what} cut off: fine for portraits")
        elif (landmarks.visibility[list(points)] < _SURE).all():
            notes.append(f"{what} hidden")
    return notes


def either_way(landmarks: Landmarks) -> bool:
    """Whether this could be a back as well as a front whose face a hand, or what it holds, covers.

    The networks take people whose face they do not see for turned away: in 4 of 14 photos with a telephone drawn over
    the face a front became a back. Who is seen from behind has no hand at the face.
    """
    if landmarks.face is not None or not _from_behind(landmarks):
        return False
    body, seen = landmarks.body[:, :2], landmarks.visibility >= _SURE
    shoulders, hips = body[11:13].mean(0), body[23:25].mean(0)
    far = np.hypot(*(body[_HANDS] - body[_HEAD].mean(0)).T)
    return bool((far[seen[_HANDS]] < _REACH * np.hypot(*(hips - shoulders))).any())


def _from_behind(landmarks: Landmarks) -> bool:
    """Whether the left shoulder and hip lie where the right ones of somebody who faces the camera are."""
    body = landmarks.body[:, :2]
    trunk = body[23:25].mean(0) - body[11:13].mean(0)
    across = body[11] - body[12] + body[23] - body[24]
    return bool(across[0] * trunk[1] - across[1] * trunk[0] < 0)


def other_faces(landmarks: Landmarks, faces: Sequence[NDArray[np.float32]]) -> int:
    """How many of the faces of a photo (boxes [4]: left, top, right, bottom) lie on this person and are not theirs."""
    mask, count = landmarks.mask > 127, 0
    head = landmarks.body[_HEAD, :2].mean(0)
    for face in faces:
        middle, height = (face[:2] + face[2:]) / 2, float(face[3] - face[1])
        x, y = (int(np.clip(at, 0, size - 1)) for at, size in zip(middle, mask.shape[::-1], strict=True))
        count += bool(mask[y, x]) and float(np.hypot(*(middle - head))) > height
    return count


def overlap(ours: Pixels, theirs: Pixels) -> float:
    """Share of a person's mask [H, W] that another's covers as well, 0..1."""
    mine = ours > 127
    rest = cv2.countNonZero(np.asarray(mine & (theirs > 127), np.uint8))
    return rest / max(1, cv2.countNonZero(mine.astype(np.uint8)))
