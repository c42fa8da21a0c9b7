"""How much of the limbs is inside other parts of the body: what a pose must not ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.core.body.template import BONE, JOINTS, torso_section
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.surface import posed_points, surface
from components.core.poses.pose import Pose

_DEEP = 0.015
"""Metres: flesh and clothes give way so far."""
_TORSO = 0.86, 1.36
_LIMBS = {"lower_arm": (0.040, 0.027), "hand": (0.03, 0.03), "upper_leg": (0.080, 0.056), "lower_leg": (0.054, 0.035)}
"""Bones that may not cross others, and the template's radii at their ends, metres."""


def crossing(pose: Pose, fitted: Fitted) -> float:
    """Share of the skin of lower arms, hands and legs that is deeper than 1.5 cm in the trunk or in another limb.

    A hand in a pocket is meant to be, and is left out.
    """
    skin = posed_points(fitted.rest, fitted.matrix, fitted.offset)
    strongest = surface().weights.argmax(1)
    inside, total = 0, 0
    for name in _LIMBS:
        for side, arm in (("l", pose.left_arm), ("r", pose.right_arm)):
            if name == "hand" and arm.hidden:
                continue
            mine = skin[strongest == BONE[f"{name}_{side}"]]
            deep = np.zeros(len(mine), np.bool_)
            if "leg" not in name:
                deep |= _in_trunk(mine, fitted)
            for other in _LIMBS:
                for their in "lr":
                    if _apart(name, side, other, their):
                        deep |= _in_limb(mine, fitted, f"{other}_{their}", _LIMBS[other])
            inside, total = inside + int(deep.sum()), total + len(mine)
    return inside / max(total, 1)


def _apart(name: str, side: str, other: str, their: str) -> bool:
    """Are these two bones of different limbs?"""
    return side != their or ("leg" in name) != ("leg" in other)


def _at_rest(points: Floats, fitted: Fitted, bone: str) -> Floats:
    index = BONE[bone]
    return np.asarray((points - fitted.offset[index]) @ np.linalg.inv(fitted.matrix[index]).T, np.float32)


def _in_trunk(points: Floats, fitted: Fitted) -> NDArray[np.bool_]:
    inside = np.zeros(len(points), np.bool_)
    for bone, low, high in (("pelvis", _TORSO[0], 1.0), ("spine", 1.0, 1.2), ("chest", 1.2, _TORSO[1])):
        rest = _at_rest(points, fitted, bone)
        wide, deep, middle = torso_section(rest[:, 1])
        off = np.hypot(rest[:, 0] / (wide - _DEEP), (rest[:, 2] - middle) / (deep - _DEEP))
        inside |= (off < 1) & (rest[:, 1] > low) & (rest[:, 1] < high)
    return inside


def _in_limb(points: Floats, fitted: Fitted, bone: str, radii: tuple[float, float]) -> NDArray[np.bool_]:
    rest = _at_rest(points, fitted, bone)
    start = JOINTS[BONE[bone]]
    name, side = bone.rsplit("_", 1)
    following = {"lower_arm": "hand", "upper_leg": "lower_leg", "lower_leg": "foot"}.get(name)
    if following:
        end = JOINTS[BONE[f"{following}_{side}"]]
    else:
        end = start + 0.12 * (start - JOINTS[BONE[f"lower_arm_{side}"]]) / 0.23
    axis = end - start
    share = np.clip((rest - start) @ axis / (axis @ axis), 0, 1)
    away = np.linalg.norm(rest - start - share[:, None] * axis, axis=1)
    return np.asarray(away < radii[0] + (radii[1] - radii[0]) * share - _DEEP)
