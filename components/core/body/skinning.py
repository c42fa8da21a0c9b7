"""A pose of the body, and the skin that follows it.

Rotations act in the axes of the resting template: x to the person's left, y up, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats
from components.core.body.template import BONES, JOINTS, PARENT


@dataclass(frozen=True)
class Pose:
    """Rotation of each bone [17, 3, 3] relative to its parent, and the turn of the whole figure in radians.

    `yaw` 0 faces the camera, positive turns toward the person's left, pi shows the back.
    """

    local: Floats
    yaw: float


def rotation(axis: str, radians: float) -> Floats:
    """3 x 3 rotation about x, y or z."""
    c, s = exact.cos(radians), exact.sin(radians)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3, dtype=np.float32)
    matrix[i, i] = matrix[j, j] = c
    matrix[j, i], matrix[i, j] = s, -s
    return matrix


def euler(pitch: float, yaw: float, roll: float) -> Floats:
    """Nod forward by `pitch`, turn left by `yaw`, tilt by `roll` (degrees)."""
    x, y, z = np.deg2rad([pitch, yaw, roll])
    return np.asarray(exact.product(exact.product(rotation("y", y), rotation("x", x)), rotation("z", z)), np.float32)


def bone_transforms(pose: Pose, stretch: Floats) -> tuple[Floats, Floats]:
    """Matrices [17, 3, 3] and offsets [17, 3] that take resting points to posed ones, for a build `stretch` [17, 3, 3].

    A bone's own stretch moves its skin and the joint of its children, but does not pass on to them.
    """
    matrix = np.zeros((len(BONES), 3, 3), np.float32)
    offset = np.zeros((len(BONES), 3), np.float32)
    turn = np.zeros((len(BONES), 3, 3), np.float32)
    for bone, parent in enumerate(PARENT):
        if parent < 0:
            turn[bone] = exact.product(rotation("y", pose.yaw), pose.local[bone])
            joint = JOINTS[bone]
        else:
            turn[bone] = exact.product(turn[parent], pose.local[bone])
            joint = exact.product(matrix[parent], JOINTS[bone]) + offset[parent]
        matrix[bone] = exact.product(turn[bone], stretch[bone])
        offset[bone] = joint - exact.product(matrix[bone], JOINTS[bone])
    return matrix, offset


def skin(points: Floats, weights: Floats, matrix: Floats, offset: Floats) -> Floats:
    """Resting `points` [V, 3] moved by their bones (linear blend skinning): [V, 3]."""
    blend = exact.product(weights, np.concatenate([matrix.reshape(-1, 9), offset], 1))
    turned = blend[:, :9].reshape(-1, 3, 3) * points[:, None]
    moved = turned[..., 0] + turned[..., 1] + turned[..., 2] + blend[:, 9:]
    return np.asarray(moved, np.float32)
