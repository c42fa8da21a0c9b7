"""Where the head and the neck lie."""

from __future__ import annotations

import numpy as np

from components.core.body.head import CENTRE
from components.core.body.template import BONE, JOINTS
from components.core.fitting import numbering as at
from components.core.fitting.fitted import Floats
from components.core.fitting.posed import BoneMaps, Build, upward
from components.core.fitting.skeleton import Skeleton
from components.core.fitting.vectors import across, cross, unit
from components.core.landmarks.found import Landmarks

_FACE_WIDTH, _FACE_HEIGHT = 0.145, 0.175
_EYES_AHEAD = np.array([0, 0, 0.075], np.float32)
_RIGHT_CHEEK, _LEFT_CHEEK, _FOREHEAD, _CHIN = 234, 454, 10, 152
_EYE_CORNERS = (33, 133, 362, 263)


def put_head_and_neck(maps: BoneMaps, landmarks: Landmarks, body: Skeleton, build: Build) -> None:
    """Put the head by the face's own points, or by ears and shoulders where no face is seen, and the neck between."""
    points = body.points
    if landmarks.face is not None:
        matrix, rest, place = _by_face(landmarks.face)
    else:
        ears = points[[at.LEFT_EAR, at.RIGHT_EAR]]
        sideways = unit(ears[0] - ears[1])
        up = unit(across(unit(upward(points)[1]), sideways))
        matrix = np.stack([sideways, up, cross(sideways, up)], 1) * build.scale * 1.1
        rest, place = CENTRE, ears.mean(0)
    # The face's own depth starts anywhere; the ears' is the body's.
    depth = points[[at.LEFT_EAR, at.RIGHT_EAR], 2].mean()
    place = np.array([place[0], place[1], depth + (matrix @ (rest - CENTRE))[2]], np.float32)
    maps.put("head", matrix.astype(np.float32), rest, place)
    _put_neck(maps, build)


def _by_face(face: Floats) -> tuple[Floats, Floats, Floats]:
    """The head's matrix, and the place between the eyes at rest and in the picture."""
    sideways, upright = face[_LEFT_CHEEK] - face[_RIGHT_CHEEK], face[_FOREHEAD] - face[_CHIN]
    x = unit(sideways)
    y = unit(across(upright, x))
    wide, high = np.linalg.norm(sideways) / _FACE_WIDTH, np.linalg.norm(upright) / _FACE_HEIGHT
    matrix = np.stack([x * wide, y * high, cross(x, y) * (wide + high) / 2], 1)
    return matrix, CENTRE + _EYES_AHEAD, face[list(_EYE_CORNERS)].mean(0)


def _put_neck(maps: BoneMaps, build: Build) -> None:
    """From the chest's top to the skull's base, as long as that is."""
    neck, head = JOINTS[BONE["neck"]], JOINTS[BONE["head"]]
    base = maps.place("chest", neck)
    axis = maps.place("head", head) - base
    sideways = unit(across(unit(maps.matrix[BONE["head"]][:, 0]) + unit(maps.matrix[BONE["chest"]][:, 0]), unit(axis)))
    girth = build.girth("neck")
    matrix = np.stack([sideways * girth, axis / (head - neck)[1], cross(sideways, unit(axis)) * girth], 1)
    maps.put("neck", matrix.astype(np.float32), neck, base)
