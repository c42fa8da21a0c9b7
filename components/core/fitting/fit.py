"""Fit the body to landmarks: bones in closed form, then the thickness of trunk and limbs from the person mask."""

from __future__ import annotations

import numpy as np

from components.core.body.template import BONE, BONES, JOINTS
from components.core.fitting import numbering as at
from components.core.fitting.conventions import CONVENTIONS, Conventions
from components.core.fitting.fitted import Fitted
from components.core.fitting.girth import rest_in_mask
from components.core.fitting.neck import put_head_and_neck
from components.core.fitting.posed import BoneMaps, Build, bone_maps
from components.core.fitting.skeleton import skeleton
from components.core.landmarks.found import Landmarks

_JOINT_POINTS = {
    "pelvis": at.HIPS, "spine": at.HIPS, "chest": at.SHOULDERS, "neck": at.SHOULDERS,
    "head": (at.LEFT_EAR, at.RIGHT_EAR),
    **{f"{bone}_{side}": (points[number],) for number, side in enumerate("lr") for bone, points in (
        ("upper_arm", at.SHOULDERS), ("lower_arm", at.ELBOWS), ("hand", at.WRISTS),
        ("upper_leg", at.HIPS), ("lower_leg", at.KNEES), ("foot", at.ANKLES))},
}  # fmt: skip


def fit(landmarks: Landmarks, size: tuple[int, int], rules: Conventions = CONVENTIONS) -> Fitted:
    """The body that `landmarks` show in a photo of `size` (height, width)."""
    body = skeleton(landmarks)
    scale = body.scale * rules.metres
    girths = np.array([rules.girths[bone.removesuffix("_l").removesuffix("_r")] for bone in BONES], np.float32)
    maps = bone_maps(body.points, Build(scale, girths), rules)
    put_head_and_neck(maps, landmarks, body, Build(scale, girths))
    rest = rest_in_mask(maps, landmarks.mask, scale, rules)
    joints = np.einsum("bij,bj->bi", maps.matrix, JOINTS) + maps.offset
    sure = np.array([body.sure[list(_JOINT_POINTS[bone])].min() for bone in BONES], np.float32)
    return Fitted(scale, joints.astype(np.float32), maps.matrix, maps.offset, rest, sure, _shows_back(maps))


def _shows_back(maps: BoneMaps) -> bool:
    """Whether the chest's front looks away from the camera."""
    return bool(maps.matrix[BONE["chest"]][2, 2] > 0)
