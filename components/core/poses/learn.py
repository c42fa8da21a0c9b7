"""A pose learned from a photo of somebody in it: the landmarks' fit as directions. Of their body nothing stays."""

from __future__ import annotations

import numpy as np

from components.core.body.skinning import rotation
from components.core.body.template import ARM_AXIS, BONE
from components.core.fitting.conventions import CONVENTIONS
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.head_pose import head_pose
from components.core.fitting.vectors import unit
from components.core.landmarks import numbering as at
from components.core.landmarks.found import Landmarks
from components.core.poses.physique import joints_of
from components.core.poses.pose import FRAMINGS, Arm, Leg, Pose, Trunk, Vector

_TO_TEMPLATE = np.array([1, -1, -1], np.float32)
_SEEN = 0.5
_LEAN, _TWIST, _HIPS, _SHOULDERS = 45, 60, 25, 30
HANGING = Arm(upper=(0.24, -1.0, -0.03), lower=(0.14, -1.0, 0.20))


def learned(name: str, title: str, landmarks: Landmarks, fitted: Fitted, size: tuple[int, int]) -> Pose:
    """The pose of a person in a photo of `size` (height, width); hidden limbs hang, or stand."""
    joints = {joint: place * _TO_TEMPLATE / fitted.scale for joint, place in joints_of(fitted).items()}
    hips, shoulders = (joints[f"{joint}_l"] - joints[f"{joint}_r"] for joint in ("hip", "shoulder"))
    up = unit((joints["shoulder_l"] + joints["shoulder_r"] - joints["hip_l"] - joints["hip_r"]) / 2)
    turn, chest = _heading(hips), _heading(shoulders)
    leaning = rotation("y", -float(np.deg2rad(turn))) @ up
    trunk = Trunk(
        lean=(_held(_angle(leaning[2], leaning[1]), _LEAN), _held(_angle(leaning[0], leaning[1]), _LEAN)),
        twist=_held(_wrapped(chest - turn), _TWIST), hips=_held(-_tilt(hips, up), _HIPS),
        shoulders=_held(-_tilt(shoulders, up), _SHOULDERS))
    framing = _framing(landmarks, size)
    arms = [_arm(joints, fitted, side, chest) for side in "lr"]
    legs = [_leg(joints, fitted, side, turn) for side in "lr"]
    return Pose(name=name, title=title, tags=("own", FRAMINGS[framing], _view(turn)), framing=framing,
                turn=_rounded(turn), gaze="ahead", head=_head(landmarks, chest), trunk=trunk, left_arm=arms[0],
                right_arm=arms[1], left_leg=legs[0], right_leg=legs[1])


def _head(landmarks: Landmarks, chest: float) -> Vector:
    turned = np.asarray(head_pose(landmarks).rotation)
    ahead = turned[:, 2]
    yaw, nod = np.arctan2(ahead[0], ahead[2]), np.arcsin(np.clip(-ahead[1], -1, 1))
    rest = rotation("x", -float(nod)) @ rotation("y", -float(yaw)) @ turned
    tilt = np.arctan2(rest[1, 0], rest[0, 0])
    return (_held(float(np.rad2deg(nod)), 50), _held(_wrapped(float(np.rad2deg(yaw)) - chest), 85),
            _held(float(np.rad2deg(tilt)), 40))


def _arm(joints: dict[str, Floats], fitted: Fitted, side: str, heading: float) -> Arm:
    if min(fitted.confidence[BONE[f"{bone}_{side}"]] for bone in ("lower_arm", "hand")) < _SEEN:
        return HANGING
    own = _Own(side, heading)
    axis = ARM_AXIS * np.array([own.sign, 1, 1], np.float32)
    hand = fitted.matrix[BONE[f"hand_{side}"]] * _TO_TEMPLATE[:, None]
    return Arm(upper=own(joints[f"elbow_{side}"] - joints[f"shoulder_{side}"]),
               lower=own(joints[f"wrist_{side}"] - joints[f"elbow_{side}"]),
               hand=own(hand @ axis), thumb=own(hand[:, 2]))


def _leg(joints: dict[str, Floats], fitted: Fitted, side: str, heading: float) -> Leg:
    own, rules = _Own(side, heading), CONVENTIONS
    if fitted.confidence[BONE[f"lower_leg_{side}"]] < _SEEN:
        return Leg()
    upper = own(joints[f"knee_{side}"] - joints[f"hip_{side}"])
    if fitted.confidence[BONE[f"foot_{side}"]] < _SEEN:
        return Leg(upper=upper)
    foot = fitted.matrix[BONE[f"foot_{side}"]] * _TO_TEMPLATE[:, None]
    forward = (rules.toe - rules.heel) * np.array([own.sign, 1, 1], np.float32)
    return Leg(upper=upper, lower=own(joints[f"ankle_{side}"] - joints[f"knee_{side}"]), foot=own(foot @ forward))


class _Own:
    """Directions of the picture in those of a limb: outward, up, forward, length 1, two decimals."""

    def __init__(self, side: str, heading: float) -> None:
        self.sign = 1 if side == "l" else -1
        self._back = rotation("y", -float(np.deg2rad(heading)))

    def __call__(self, way: Floats) -> Vector:
        x, y, z = self._back @ unit(np.asarray(way, np.float32))
        return _two(self.sign * x), _two(y), _two(z)


def _framing(landmarks: Landmarks, size: tuple[int, int]) -> str:
    """The farthest of ankles, knees and hips that the picture shows."""
    for framing, pair in (("full", at.ANKLES), ("knees", at.KNEES), ("half", at.HIPS)):
        y = landmarks.body[list(pair), 1]
        if bool((y < size[0]).all()) and float(landmarks.visibility[list(pair)].min()) > _SEEN:
            return framing
    return "portrait"


def _view(turn: float) -> str:
    away = abs(turn)
    return "frontal" if away < 20 else "turned" if away < 65 else "profile" if away < 115 else "back"


def _heading(left: Floats) -> float:
    """How far a line to the person's left is turned, degrees."""
    return float(np.rad2deg(np.arctan2(-left[2], left[0])))


def _tilt(left: Floats, up: Floats) -> float:
    return float(np.rad2deg(np.arcsin(np.clip(unit(left) @ up, -1, 1))))


def _angle(side: float, up: float) -> float:
    return float(np.rad2deg(np.arctan2(side, up)))


def _wrapped(angle: float) -> float:
    return (angle + 180) % 360 - 180


def _held(angle: float, most: float) -> float:
    return _rounded(float(np.clip(angle, -most, most)))


def _rounded(angle: float) -> float:
    return round(angle, 1)


def _two(value: float) -> float:
    return round(float(value), 2)
