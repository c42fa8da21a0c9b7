"""Fit the body to landmarks: bones in closed form, then the thickness of trunk and limbs from the person mask."""

from __future__ import annotations

import numpy as np

from components.core.body.template import BONE, BONES, JOINTS
from components.core.fitting.conventions import CONVENTIONS, Conventions
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.girth import rest_in_mask
from components.core.fitting.posed import BoneMaps, Build, bone_maps
from components.core.landmarks import numbering as at
from components.core.landmarks.found import Landmarks

_JOINT_POINTS = {
    "pelvis": at.HIPS, "spine": at.HIPS, "chest": at.SHOULDERS, "neck": at.SHOULDERS,
    "head": (at.LEFT_EAR, at.RIGHT_EAR),
    **{f"{bone}_{side}": (points[number],) for number, side in enumerate("lr") for bone, points in (
        ("upper_arm", at.SHOULDERS), ("lower_arm", at.ELBOWS), ("hand", at.WRISTS),
        ("upper_leg", at.HIPS), ("lower_leg", at.KNEES), ("foot", at.ANKLES))},
}  # fmt: skip


_TALL = 1.5
"""Metres from shoulders to ankles, about."""


def fit(landmarks: Landmarks, size: tuple[int, int], rules: Conventions = CONVENTIONS) -> Fitted:
    """The body that `landmarks` show in a photo of `size` (height, width)."""
    sure = np.clip(landmarks.visibility * landmarks.presence, 0.02, 1).astype(np.float32)
    world = _pixels_per_metre(landmarks, sure)
    away = landmarks.world[:, 2:] * (world * rules.depth)
    points = np.concatenate([landmarks.body[:, :2], away], 1).astype(np.float32)
    scale = world * rules.metres
    girths = np.array([rules.girths[bone.removesuffix("_l").removesuffix("_r")] for bone in BONES], np.float32)
    maps = bone_maps(points, Build(scale, girths), rules)
    rest = rest_in_mask(maps, landmarks.mask, scale, rules)
    joints = np.einsum("bij,bj->bi", maps.matrix, JOINTS) + maps.offset
    confidence = np.array([sure[list(_JOINT_POINTS[bone])].min() for bone in BONES], np.float32)
    return Fitted(scale, joints.astype(np.float32), maps.matrix, maps.offset, rest, confidence, _shows_back(maps))


def _pixels_per_metre(landmarks: Landmarks, sure: Floats) -> float:
    """The similarity that takes the world landmarks' x and y to the picture's, least squares over the skeleton."""
    chosen = list(at.SKELETON)
    weight = (sure[chosen] ** 2)[:, None]
    picture, world = landmarks.body[chosen, :2], landmarks.world[chosen, :2]
    picture = picture - (weight * picture).sum(0) / weight.sum()
    world = world - (weight * world).sum(0) / weight.sum()
    scale = float((weight * picture * world).sum() / max(float((weight * world * world).sum()), 1e-9))
    # Points that contradict one another fit no scale: that of a person as large as they lie apart.
    return scale if scale > 0 else max(float(np.ptp(landmarks.body[chosen, :2], axis=0).max()), 1.0) / _TALL


def _shows_back(maps: BoneMaps) -> bool:
    """Whether the chest's front looks away from the camera."""
    return bool(maps.matrix[BONE["chest"]][2, 2] > 0)
