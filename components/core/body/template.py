"""The template body: its skeleton, its skin, and which bones move which part of the skin.

Everyone is this template, stretched and posed. It rests with the arms held out 40 degrees from straight down and the
legs a little apart. The pose map, clothes and patterns are functions of the place on the *resting* template, so
they stick to the surface whatever the person's build and pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats, Ints, Mesh, from_field, length, normalise, smoothstep

BONES = (
    "pelvis", "spine", "chest", "neck", "head",
    "upper_arm_l", "lower_arm_l", "hand_l", "upper_arm_r", "lower_arm_r", "hand_r",
    "upper_leg_l", "lower_leg_l", "foot_l", "upper_leg_r", "lower_leg_r", "foot_r",
)  # fmt: skip
BONE = {name: index for index, name in enumerate(BONES)}
PARENT = (-1, 0, 1, 2, 3, 2, 5, 6, 2, 8, 9, 0, 11, 12, 0, 14, 15)

SHOULDER, ELBOW, WRIST = np.array([(0.158, 1.362, -0.02), (0.331, 1.156, -0.02), (0.478, 0.98, -0.01)], np.float32)
HIP, KNEE, ANKLE = np.array([(0.088, 0.90, 0.0), (0.112, 0.49, 0.005), (0.124, 0.08, -0.025)], np.float32)
NECK_BASE, EYE_LEVEL = 1.405, 1.632
CROTCH, HIP_CREASE = 0.815, 0.925
_MIRROR = np.array([-1, 1, 1], np.float32)


def _rest_joints() -> Floats:
    spine = [(0, 0.93, -0.005), (0, 1.06, -0.01), (0, 1.2, -0.012), (0, 1.42, -0.022), (0, 1.525, -0.005)]
    limbs = [SHOULDER, ELBOW, WRIST], [HIP, KNEE, ANKLE]
    arms = [*limbs[0], *(joint * _MIRROR for joint in limbs[0])]
    legs = [*limbs[1], *(joint * _MIRROR for joint in limbs[1])]
    return np.array([*spine, *arms, *legs], np.float32)


JOINTS = _rest_joints()
"""[17, 3] where each bone begins in the resting template."""

ARM_AXIS = normalise(WRIST - SHOULDER)
"""Direction of the resting left arm, shoulder to wrist."""

# Torso cross-sections: height, half width, half depth, middle in z.
_TORSO = np.array(
    [
        (0.80, 0.120, 0.085, -0.005), (0.86, 0.155, 0.108, -0.012), (0.92, 0.165, 0.116, -0.014),
        (1.00, 0.150, 0.104, -0.006), (1.08, 0.133, 0.093, 0.000), (1.16, 0.138, 0.096, 0.002),
        (1.24, 0.153, 0.106, 0.002), (1.31, 0.156, 0.100, -0.006), (1.37, 0.125, 0.080, -0.016),
        (1.42, 0.070, 0.062, -0.022), (1.46, 0.05, 0.05, -0.02),
    ],
    np.float32,
)  # fmt: skip


def torso_section(y: Floats) -> tuple[Floats, Floats, Floats]:
    """Half width, half depth and middle (z) of the template's torso at height `y`, metres."""
    heights, sections = _smooth_torso()
    rx, rz, cz = (np.interp(y, heights, sections[:, k]).astype(np.float32) for k in (0, 1, 2))
    return rx, rz, cz


@lru_cache(maxsize=1)
def _smooth_torso() -> tuple[Floats, Floats]:
    """The cross-sections without kinks: a dense table, blurred over about 5 cm."""
    heights = np.linspace(_TORSO[0, 0] - 0.1, _TORSO[-1, 0] + 0.1, 220).astype(np.float32)
    spread = exact.exp(-(((heights[:, None] - heights) / 0.022) ** 2))
    raw = np.stack([np.interp(heights, _TORSO[:, 0], _TORSO[:, k]) for k in (1, 2, 3)], 1)
    return heights, (exact.product(spread, raw) / spread.sum(1, keepdims=True)).astype(np.float32)


def along(p: Floats, start: Floats, end: Floats) -> Floats:
    """How far along the segment each point projects: 0 at `start`, 1 at `end`, unclipped."""
    axis = end - start
    return np.asarray(exact.product(p - start, axis) / exact.product(axis, axis), np.float32)


def _cone(p: Floats, start: Floats, end: Floats, r0: float, r1: float, bulge: float = 0.0, at: float = 0.3) -> Floats:
    """Distance to a capsule of changing radius with an optional muscle."""
    t = np.clip(along(p, start, end), 0, 1)
    d = p - (start + t[:, None] * (end - start))
    radius = r0 + (r1 - r0) * t + bulge * exact.exp(-(((t - at) / 0.22) ** 2))
    return np.asarray(length(d) - radius)


def _blob(p: Floats, centre: Floats, axes: Floats, radii: tuple[float, float, float]) -> Floats:
    """Roughly the distance to an ellipsoid with the rows of `axes` as its axes."""
    q = exact.product(p - centre, axes.T) / np.asarray(radii, np.float32)
    return np.asarray((length(q) - 1.0) * min(radii), np.float32)


def _join(a: Floats, b: Floats, soft: float) -> Floats:
    """Union of two fields with a fillet of size `soft`."""
    h = np.clip(0.5 + 0.5 * (b - a) / soft, 0, 1)
    return np.asarray(b + (a - b) * h - soft * h * (1 - h), np.float32)


def body_field(points: Floats) -> Floats:
    """Negative inside the resting template (without the head), positive outside; roughly metres."""
    p = points.copy()
    p[:, 0] = np.abs(p[:, 0])
    y = np.clip(p[:, 1], 0.80, 1.46)
    rx, rz, cz = torso_section(y)
    q = np.sqrt((p[:, 0] / rx) ** 2 + ((p[:, 2] - cz) / rz) ** 2) - 1.0
    field = np.maximum(q * np.minimum(rx, rz), np.abs(p[:, 1] - y) - 0.02)
    shoulders = _cone(p, np.array([0.02, 1.385, -0.022], np.float32), SHOULDER - 0.006, 0.048, 0.056)
    field = _join(field, shoulders, 0.05)
    neck = _cone(p, np.array([0, 1.38, -0.026], np.float32), np.array([0, 1.535, -0.006], np.float32), 0.060, 0.054)
    field = _join(field, neck, 0.035)
    arm = _cone(p, SHOULDER, ELBOW, 0.054, 0.041, 0.003, 0.45)
    arm = _join(arm, _cone(p, ELBOW, WRIST, 0.040, 0.027, 0.005, 0.25), 0.012)
    arm = _join(arm, _hand(p), 0.015)
    field = _join(field, arm, 0.03)
    leg = _cone(p, HIP - np.array([0, 0.02, 0.005], np.float32), KNEE, 0.086, 0.056, 0.004, 0.3)
    leg = _join(leg, _cone(p, KNEE, ANKLE, 0.054, 0.035, 0.011, 0.28), 0.02)
    toe = np.array([0.14, 0.028, 0.13], np.float32)
    foot = _cone(p, np.array([0.122, 0.035, -0.045], np.float32), toe, 0.036, 0.031)
    leg = _join(leg, np.maximum(foot, 0.0 - p[:, 1]), 0.025)
    return np.minimum(_join(field, leg, 0.025), 1.0)


def _hand(p: Floats) -> Floats:
    """A mitten with a thumb: the palm faces the thigh, the thumb forward."""
    side = np.array([0.0, 0.0, 1.0], np.float32)
    axes = np.stack([ARM_AXIS, np.cross(side, ARM_AXIS), side]).astype(np.float32)
    palm = _blob(p, WRIST + 0.055 * ARM_AXIS, axes, (0.062, 0.020, 0.042))
    fingers = _blob(p, WRIST + 0.112 * ARM_AXIS - 0.006 * axes[1], axes, (0.058, 0.0165, 0.036))
    root = WRIST + 0.035 * ARM_AXIS + 0.022 * side
    thumb = _cone(p, root, root + 0.055 * ARM_AXIS + 0.034 * side - 0.008 * axes[1], 0.015, 0.0115)
    return _join(_join(palm, fingers, 0.012), thumb, 0.012)


@dataclass(frozen=True)
class Template:
    """`mesh` at rest, its unit `normals` [V, 3], and how much each of the 17 bones moves each vertex [V, 17]."""

    mesh: Mesh
    normals: Floats
    weights: Floats


@lru_cache(maxsize=2)
def template(step: float = 0.0135) -> Template:
    """The resting body as triangles about `step` metres wide; built once per process (about half a second)."""
    mesh = from_field(
        body_field, np.array([-0.66, -0.03, -0.17], np.float32), np.array([0.66, 1.62, 0.2], np.float32), step
    )
    h = 2e-3
    unit = np.eye(3, dtype=np.float32)
    normals = normalise(np.stack([body_field(mesh.points + h * e) - body_field(mesh.points - h * e) for e in unit], 1))
    return Template(mesh, normals, _relaxed(skin_weights(mesh.points), mesh.triangles, rounds=8))


def _relaxed(weights: Floats, triangles: Ints, rounds: int) -> Floats:
    """Weights averaged with their neighbours' a few times: where bones meet (armpits) skin stretches, not tears."""
    ends = np.concatenate([triangles[:, [0, 1, 2]], triangles[:, [1, 2, 0]]]).ravel()
    others = np.concatenate([triangles[:, [1, 2, 0]], triangles[:, [0, 1, 2]]]).ravel()
    count = np.bincount(ends, minlength=len(weights))
    for _ in range(rounds):
        around = [np.bincount(ends, column[others], len(weights)) / count for column in weights.T]
        weights = 0.4 * weights + 0.6 * np.stack(around, 1)
    return weights.astype(np.float32)


def arm_share(p: Floats) -> tuple[Floats, Floats]:
    """How much a point of the left half belongs to the arm (0..1), and how far past the shoulder it is (metres)."""
    reach = exact.product(p - SHOULDER, ARM_AXIS)
    off = p - SHOULDER - np.clip(reach, 0, None)[:, None] * ARM_AXIS
    distance = length(off)
    # Past the armpit the arm is what lies on its own side of the gap; above it, what lies beyond the joint.
    near = smoothstep(0.105, 0.068, distance)
    return smoothstep(-0.035, 0.075, reach.astype(np.float32)) * near, np.asarray(reach, np.float32)


def skin_weights(points: Floats) -> Floats:
    """Weights [V, 17] that sum to 1, smooth across the joints."""
    # At the crotch both legs pull on the same skin.
    left = smoothstep(-0.03, 0.03, points[:, 0])
    p = points.copy()
    p[:, 0] = np.abs(p[:, 0])
    y = p[:, 1]
    weights = np.zeros((len(points), len(BONES)), np.float32)
    arm, reach = arm_share(p)
    lower_arm = smoothstep(-0.045, 0.045, reach - float(exact.product(ELBOW - SHOULDER, ARM_AXIS)))
    hand = smoothstep(-0.025, 0.025, reach - float(exact.product(WRIST - SHOULDER, ARM_AXIS)))
    crease = HIP_CREASE - 0.55 * (0.17 - p[:, 0])
    leg = smoothstep(0.05, -0.07, y - crease) * (1 - arm)
    lower_leg = smoothstep(0.055, -0.055, y - KNEE[1])
    foot = smoothstep(0.03, -0.03, y - ANKLE[1])
    trunk = (1 - arm) * (1 - leg)
    spine, chest = smoothstep(0.95, 1.08, y), smoothstep(1.1, 1.24, y)
    neck, head = smoothstep(1.385, 1.45, y) * smoothstep(0.11, 0.07, p[:, 0]), smoothstep(1.49, 1.56, y)
    ladder = [np.ones_like(y), spine, chest, neck, head]
    for bone in range(5):
        following = ladder[bone + 1] if bone < 4 else 0.0
        weights[:, bone] = trunk * ladder[bone] * (1 - following)
    for side, first_arm, first_leg in ((left, 5, 11), (1 - left, 8, 14)):
        steps = ((arm, lower_arm, hand), (leg, lower_leg, foot))
        for first, (whole, middle, end) in zip((first_arm, first_leg), steps, strict=True):
            weights[:, first] += side * whole * (1 - middle)
            weights[:, first + 1] += side * whole * middle * (1 - end)
            weights[:, first + 2] += side * whole * end
    total = weights.sum(1, keepdims=True)
    return np.asarray(weights / np.maximum(total, 1e-6), np.float32)
