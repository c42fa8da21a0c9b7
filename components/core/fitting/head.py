"""The head's piece of a pose map: parts 23 (right half) and 24 (left half) with their U and V, and the neck.

The mean head is laid over the face's points (or, from behind, over the body's points of ears, eyes and nose), then
bent so that every point of the face lies where the photo shows it; the bend fades out over the skull. A neck joins it
to the shoulders. What faces the camera is drawn with a z-buffer, so the far half of a turned head vanishes behind the
nose and a face seen from behind is not there. U and V come from `body.charts`, the one chart of the house.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body.charts import head_chart
from components.core.body.head import AZIMUTHS, CENTRE, ELEVATIONS, directions, head_mesh, head_triangles, unit
from components.core.body.meshes import Ints, grid_triangles
from components.core.body.rasteriser import rasterise
from components.core.fitting.head_points import MEAN_HEAD, head_points
from components.core.fitting.head_pose import NECK_TOP, HeadPose, NeckBase, head_pose, neck_base
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_NEAR, _FAR = 0.16, 0.55
"""How far, on the unit sphere of directions, a point of the face carries its neighbourhood with it: two scales."""
_NUGGET = 0.01
_NECK_RINGS, _NECK_SIDES = 9, 32
_NECK_RADII = np.array([[0.060, 0.056], [0.052, 0.054]])
"""Half width and half depth of the neck at its base and at its top, metres."""
_BASE_TILT = 0.015
"""How much lower the neck's base is in front, and higher behind, than at its sides."""
_NECK_V = 0.20
_LEAST_DEPTH = 1.0
_RIM = 0.02
"""How far outside the person mask the head may reach, as a share of its height: the mask is no truer than that."""


@dataclass(frozen=True)
class HeadMap:
    """The head's piece of a pose map, a crop of the photo whose first pixel is column `x`, row `y` of it."""

    x: int
    y: int
    part: Pixels
    """uint8 [h, w]: 23 the head's right half (with that of the neck), 24 its left half, 0 elsewhere."""
    u: Floats
    """float32 [h, w] in 0..1; 0 outside the head."""
    v: Floats
    depth: Floats
    """float32 [h, w] pixels of the photo away from the camera, 0 at the middle of the neck's base; inf outside."""
    neck_line: Floats
    """[N, 2] x, y in the photo, from left to right: where the side of the neck that is seen ends and the torso begins."""

    def pasted(self, size: tuple[int, int]) -> tuple[Pixels, Floats, Floats]:
        """Part, U and V in a photo of `size` (height, width)."""
        part = np.zeros(size, np.uint8)
        u, v = np.zeros(size, np.float32), np.zeros(size, np.float32)
        where = slice(self.y, self.y + self.part.shape[0]), slice(self.x, self.x + self.part.shape[1])
        part[where], u[where], v[where] = self.part, self.u, self.v
        return part, u, v


def head_map(landmarks: Landmarks, size: tuple[int, int], mask: Pixels) -> HeadMap:
    """The head of one person in a photo of `size` (height, width), none of it outside `mask` (uint8 [H, W], 255: person).

    A head wholly outside the photo gives an empty crop (0 x 0).
    """
    pose = head_pose(landmarks)
    base = neck_base(landmarks, pose)
    points = np.concatenate([pose.place(_bent(pose)), _neck(pose, base)])
    screen = points * [1, -1, -1]
    low = np.floor(screen[:, :2].min(0)).astype(int).clip(0, None)
    high = np.ceil(screen[:, :2].max(0)).astype(int).clip(None, size[::-1])
    width, height = (high - low).clip(0, None)
    line = _line(pose, base)
    if width == 0 or height == 0:
        none = np.zeros((0, 0), np.float32)
        return HeadMap(int(low[0]), int(low[1]), none.astype(np.uint8), none, none, none, line)
    nearest = float(screen[:, 2].min())
    drawn = (screen - [low[0], low[1], nearest - _LEAST_DEPTH]).astype(np.float32)
    surface = _surface()
    part, u, v, depth = _draw(drawn, surface, int(height), int(width))
    depth += np.float32(nearest - _LEAST_DEPTH + base.middle[2])
    outside = ~_near_mask(mask[low[1] : high[1], low[0] : high[0]], _RIM * 0.24 * pose.scale)
    part[outside], u[outside], v[outside], depth[outside] = 0, 0, 0, np.inf
    return HeadMap(int(low[0]), int(low[1]), part, u, v, depth, line)


@dataclass(frozen=True)
class _Surface:
    """Head and neck as one set of triangles; places in the chart per corner, halves per triangle."""

    head: Doubles
    """[H, 3] the mean head with the mean face, metres from its middle."""
    carried: Doubles
    """[H, 468] how much each corner of the head moves with each point of the face."""
    triangles: Ints
    chart: Floats
    """[V, 2] U as on the right half, and V, of head and neck corners."""
    part: Pixels
    """[T] 23 or 24."""


@lru_cache(maxsize=1)
def _surface() -> _Surface:
    table = head_points()
    azimuth, elevation, ray = directions()
    carried = _carrying(ray, unit(table.azimuth, table.elevation))
    mean = head_mesh(MEAN_HEAD).points.astype(np.float64) - CENTRE
    off = table.points - _on_grid(mean, table.azimuth, table.elevation)
    _, u, v = head_chart(-np.abs(azimuth), elevation)

    turn = np.linspace(-np.pi, np.pi, _NECK_SIDES + 1)
    neck_u = head_chart(-np.abs(turn), np.zeros_like(turn))[1]
    neck_v = np.linspace(0, _NECK_V, _NECK_RINGS)
    neck = np.stack([np.tile(neck_u, _NECK_RINGS), np.repeat(neck_v, _NECK_SIDES + 1)], 1)
    triangles = np.concatenate([head_triangles(), grid_triangles(_NECK_RINGS, _NECK_SIDES + 1) + len(ray)])
    left = np.concatenate([azimuth, np.tile(turn, _NECK_RINGS)])[triangles].mean(1) >= 0
    return _Surface(
        mean + carried @ off,
        carried,
        triangles.astype(np.int32),
        np.concatenate([np.stack([u, v], 1), neck]).astype(np.float32),
        np.where(left, 24, 23).astype(np.uint8),
    )


def _carrying(at: Floats, ray: Floats) -> Doubles:
    """[V, P]: what is known at directions `ray` [P, 3], carried to directions `at` [V, 3]; it fades out with distance.

    The mean of a Gaussian process with a kernel of two widths (kriging), which passes through what is known.
    """

    def kernel(a: Floats, b: Floats) -> Doubles:
        square = np.maximum(2 - 2 * a.astype(np.float64) @ b.astype(np.float64).T, 0)
        return 0.3 * np.exp(-square / (2 * _NEAR**2)) + 0.7 * np.exp(-square / (2 * _FAR**2))

    weights: Doubles = np.linalg.solve(kernel(ray, ray) + _NUGGET * np.eye(len(ray)), kernel(ray, at)).T
    return weights


def _on_grid(mean: Doubles, azimuth: Floats, elevation: Floats) -> Doubles:
    """[N, 3] of the head's surface in some directions, bilinearly between its corners."""
    grid = mean.reshape(len(ELEVATIONS), len(AZIMUTHS), 3)
    row = np.interp(elevation, ELEVATIONS, np.arange(len(ELEVATIONS)))
    column = np.interp(azimuth, AZIMUTHS, np.arange(len(AZIMUTHS)))
    r, c = (np.floor(row).astype(int).clip(0, len(ELEVATIONS) - 2), np.floor(column).astype(int).clip(0, len(AZIMUTHS) - 2))
    dr, dc = (row - r)[:, None], (column - c)[:, None]
    near = grid[r, c] * (1 - dc) + grid[r, c + 1] * dc
    far = grid[r + 1, c] * (1 - dc) + grid[r + 1, c + 1] * dc
    between: Doubles = near * (1 - dr) + far * dr
    return between


def _bent(pose: HeadPose) -> Doubles:
    """[H, 3] the mean head, moved so that the face's points lie where they are seen."""
    surface = _surface()
    if pose.face is None:
        return surface.head
    bent: Doubles = surface.head + surface.carried @ (pose.undo(pose.face) - head_points().points)
    return bent


def _rings(middle: Doubles, axes: Doubles, radii: Doubles, tilt: float) -> Doubles:
    """[sides + 1, 3] a ring around the neck; azimuth 0 in front, growing toward the person's left."""
    turn = np.linspace(-np.pi, np.pi, _NECK_SIDES + 1)
    local = np.stack([radii[0] * np.sin(turn), -tilt * np.cos(turn), radii[1] * np.cos(turn)], 1)
    ring: Doubles = middle + local @ axes.T
    return ring


def _neck(pose: HeadPose, base: NeckBase) -> Doubles:
    """[rings * (sides + 1), 3] the neck in picture axes, from its base upward."""
    bottom = _rings(base.middle, base.axes, _NECK_RADII[0] * pose.scale, _BASE_TILT * pose.scale)
    top = _rings(pose.place(NECK_TOP[None])[0], pose.rotation, _NECK_RADII[1] * pose.scale, 0.0)
    share = np.linspace(0, 1, _NECK_RINGS)[:, None, None]
    neck: Doubles = (bottom * (1 - share) + top * share).reshape(-1, 3)
    return neck


def _line(pose: HeadPose, base: NeckBase) -> Floats:
    """The half of the base's ring that faces the camera, from the photo's left to its right."""
    ring = _rings(base.middle, base.axes, _NECK_RADII[0] * pose.scale, _BASE_TILT * pose.scale)[:-1]
    seen = ring[ring[:, 2] >= base.middle[2]]
    return (seen[np.argsort(seen[:, 0]), :2] * [1, -1]).astype(np.float32)


def _draw(screen: Floats, surface: _Surface, height: int, width: int) -> tuple[Pixels, Floats, Floats, Floats]:
    two_sided = np.zeros(len(surface.triangles), np.bool_)
    fragments = rasterise(screen, surface.triangles, height, width, two_sided)
    nearest = fragments.nearest(height * width)
    hit = nearest >= 0
    which = nearest[hit]
    triangle = fragments.triangle[which]
    corner = surface.chart[surface.triangles[triangle]]
    place = (corner * fragments.weight[which][:, :, None]).sum(1)
    part = np.zeros(height * width, np.uint8)
    u, v = np.zeros(height * width, np.float32), np.zeros(height * width, np.float32)
    depth = np.full(height * width, np.inf, np.float32)
    part[hit] = surface.part[triangle]
    u[hit] = np.where(part[hit] == 23, place[:, 0], 1 - place[:, 0])
    v[hit], depth[hit] = place[:, 1], fragments.depth[which]
    shape = height, width
    return part.reshape(shape), u.reshape(shape), v.reshape(shape), depth.reshape(shape)


def _near_mask(mask: Pixels, rim: float) -> NDArray[np.bool_]:
    inside = (mask > 127).astype(np.uint8)
    reach = max(round(rim), 1)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(inside, around) > 0)
