"""How the head stands in the picture: turn, size and place, and where the neck leaves the torso.

Head axes are `body.head`'s: x to the person's left, y up, z forward, metres from the middle between the ears at eye
level. Picture axes here: x right, y up (the photo's y negated), z toward the camera, pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body.meshes import Floats
from components.core.fitting.head_points import (
    EYE_CORNERS,
    MOUTH_CORNERS,
    NOSE_TIP,
    head_points,
    similarity,
)
from components.core.landmarks.found import Landmarks

NECK_TOP = np.array([0.0, -0.060, -0.012])
"""The middle of the neck where it enters the head."""
_EARS = np.array([[0.078, -0.012, 0.0], [-0.078, -0.012, 0.0]])
_TO_PICTURE = np.array([1.0, -1.0, -1.0])
_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_HIP, _RIGHT_HIP = 11, 12, 23, 24
_HEAD_POINTS = 11
_SIDEWAYS, _DOWNWARD, _NECK_DROP = 0.4, 0.5, 0.018
"""Share of the way from the neck's top to the middle of the shoulders that its base lies sideways and down, and metres
on top of that (least squares over detected maps)."""
_NECK_BACK = 0.012
"""Metres that the base lies behind that; hardly seen in a picture, and people hold their heads forward."""
_NECK_LENGTHS = (0.075, 0.185)
_FLATTENED = np.geomspace(0.1, 1.0, 12)
_HEAD_SIZE = 1.04
"""The template's head against heads of the size that shoulders and hips in metres promise (median over faces)."""
_NECK_TOPS = (0.125, 0.20)
"""Metres from the shoulder joints up to the neck's top (5th and 95th percentile of heads whose face is seen)."""
_BELIEVED = 0.3
_LEAST_WIDTH = 3.0
"""Pixels; in smaller faces no turn is seen."""
_LOOSE = 0.5
"""A face further from the body's own head points than this share of its width is somebody else's."""


@dataclass(frozen=True)
class HeadPose:
    """`picture = scale * rotation @ head + shift`."""

    scale: float
    """Pixels for a metre."""
    rotation: Floats
    shift: Floats
    face: Floats | None
    """[468, 3] the face's points in picture axes, where a face was seen."""

    def place(self, points: Floats) -> Floats:
        """[N, 3] in the picture of [N, 3] in the head."""
        placed: Floats = self.scale * points @ self.rotation.T + self.shift
        return placed

    def undo(self, points: Floats) -> Floats:
        """[N, 3] in the head of [N, 3] in the picture."""
        undone: Floats = (points - self.shift) @ self.rotation / self.scale
        return undone


@dataclass(frozen=True)
class NeckBase:
    """Where the neck leaves the torso, in picture axes."""

    middle: Floats
    axes: Floats
    """[3, 3] columns: toward the person's left, up along the torso, forward out of the chest; unit length."""


def head_pose(landmarks: Landmarks) -> HeadPose:
    """From the face's points where there are any, else from the body's points of nose, eyes, ears and mouth."""
    if landmarks.face is not None:
        face = landmarks.face.astype(np.float64) * _TO_PICTURE
        if _is_on_the_head(face, landmarks):
            return HeadPose(*similarity(head_points().points.astype(np.float64), face), face)
    return _from_body(landmarks)


def _is_on_the_head(face: Floats, landmarks: Landmarks) -> bool:
    body = landmarks.body[:_HEAD_POINTS, :2].astype(np.float64).mean(0) * _TO_PICTURE[:2]
    width = np.ptp(face[:, :2], axis=0).max()
    return bool(width >= _LEAST_WIDTH and np.linalg.norm(face[:, :2].mean(0) - body) < _LOOSE * width)


def _body_points() -> Floats:
    """[11, 3] nose, left eye inner, middle, outer, right eye, left and right ear, mouth's left and right corner."""
    face = head_points().points.astype(np.float64)
    eyes = []
    for outer, inner in EYE_CORNERS[::-1]:
        eyes += [face[inner], (face[inner] + face[outer]) / 2, face[outer]]
    return np.stack([face[NOSE_TIP], *eyes, *_EARS, face[MOUTH_CORNERS[1]], face[MOUTH_CORNERS[0]]])


def _from_body(landmarks: Landmarks) -> HeadPose:
    """The turn from the body's head points, the size from the torso: the depths of these points have no known unit."""
    head = _body_points()
    seen = landmarks.body[:_HEAD_POINTS].astype(np.float64) * _TO_PICTURE
    scale = _pixels_per_metre(landmarks)

    def turned(flattened: float) -> tuple[float, Floats]:
        flat = seen * [1, 1, flattened]
        size, rotation, shift = similarity(head, flat)
        return float((((size * head @ rotation.T + shift - flat) / max(size, 1e-9)) ** 2).sum()), rotation

    rotation = min((turned(float(share)) for share in _FLATTENED), key=lambda found: found[0])[1]
    shift = (seen - scale * head @ rotation.T).mean(0)
    return HeadPose(scale, rotation, shift + _raised(landmarks, scale * NECK_TOP @ rotation.T + shift, scale), None)


def _raised(landmarks: Landmarks, top: Floats, scale: float) -> Floats:
    """How far to move a head up or down along the spine for the neck's `top` to lie as high as necks are.

    From behind the networks sometimes take a bun or the nape for the face.
    """
    if _shoulders_seen(landmarks) <= _BELIEVED:
        return np.zeros(3)
    body = landmarks.body.astype(np.float64) * _TO_PICTURE
    middle = body[[_LEFT_SHOULDER, _RIGHT_SHOULDER]].mean(0)
    up = torso_axes(np.zeros(3), middle - body[[_LEFT_HIP, _RIGHT_HIP]].mean(0))[:, 1]
    height = (top - middle) @ up
    low, high = (scale * bound for bound in _NECK_TOPS)
    raised: Floats = up * (np.clip(height, low, high) - height)
    return raised


def _shoulders_seen(landmarks: Landmarks) -> float:
    return float(landmarks.visibility[[_LEFT_SHOULDER, _RIGHT_SHOULDER]].min())


def _pixels_per_metre(landmarks: Landmarks) -> float:
    """From shoulders and hips, which the networks give in pixels and in metres."""
    corners = [_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_HIP, _RIGHT_HIP]
    seen, metres = (points[corners, :2].astype(np.float64) for points in (landmarks.body, landmarks.world))
    seen, metres = seen - seen.mean(0), metres - metres.mean(0)
    return max(float((seen * metres).sum() / max(float((metres * metres).sum()), 1e-9)), 1.0) * _HEAD_SIZE


def neck_base(landmarks: Landmarks, pose: HeadPose) -> NeckBase:
    """From the shoulders where they are seen, else straight below the head."""
    body = landmarks.body.astype(np.float64) * _TO_PICTURE
    top = pose.place(NECK_TOP[None])[0]
    axes = pose.rotation.copy()
    if _shoulders_seen(landmarks) <= _BELIEVED:
        return NeckBase(top - axes[:, 1] * 0.12 * pose.scale, axes)
    shoulders = body[[_LEFT_SHOULDER, _RIGHT_SHOULDER]].mean(0)
    up = shoulders - body[[_LEFT_HIP, _RIGHT_HIP]].mean(0)
    metres = landmarks.world.astype(np.float64) * _TO_PICTURE
    axes = torso_axes(metres[_LEFT_SHOULDER] - metres[_RIGHT_SHOULDER], up)
    # In the torso's own directions from the middle of the shoulders: the head leans, and the neck goes half the way.
    above = axes.T @ (np.array([*shoulders[:2], top[2]]) - top)
    sideways = (axes[:, 0] * above[0] + axes[:, 2] * above[2]) * _SIDEWAYS
    shortest, longest = (pose.scale * length for length in _NECK_LENGTHS)
    drop = np.clip(-above[1] * _DOWNWARD + _NECK_DROP * pose.scale, shortest, longest)
    return NeckBase(top + sideways - axes[:, 1] * drop - axes[:, 2] * _NECK_BACK * pose.scale, axes)


def torso_axes(across: Floats, up: Floats) -> Floats:
    """[3, 3] unit columns left, up, forward from the shoulder line and the spine, taken as upright in depth."""
    flat = np.array([up[0], up[1], 0.0])
    size = np.linalg.norm(flat)
    y = flat / size if size > 1e-6 else np.array([0.0, 1.0, 0.0])
    x = across - (across @ y) * y
    size = np.linalg.norm(x)
    x = x / size if size > 1e-6 else np.array([y[1], -y[0], 0.0])
    return np.stack([x, y, np.cross(x, y)], 1)
