"""A pose taken by a body, as the square pose map that the generator paints, and as a grey figure to look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from components.core.body.template import BONE, BONES, JOINTS
from components.core.fitting.conventions import CONVENTIONS
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.head import mean_skull
from components.core.fitting.head_pose import head_pose
from components.core.fitting.posed import Build, bone_maps
from components.core.fitting.posemap import free_map
from components.core.fitting.surface import posed_points
from components.core.landmarks import numbering as at
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import resize_iuv
from components.core.poses.physique import Physique
from components.core.poses.pose import Pose
from components.core.poses.posing import Posed, posed

_TO_PICTURE = np.array([1, -1, -1], np.float32)
_DRAWN = 512
"""Larger maps are drawn at this side and enlarged part by part."""
_ROOM = 0.085
"""Least room around the person, as a share of the picture's side: hair is higher than the head."""


@dataclass(frozen=True)
class Figure:
    """A body in a pose, in a square picture of `side` pixels."""

    fitted: Fitted
    landmarks: Landmarks
    side: int

    def drawn(self) -> tuple[Pixels, Floats]:
        """Pose map uint8 [side, side, 3] and depth float32 [side, side]."""
        return free_map(self.fitted, self.landmarks, (self.side, self.side))


def figure(pose: Pose, body: Physique, side: int) -> Figure:
    """`body` in `pose`, framed as the pose asks for, in a picture of `side` pixels."""
    person = posed(pose, body)
    unit = _figure(person, body, 1.0, np.zeros(3, np.float32), 1)
    left, top, width = _frame(pose, person, unit)
    scale = side / width
    return _figure(person, body, scale, np.array([-left, -top, 0], np.float32) * scale, side)


def target_map(pose: Pose, body: Physique, side: int) -> Pixels:
    """`pose` in the proportions of `body`: a target for the generator, uint8 [side, side, 3]."""
    drawn, _ = figure(pose, body, min(side, _DRAWN)).drawn()
    return drawn if side <= _DRAWN else resize_iuv(drawn, (side, side))


def mannequin(pose: Pose, body: Physique, side: int) -> Pixels:
    """A grey figure in `pose`, uint8 RGB [side, side, 3], lit from above on the left, drawn at twice the size."""
    iuv, depth = figure(pose, body, 2 * side).drawn()
    person = iuv[..., 0] > 0
    far = float(depth[person].max()) if person.any() else 0.0
    height = cv2.GaussianBlur(np.where(person, depth, far).astype(np.float32), (0, 0), 1.5)
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    normal = np.stack([slope_x, slope_y, np.ones_like(slope_x)], 2)
    normal = normal / np.linalg.norm(normal, axis=2, keepdims=True)
    light = np.array([-0.4, -0.55, 0.73], np.float32)
    shade = np.clip(normal @ light, 0, 1)[..., None]
    tint = np.where(np.isin(iuv[..., :1], (23, 24, 3, 4)), [226, 190, 168], [150, 164, 186])
    picture = np.where(person[..., None], tint * (0.35 + 0.65 * shade), 246).astype(np.float32)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).round(), np.uint8)


def _figure(person: Posed, body: Physique, scale: float, shift: Floats, side: int) -> Figure:
    points = (person.points * _TO_PICTURE * scale + shift).astype(np.float32)
    face = (person.face * _TO_PICTURE * scale + shift).astype(np.float32)
    girths = np.array([CONVENTIONS.girths[bone.removesuffix("_l").removesuffix("_r")] for bone in BONES], np.float32)
    maps = bone_maps(points, Build(scale, girths), CONVENTIONS)
    seen = np.ones(33, np.float32)
    landmarks = Landmarks(points, seen, seen, (person.points * _TO_PICTURE).astype(np.float32), face, None, None,
                          np.full((side, side), 255, np.uint8), 1.0)
    joints = np.einsum("bij,bj->bi", maps.matrix, JOINTS) + maps.offset
    sure, back = np.ones(len(BONES), np.float32), bool(maps.matrix[BONE["chest"]][2, 2] > 0)
    fitted = Fitted(scale, joints.astype(np.float32), maps.matrix, maps.offset, body.rest, sure, back)
    return Figure(fitted, landmarks, side)


def _frame(pose: Pose, person: Posed, unit: Figure) -> tuple[float, float, float]:
    """Left, top and width of the picture in metres, y down."""
    skin = posed_points(unit.fitted.rest, unit.fitted.matrix, unit.fitted.offset)[:, :2]
    head = head_pose(unit.landmarks)
    skull = head.place(mean_skull().reshape(-1, 3))[:, :2] * [1, -1]
    top = float(min(skull[:, 1].min(), skin[:, 1].min()))
    bottom = min(_lowest(pose, person), float(skin[:, 1].max()))
    everything = np.concatenate([skin, skull])
    for _ in range(4):
        shown = everything[everything[:, 1] <= bottom]
        low, high = float(shown[:, 0].min()), float(shown[:, 0].max())
        room = _ROOM / (1 - 2 * _ROOM)
        tall = bottom - top
        width = max(tall * (1 + (2 if pose.framing == "full" else 1) * room), (high - low) * (1 + 2 * room))
        if pose.framing == "full":
            break
        bottom = min(top - _ROOM * width + width, float(skin[:, 1].max()) + _ROOM * width)
    edge = top - _ROOM * width if pose.framing != "full" else (top + bottom - width) / 2
    # A portrait is centred between its middle and the head's.
    middle = (low + high) / 2
    return middle - width / 2, edge, width


def _lowest(pose: Pose, person: Posed) -> float:
    """Where the picture ends below, metres, y down."""
    height = -person.points[:, 1]
    shoulders, hips, knees = (float(height[list(pair)].mean()) for pair in (at.SHOULDERS, at.HIPS, at.KNEES))
    chest = shoulders + 0.45 * (hips - shoulders)
    return {"portrait": chest, "half": hips + 0.02, "knees": max(knees, hips) + 0.02,
            "full": float(height.max()) + 0.1}[pose.framing]
