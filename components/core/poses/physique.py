"""A person's own body as their photos show it: lengths of bones, thickness, the head's shape and size.

What a photo does not show is the template's. Lengths of left and right are one, and hold within limits, for a bone
that points at the camera is measured badly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from components.core.body.template import BONE
from components.core.fitting.conventions import CONVENTIONS
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.head_points import head_points
from components.core.fitting.head_pose import head_pose
from components.core.fitting.surface import surface
from components.core.landmarks.found import Landmarks

_LIMITS = 0.8, 1.25
"""Least and largest length, and head, over the template's."""
_SEEN = 0.5
_PRIOR = 0.3
"""What the template counts, in photos that show a bone for certain."""
HEAD_ABOVE_SHOULDERS = 0.236
"""Metres from the landmarks' shoulders up to the middle of the head: of eleven real people between .22 and .25."""

_BONES = {
    "hips": ("pelvis",), "trunk": ("pelvis", "chest"), "shoulders": ("upper_arm",),
    "upper_arm": ("upper_arm", "lower_arm"), "lower_arm": ("lower_arm", "hand"),
    "upper_leg": ("upper_leg", "lower_leg"), "lower_leg": ("lower_leg", "foot"),
}
"""A length, and the bones whose beginnings have to be seen to measure it."""
LENGTHS = tuple(_BONES)


def joints_of(fitted: Fitted) -> dict[str, Floats]:
    """Where a fit has the landmarks' joints: ``shoulder_l``, ``elbow_r``... [3] in the picture's pixels."""
    out = {}
    for side, sign in (("l", 1), ("r", -1)):
        for joint, bone in (("shoulder", "upper_arm"), ("elbow", "lower_arm"), ("wrist", "hand"), ("hip", "upper_leg"),
                            ("knee", "lower_leg"), ("ankle", "foot")):
            rest = getattr(CONVENTIONS, joint) * np.array([sign, 1, 1], np.float32)
            index = BONE[f"{bone}_{side}"]
            out[f"{joint}_{side}"] = np.asarray(fitted.matrix[index] @ rest + fitted.offset[index], np.float32)
    return out


def lengths_of(joints: dict[str, Floats]) -> dict[str, Floats]:
    """Lengths of `LENGTHS`, one value for each side [2] (or twice the same), in the joints' unit."""
    def apart(one: str, other: str) -> Floats:
        return np.array([np.linalg.norm(joints[f"{one}_{side}"] - joints[f"{other}_{side}"]) for side in "lr"])

    hips = joints["hip_l"] - joints["hip_r"]
    across = joints["shoulder_l"] - joints["shoulder_r"]
    trunk = (joints["shoulder_l"] + joints["shoulder_r"] - joints["hip_l"] - joints["hip_r"]) / 2
    return {"hips": np.full(2, np.linalg.norm(hips) / 2), "trunk": np.full(2, np.linalg.norm(trunk)),
            "shoulders": np.full(2, np.linalg.norm(across) / 2), "upper_arm": apart("shoulder", "elbow"),
            "lower_arm": apart("elbow", "wrist"), "upper_leg": apart("hip", "knee"),
            "lower_leg": apart("knee", "ankle")}


@lru_cache(maxsize=1)
def template_lengths() -> dict[str, float]:
    """The lengths between the template's anchors, metres."""
    mirror = {"l": np.ones(3, np.float32), "r": np.array([-1, 1, 1], np.float32)}
    joints = {f"{joint}_{side}": getattr(CONVENTIONS, joint) * mirror[side] for side in mirror
              for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}
    return {name: float(both[0]) for name, both in lengths_of(joints).items()}


@dataclass(frozen=True)
class Physique:
    """A body at rest."""

    lengths: dict[str, float]
    """`LENGTHS`, metres of the template; hips and shoulders are half their width."""
    rest: Floats
    """[V, 3] the resting surface (`fitting.surface`) with this person's thickness."""
    head: float
    """The head's size over the template's."""
    neck: float
    """How high the head is above the shoulders, over `HEAD_ABOVE_SHOULDERS`."""
    face: Floats
    """[468, 3] the face's points in the head's own axes, metres of a head of size 1."""

    def ratio(self, name: str) -> float:
        """A length over the template's."""
        return self.lengths[name] / template_lengths()[name]


def template_physique() -> Physique:
    """The body of nobody."""
    return Physique(dict(template_lengths()), surface().points, 1.0, 1.0, head_points().points.astype(np.float32))


def physique(photos: Sequence[tuple[Landmarks, Fitted]]) -> Physique:
    """The body that photos of one person show; the template's where there is none."""
    base = template_physique()
    if not photos:
        return base
    rests = np.stack([fitted.rest for _, fitted in photos])
    trust = np.array([max(float(fitted.confidence.mean()), 0.05) for _, fitted in photos], np.float32)
    rest = np.einsum("p,pvk->vk", trust / trust.sum(), rests).astype(np.float32)
    head, neck = _head([pair for pair in photos if pair[0].face is not None])
    return Physique(_lengths([fitted for _, fitted in photos]), rest, head, neck, _face(photos))


def _lengths(fits: Sequence[Fitted]) -> dict[str, float]:
    rest = template_lengths()
    total = {name: _PRIOR for name in LENGTHS}
    summed = dict.fromkeys(LENGTHS, 0.0)
    for fitted in fits:
        measured = lengths_of(joints_of(fitted))
        for name, bones in _BONES.items():
            for number, side in enumerate("lr"):
                sure = min(float(fitted.confidence[BONE.get(bone, BONE.get(f"{bone}_{side}", 0))]) for bone in bones)
                if sure > _SEEN:
                    ratio = float(measured[name][number]) / fitted.scale / rest[name]
                    summed[name] += sure / 2 * float(np.log(np.clip(ratio, 0.6, 1.6)))
                    total[name] += sure / 2
    return {name: rest[name] * float(np.clip(np.exp(summed[name] / total[name]), *_LIMITS)) for name in LENGTHS}


def _head(photos: Sequence[tuple[Landmarks, Fitted]]) -> tuple[float, float]:
    """The head's size, and its height above the shoulders, over the template's."""
    sizes, necks = [0.0], [0.0]
    for landmarks, fitted in photos:
        pose = head_pose(landmarks)
        sizes.append(float(np.log(max(pose.scale / fitted.scale, 1e-3))))
        joints = joints_of(fitted)
        shoulders = (joints["shoulder_l"] + joints["shoulder_r"]) / 2
        up = shoulders - (joints["hip_l"] + joints["hip_r"]) / 2
        flat = up[:2] / max(float(np.linalg.norm(up[:2])), 1e-6)
        rise = float((np.asarray(pose.shift[:2]) * [1, -1] - shoulders[:2]) @ flat) / fitted.scale
        necks.append(float(np.log(max(rise, 0.05) / HEAD_ABOVE_SHOULDERS)))
    weight = np.array([_PRIOR, *[1.0] * len(photos)])
    size, neck = (float(np.clip(np.exp((weight * values).sum() / weight.sum()), *_LIMITS)) for values in (sizes, necks))
    return size, neck


def _face(photos: Sequence[tuple[Landmarks, Fitted]]) -> Floats:
    """The face in the head's axes, mostly from photos that show it from the front."""
    mean = head_points().points.astype(np.float64)
    total, summed = 1e-3, mean * 1e-3
    for landmarks, _ in photos:
        if landmarks.face is not None:
            pose = head_pose(landmarks)
            if pose.face is not None:
                weight = max(float(pose.rotation[2, 2]), 0.05) ** 4
                total, summed = total + weight, summed + weight * pose.undo(pose.face)
    return np.asarray(summed / total, np.float32)
