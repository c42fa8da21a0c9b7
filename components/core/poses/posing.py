"""A pose taken by a body: the landmarks that a photo of it would show, in metres of the template.

Axes are the template's (x to the person's left when they face the camera, y up, z toward the camera); the middle of
the hips is at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body.head import CENTRE
from components.core.body.skinning import rotation
from components.core.fitting.conventions import CONVENTIONS
from components.core.fitting.fitted import Floats
from components.core.fitting.head_points import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP
from components.core.fitting.vectors import across, cross, unit
from components.core.landmarks import numbering as at
from components.core.poses.physique import HEAD_ABOVE_SHOULDERS, Physique
from components.core.poses.pose import Arm, Leg, Pose, Vector

_LOOK = 72.0
"""How far a head is turned from the chest, degrees, at most."""
_PIVOT = np.array([0.0, 1.43, -0.022], np.float32)
_EARS = np.array([[0.078, -0.012, 0.0], [-0.078, -0.012, 0.0]])
_HAND = 0.09
_UP = np.array([0, 1, 0], np.float32)


@dataclass(frozen=True)
class Posed:
    """A body in a pose."""

    points: Floats
    """[33, 3] the body's landmarks, numbered as MediaPipe's."""
    face: Floats
    """[468, 3] the face's."""


def posed(pose: Pose, body: Physique) -> Posed:
    """The landmarks of `body` in `pose`."""
    points = np.zeros((33, 3), np.float32)
    trunk = _Trunk(pose, body)
    for side, sign in enumerate((1, -1)):
        points[at.HIPS[side]], points[at.SHOULDERS[side]] = trunk.hip(sign), trunk.shoulder(sign)
        _put_arm(points, pose.left_arm if side == 0 else pose.right_arm, trunk, body, side)
        _put_leg(points, pose.left_leg if side == 0 else pose.right_leg, trunk, body, side)
    face = _put_head(points, pose, trunk, body)
    camera = rotation("x", float(np.deg2rad(pose.camera)))
    return Posed(points @ camera.T, np.asarray(face @ camera.T, np.float32))


class _Trunk:
    """Where hips, shoulders and places of the trunk are."""

    def __init__(self, pose: Pose, body: Physique) -> None:
        forward, left = np.tan(np.deg2rad(pose.trunk.lean))
        self.hips = rotation("y", float(np.deg2rad(pose.turn)))
        self.chest_turn = pose.turn + pose.trunk.twist
        self.chest = rotation("y", float(np.deg2rad(self.chest_turn)))
        self.up = unit(self.hips @ np.array([left, 1, forward], np.float32))
        self.body = body
        self.tilts = np.deg2rad([pose.trunk.hips, pose.trunk.shoulders])

    def heading(self, share: float) -> tuple[Floats, Floats]:
        """Unit vectors to the left and forward across the trunk, `share` 0 at the hips, 1 at the shoulders."""
        left = unit(across(self.hips[:, 0] * (1 - share) + self.chest[:, 0] * share, self.up))
        return left, cross(left, self.up)

    def _wing(self, share: float, half: float, tilt: float, sign: int) -> Floats:
        left, _ = self.heading(share)
        return np.asarray(sign * half * (np.cos(tilt) * left - np.sin(tilt) * self.up), np.float32)

    def hip(self, sign: int) -> Floats:
        return self._wing(0, self.body.lengths["hips"], float(self.tilts[0]), sign)

    def shoulder(self, sign: int) -> Floats:
        wing = self._wing(1, self.body.lengths["shoulders"], float(self.tilts[1]), sign)
        return np.asarray(self.body.lengths["trunk"] * self.up + wing, np.float32)

    def place(self, place: Vector, sign: int) -> Floats:
        """Where a place at the resting template's trunk is, of the side `sign`."""
        share = (place[1] - CONVENTIONS.hip[1]) / (CONVENTIONS.shoulder[1] - CONVENTIONS.hip[1])
        left, ahead = self.heading(float(np.clip(share, 0, 1)))
        wide = self.body.ratio("shoulders")
        return np.asarray(sign * place[0] * wide * left + share * self.body.lengths["trunk"] * self.up
                          + place[2] * ahead, np.float32)


def _put_arm(points: Floats, arm: Arm, trunk: _Trunk, body: Physique, side: int) -> None:
    sign = 1 - 2 * side
    turn = trunk.chest @ np.diag([sign, 1, 1]).astype(np.float32)
    shoulder = points[at.SHOULDERS[side]]
    long, short = body.lengths["upper_arm"], body.lengths["lower_arm"]
    if arm.upper is not None and arm.lower is not None:
        elbow = shoulder + long * unit(turn @ np.array(arm.upper, np.float32))
        wrist = elbow + short * unit(turn @ np.array(arm.lower, np.float32))
    else:
        assert arm.wrist is not None and arm.elbow is not None
        pole = turn @ np.array(arm.elbow, np.float32)
        elbow, wrist = _reached(shoulder, trunk.place(arm.wrist, sign), pole, long, short)
    lower = unit(wrist - elbow)
    hand = lower if arm.hand is None else unit(turn @ np.array(arm.hand, np.float32))
    # With the palm to the thigh the thumb is in front; bent forward it is on top.
    eased = turn @ np.array((-0.25, 0.6, 1.0) if arm.thumb is None else arm.thumb, np.float32)
    thumb = unit(across(eased, hand))
    points[at.ELBOWS[side]], points[at.WRISTS[side]] = elbow, wrist
    points[at.INDICES[side]] = wrist + _HAND * hand + 0.025 * thumb
    points[at.PINKIES[side]] = wrist + 0.9 * _HAND * hand - 0.03 * thumb
    points[at.THUMBS[side]] = wrist + 0.5 * _HAND * hand + 0.04 * thumb


def _reached(shoulder: Floats, wrist: Floats, pole: Floats, long: float, short: float) -> tuple[Floats, Floats]:
    """Elbow and wrist of an arm whose hand goes to `wrist`, or as far as it reaches, the elbow toward `pole`."""
    way = wrist - shoulder
    distance = float(np.clip(np.linalg.norm(way), abs(long - short) + 0.02, 0.995 * (long + short)))
    along = unit(way)
    share = (distance**2 + long**2 - short**2) / (2 * distance)
    off = float(np.sqrt(max(long**2 - share**2, 0.0)))
    elbow = shoulder + share * along + off * unit(across(np.asarray(pole, np.float32), along))
    return np.asarray(elbow, np.float32), np.asarray(shoulder + distance * along, np.float32)


def _put_leg(points: Floats, leg: Leg, trunk: _Trunk, body: Physique, side: int) -> None:
    turn = trunk.hips @ np.diag([1 - 2 * side, 1, 1]).astype(np.float32)
    upper, lower, foot = (unit(turn @ np.array(way, np.float32)) for way in (leg.upper, leg.lower, leg.foot))
    knee = points[at.HIPS[side]] + body.lengths["upper_leg"] * upper
    ankle = knee + body.lengths["lower_leg"] * lower
    rules = CONVENTIONS
    long = float(np.linalg.norm(rules.toe - rules.heel))
    # The ankle is above the heel, across the foot.
    rise = unit(across(-lower, foot))
    heel = ankle - 0.045 * rise - 0.01 * foot
    points[at.KNEES[side]], points[at.ANKLES[side]] = knee, ankle
    points[at.HEELS[side]], points[at.TOES[side]] = heel, heel + long * foot


def _put_head(points: Floats, pose: Pose, trunk: _Trunk, body: Physique) -> Floats:
    """The head's landmarks into `points`; those of the face [468, 3]."""
    nod, turn, tilt = pose.head
    if pose.gaze == "camera":
        turn += float(np.clip((-trunk.chest_turn + 180) % 360 - 180, -_LOOK, _LOOK))
    nods, turns, tilts = np.deg2rad([nod, turn, tilt])

    def turned(share: float) -> Floats:
        upright = rotation("y", float(np.deg2rad(trunk.chest_turn) + share * turns))
        nodding, tilting = rotation("x", float(share * nods)), rotation("z", float(share * tilts))
        return np.asarray(upright @ nodding @ tilting, np.float32)

    left, ahead = trunk.heading(1)
    chest = np.stack([left, trunk.up, ahead], 1)
    middle = np.array([0, *CONVENTIONS.shoulder[1:]], np.float32)
    base = body.lengths["trunk"] * trunk.up + chest @ (_PIVOT - middle)
    long = body.neck * HEAD_ABOVE_SHOULDERS - float(_PIVOT[1] - CONVENTIONS.shoulder[1])
    # The neck follows the trunk as it leans, and the head's turn by a half.
    neck = 0.5 * chest + 0.5 * turned(0.5)
    centre = base + neck @ np.array([0, long, CENTRE[2] - _PIVOT[2]], np.float32)
    frame = turned(1.0) * body.head

    def put(local: Floats) -> Floats:
        return np.asarray(centre + local @ frame.T, np.float32)

    face = put(body.face)
    eyes = []
    for outer, inner in EYE_CORNERS[::-1]:
        eyes += [face[inner], (face[inner] + face[outer]) / 2, face[outer]]
    ears = put(_EARS)
    points[:11] = np.stack([face[NOSE_TIP], *eyes, *ears, face[MOUTH_CORNERS[1]], face[MOUTH_CORNERS[0]]])
    return face
