"""Poses: which way each bone points, drawn from what people do in front of a camera, and the skin that follows.

Rotations act in the axes of the resting template: x to the person's left, y up, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesize import exact
from components.synthesize.body import ARM_AXIS, BONE, BONES, JOINTS, PARENT
from components.synthesize.meshes import Floats, normalise

# Directions of the left upper and lower arm (outward, up, forward); the right arm mirrors them. Weight, upper, lower.
_ARMS: tuple[tuple[float, tuple[float, float, float], tuple[float, float, float]], ...] = (
    (5.0, (0.24, -1.0, -0.03), (0.16, -1.0, 0.20)),  # hanging
    (1.5, (0.36, -1.0, -0.18), (0.02, -1.0, 0.42)),  # hand in the pocket
    (2.2, (0.74, -0.80, -0.18), (-0.62, -0.62, 0.38)),  # hand on the hip
    (1.2, (0.30, -1.0, 0.10), (-0.30, -0.10, 1.0)),  # forearm forward
    (1.6, (0.20, -1.0, 0.28), (-0.95, 0.10, 0.50)),  # across the belly
    (1.0, (0.26, -0.90, 0.38), (-0.55, 0.80, 0.42)),  # hand to the chin
    (0.9, (0.95, 0.10, 0.10), (-0.30, 1.0, 0.15)),  # waving
    (0.6, (0.80, -0.55, 0.12), (0.92, -0.25, 0.35)),  # held out
    (0.5, (0.62, 0.80, 0.05), (-0.52, 0.85, -0.05)),  # above the head
)


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


def _frame(direction: Floats, hinge: Floats) -> Floats:
    """An orthonormal frame whose first column is `direction` and whose second is the nearest thing to `hinge`."""
    d = normalise(direction)
    h = normalise(hinge - exact.product(hinge, d) * d)
    return np.stack([d, h, np.cross(d, h)], 1).astype(np.float32)


def _arm(upper: Floats, lower: Floats, left: bool) -> tuple[Floats, Floats]:
    """World-like rotations of upper and lower arm that point them along `upper` and `lower` and bend at the elbow."""
    mirror = np.array([1.0 if left else -1.0, 1, 1], np.float32)
    axis = ARM_AXIS * mirror
    forward = np.array([0, 0, 1], np.float32)
    rest = _frame(axis, np.cross(axis, forward))
    upper, lower = normalise(upper * mirror), normalise(lower * mirror)
    hinge = np.cross(upper, lower)
    return exact.product(_frame(upper, hinge), rest.T), exact.product(_frame(lower, hinge), rest.T)


def sample_pose(rng: np.random.Generator, back: bool) -> Pose:
    """A pose from the distribution; `back` shows the person from behind."""
    yaw = np.clip(rng.normal(0, 24), -50, 50)
    if back:
        yaw = 180 + np.clip(rng.normal(0, 20), -40, 40)
    local = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    sway = rng.normal(0, 3.5)
    local[BONE["pelvis"]] = euler(rng.normal(0, 2), 0, sway)
    local[BONE["spine"]] = euler(rng.normal(1, 3), rng.normal(0, 5), -0.7 * sway + rng.normal(0, 3))
    local[BONE["chest"]] = euler(rng.normal(0, 3), rng.normal(0, 6), -0.5 * sway + rng.normal(0, 3))
    # The head turns back toward the camera, as people do.
    toward = 0.0 if back else -0.35 * yaw
    head_yaw = np.clip(toward + rng.normal(0, 16), -45, 45)
    head_pitch, head_roll = np.clip(rng.normal(0, 7), -15, 16), np.clip(rng.normal(0, 5), -12, 12)
    local[BONE["neck"]] = euler(0.4 * head_pitch, 0.4 * head_yaw, 0.4 * head_roll)
    local[BONE["head"]] = euler(0.6 * head_pitch, 0.6 * head_yaw, 0.6 * head_roll)

    weights = np.array([w for w, _, _ in _ARMS])
    chosen = rng.choice(len(_ARMS), 2, p=weights / weights.sum())
    if rng.random() < 0.4:
        chosen[1] = chosen[0]
    for side, choice in zip("lr", chosen, strict=True):
        _, upper, lower = _ARMS[choice]
        first = normalise(np.array(upper, np.float32)) + rng.normal(0, 0.06, 3)
        second = normalise(np.array(lower, np.float32)) + rng.normal(0, 0.07, 3)
        above, below = _arm(first.astype(np.float32), second.astype(np.float32), side == "l")
        local[BONE[f"upper_arm_{side}"]] = above
        local[BONE[f"lower_arm_{side}"]] = exact.product(above.T, below)
        local[BONE[f"hand_{side}"]] = euler(rng.normal(0, 8), 0, rng.normal(0, 8))
        stride, bend = rng.normal(0, 7), abs(rng.normal(0, 9))
        out = (1 if side == "l" else -1) * rng.normal(0, 3)
        local[BONE[f"upper_leg_{side}"]] = euler(-stride - bend / 2, 0, out)
        local[BONE[f"lower_leg_{side}"]] = euler(bend, 0, 0)
    return Pose(local, float(np.deg2rad(yaw)))


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
