"""Where a place on the body lies in the 24 DensePose charts.

Both functions are pure functions of the resting surface, so the same spot of skin has the same I, U, V in every
photo. Directions follow what real maps show (see the table in the tests).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.core.body import exact
from components.core.body.meshes import Floats, length
from components.core.body.template import (
    ANKLE,
    ARM_AXIS,
    CROTCH,
    ELBOW,
    HIP,
    HIP_CREASE,
    KNEE,
    NECK_BASE,
    SHOULDER,
    WRIST,
    along,
    torso_section,
)  # fmt: skip

Parts = NDArray[np.uint8]

_TO_ELBOW, _TO_WRIST = (float(exact.product(joint - SHOULDER, ARM_AXIS)) for joint in (ELBOW, WRIST))

_TURN = np.deg2rad([0, 9, 24, 40, 90, 180])
_HEAD_U = np.array([1.0, 0.91, 0.79, 0.69, 0.42, 0.0])
# Elevation above the eyes seen from the head's middle, against V. Chin .25, mouth .39, nose .51, eyes .63, brows .71.
_RISE = np.deg2rad([-90, -62, -51, -36, -20, 0, 14, 45, 90])
_HEAD_V = np.array([0.10, 0.17, 0.25, 0.385, 0.505, 0.63, 0.71, 0.86, 1.0])


def head_chart(azimuth: Floats, elevation: Floats) -> tuple[Parts, Floats, Floats]:
    """I, U, V of places on the head, given as directions from its middle in radians.

    `azimuth` 0 is the face's midline, positive toward the person's left; `elevation` 0 is eye level.
    """
    part = np.where(azimuth < 0, 23, 24).astype(np.uint8)
    right_u = np.interp(np.abs(azimuth), _TURN, _HEAD_U)
    u = np.where(azimuth < 0, right_u, 1 - right_u)
    v = np.interp(elevation, _RISE, _HEAD_V)
    return part, u.astype(np.float32), v.astype(np.float32)


def head_direction(part: Parts, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Azimuth and elevation of places on the head: what `head_chart` undoes. Above V's lowest value it is exact."""
    right_u = np.where(part == 23, u, 1 - u)
    azimuth = np.interp(right_u, _HEAD_U[::-1], _TURN[::-1]) * np.where(part == 23, -1, 1)
    return azimuth.astype(np.float32), np.interp(v, _HEAD_V, _RISE).astype(np.float32)


def body_chart(rest: Floats, neck_from: float = NECK_BASE) -> tuple[Parts, Floats, Floats]:
    """I [N] in 1..24, U and V [N] in 0..1 of places `rest` [N, 3] on the resting template.

    The torso goes on up to the height `neck_from` in front, from where the neck is the head's.
    """
    left = rest[:, 0] >= 0
    p = rest.copy()
    p[:, 0] = np.abs(p[:, 0])
    part = np.zeros(len(p), np.uint8)
    u, v = np.zeros(len(p), np.float32), np.zeros(len(p), np.float32)
    rx, rz, cz = torso_section(p[:, 1])
    reach = exact.product(p - SHOULDER, ARM_AXIS)
    off = p - SHOULDER - reach[:, None] * ARM_AXIS
    is_arm = (reach > 0.03) & (length(off) < np.where(reach < 0.1, 0.078, 0.1))
    is_leg = ~is_arm & (p[:, 1] < np.minimum(HIP_CREASE, CROTCH + 0.72 * p[:, 0]))
    is_neck = ~is_arm & (p[:, 1] > neck_from + 0.02 * (p[:, 2] < cz)) & (p[:, 0] < 0.085)
    is_torso = ~(is_arm | is_leg | is_neck)

    turn = exact.arctan2(p[:, 2] - cz, p[:, 0] / rx * rz)  # 0 at the side, pi/2 in front, -pi/2 behind
    for where, fill in ((is_torso, _torso), (is_neck, _neck), (is_arm, _arm), (is_leg, _leg)):
        if where.any():
            part[where], u[where], v[where] = fill(p[where], left[where], turn[where])
    return part, np.clip(u, 0, 1), np.clip(v, 0, 1)


def _torso(p: Floats, left: NDArray[np.bool_], turn: Floats) -> tuple[Parts, Floats, Floats]:
    front = turn >= 0
    across = np.abs(turn) / np.pi  # 0 at the near side, 1/2 in the middle
    v = np.where(left, across, 1 - across)  # from the person's left to the right, in front and behind
    u = (1.445 - p[:, 1]) / (1.445 - CROTCH)
    return np.where(front, 2, 1).astype(np.uint8), u.astype(np.float32), v.astype(np.float32)


def _neck(p: Floats, left: NDArray[np.bool_], turn: Floats) -> tuple[Parts, Floats, Floats]:
    azimuth = np.pi / 2 - turn
    part, u, _ = head_chart(np.where(left, azimuth, -azimuth).astype(np.float32), np.zeros_like(turn))
    return part, u, np.interp(p[:, 1], [NECK_BASE, 1.53], [0.0, 0.17]).astype(np.float32)


def limb_turn(p: Floats, start: Floats, end: Floats) -> Floats:
    """Angle around a limb of the left half: 0 outward, pi/2 in front, pi inward, -pi/2 behind."""
    axis = (end - start) / np.sqrt(((end - start) ** 2).sum())
    outward = np.array([1.0, 0, 0], np.float32) - axis[0] * axis
    outward = outward / np.sqrt((outward**2).sum())
    forward = np.cross(outward, axis)
    forward = forward * np.sign(forward[2])
    off = p - start
    return np.asarray(exact.arctan2(exact.product(off, forward), exact.product(off, outward)), np.float32)


def _arm(p: Floats, left: NDArray[np.bool_], _: Floats) -> tuple[Parts, Floats, Floats]:
    upper_t, lower_t = along(p, SHOULDER, ELBOW), along(p, ELBOW, WRIST)
    reach = exact.product(p - SHOULDER, ARM_AXIS)
    is_hand = reach > _TO_WRIST
    is_lower = ~is_hand & (reach > _TO_ELBOW)
    turn = limb_turn(p, SHOULDER, WRIST)
    degrees = np.rad2deg(turn)
    # Upper arm: the chart's seams lie in front-outside and behind-inside; lower arm: straight in front and behind.
    outer = (degrees > -135) & (degrees <= 45)
    from_inner_back = np.where(outer, degrees + 135, 180 - np.mod(degrees - 45, 360)) / 180
    part = np.where(outer, np.where(left, 17, 18), np.where(left, 15, 16))
    u, v = 0.06 + 0.94 * upper_t, from_inner_back

    outside = np.abs(degrees) <= 90
    part = np.where(is_lower, np.where(outside, np.where(left, 21, 22), np.where(left, 19, 20)), part)
    u = np.where(is_lower, np.where(outside, lower_t, 1 - lower_t), u)
    v = np.where(is_lower, np.where(outside, degrees + 90, np.mod(degrees - 90, 360)) / 180, v)

    part = np.where(is_hand, np.where(left, 4, 3), part)
    right_u = 0.5 - degrees / 360
    u = np.where(is_hand, np.where(left, 1 - right_u, right_u), u)
    v = np.where(is_hand, (reach - _TO_WRIST) / 0.175, v)
    return part.astype(np.uint8), u.astype(np.float32), v.astype(np.float32)


def _leg(p: Floats, left: NDArray[np.bool_], _: Floats) -> tuple[Parts, Floats, Floats]:
    is_foot = p[:, 1] < ANKLE[1]
    is_lower = ~is_foot & (p[:, 1] < KNEE[1])
    heights = [joint[1] for joint in (ANKLE, KNEE, HIP)]
    middle = [np.interp(p[:, 1], heights, [joint[k] for joint in (ANKLE, KNEE, HIP)]) for k in (0, 2)]
    turn = exact.arctan2(p[:, 2] - middle[1], p[:, 0] - middle[0])
    front = turn >= 0
    inward = np.mod(turn, 2 * np.pi) / np.pi  # front 0..1 from outside to inside, behind 1..2 on to the outside
    down = np.interp(p[:, 1], [KNEE[1], HIP_CREASE], [1.0, 0.0])
    part = np.where(front, np.where(left, 10, 9), np.where(left, 8, 7))
    u = np.where(front, 1 - down, down)
    v = np.where(front, inward, inward - 1)

    down = np.interp(p[:, 1], [ANKLE[1], KNEE[1]], [1.0, 0.0])
    part = np.where(is_lower, np.where(front, np.where(left, 14, 13), np.where(left, 12, 11)), part)
    u = np.where(is_lower, np.where(front, down, 1 - down), u)
    v = np.where(is_lower, np.where(front, 1 - inward, inward - 1), v)

    part = np.where(is_foot, np.where(left, 5, 6), part)
    to_toe = (p[:, 2] + 0.085) / 0.255
    u = np.where(is_foot, np.where(left, to_toe, 1 - to_toe), u)
    v = np.where(is_foot, (p[:, 0] - 0.132) / 0.09 + 0.5, v)
    return part.astype(np.uint8), u.astype(np.float32), v.astype(np.float32)
