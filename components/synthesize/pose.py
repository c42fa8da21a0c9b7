"""Poses: which way each bone points, drawn from what people do in front of a camera."""

from __future__ import annotations

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats, normalise
from components.core.body.skinning import Pose, euler
from components.core.body.template import ARM_AXIS, BONE, BONES

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
