"""Tilted faces: the face mesh says how far a head is tilted, and YuNet looks again at the picture turned upright."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from components.core.faces.yunet import FoundFace, faces_in
from components.core.fitting.head_points import EYE_CORNERS
from components.core.landmarks.geometry import Square
from components.core.landmarks.parts import FACE, face_region, mesh
from components.core.landmarks.ssd import FACES, detect
from components.core.pictures.images import Pixels
from components.core.stores.known_weights import KNOWN, found

Floats = npt.NDArray[np.float64]

_AROUND = 2.5
_LEVEL, _VIEW, _UPRIGHT = np.deg2rad(12), 3.0, 640


def can_level() -> bool:
    """Whether what tells a head's tilt is on this machine: LiteRT and the two networks of the face mesh."""
    return (importlib.util.find_spec("ai_edge_litert") is not None
            and all(found(KNOWN[name]) for name in ("face-short-range", FACE)))


def found_points(picture: Pixels, face: FoundFace) -> Floats | None:
    """[468, 3] the mesh of a face that was found in a picture [H, W, 3]; None where no mesh fits it."""
    near = Square(*face.middle, _AROUND * face.size)
    faces = detect(picture, FACES, near)
    found = mesh(picture, face_region(faces[0].points)) if faces else None
    return None if found is None else found.astype(np.float64)


def roll(points: Floats) -> float:
    """How far a mesh [468, 3] is tilted, radians; positive clockwise as seen."""
    right, left = (points[list(corners)].mean(0) for corners in EYE_CORNERS)
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def levelled(picture: Pixels, face: FoundFace) -> FoundFace:
    """The face with its five points looked for again where its head is tilted, in the picture turned upright.

    YuNet finds tilted faces but puts their points where an upright face would have them: at 34 degrees eyes and mouth
    are a third of the eye distance off, and no network then takes two photos of one person for one.
    """
    mesh = found_points(picture, face)
    if mesh is None or abs(roll(mesh)) < _LEVEL:
        return face
    side = _VIEW * face.size
    scale = min(1.0, _UPRIGHT / side)
    matrix = np.asarray(cv2.getRotationMatrix2D(face.middle, float(np.rad2deg(roll(mesh))), scale), np.float64)
    matrix[:, 2] += scale * side / 2 - np.asarray(face.middle)
    size = max(1, round(scale * side))
    upright = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    again = faces_in(np.asarray(upright, np.uint8), turned=False, sides=(_UPRIGHT,))
    if not again:
        return face
    best = min(again, key=lambda one: float(np.hypot(*(np.asarray(one.middle) - size / 2))))
    back = cv2.invertAffineTransform(matrix)
    return replace(face, points=best.points @ back[:, :2].T + back[:, 2])
