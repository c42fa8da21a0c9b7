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
from components.core.body.head import AZIMUTHS, CENTRE, ELEVATIONS, directions, head_mesh, unit
from components.core.body.meshes import Floats, Ints, grid_triangles, smoothstep
from components.core.body.rasteriser import rasterise
from components.core.fitting.head_points import MEAN_HEAD, head_points
from components.core.fitting.head_pose import NECK_TOP, HeadPose, NeckBase, head_pose, neck_base
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels

_NEAR, _FAR = 0.16, 0.55
"""How far, on the unit sphere of directions, a point of the face carries its neighbourhood with it: two scales."""
_NUGGET = 0.01
_LOWER_CROWN, _LONGER_BACK, _WIDER = 0.18, 0.22, 0.03
"""What the mean head's skull differs by from detected and exact maps: shares of its height, depth behind and width."""
_NECK_RINGS, _NECK_SIDES = 9, 32
_NECK_RADII = np.array([[0.058, 0.048], [0.066, 0.076]])
"""Half width and half depth of the neck at its base and at its top, metres."""
_BASE_TILT = 0.022
"""How much lower the neck's base is in front than at its sides and behind, metres."""
_NECK_V = 0.36
"""V at the neck's top, hidden in the head: it grows from 0 at the base past 0.2 where the jaw comes out."""
_LEAST_DEPTH = 1.0
_LARGEST = 224
"""Pixels; larger heads are drawn at this size and enlarged: the surface is smooth."""
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
    """[N, 2] x, y in the photo, from left to right: where the neck, as far as it is seen, ends and the torso begins."""

    def pasted(self, size: tuple[int, int]) -> tuple[Pixels, Floats, Floats]:
        """Part, U and V in a photo of `size` (height, width)."""
        part = np.zeros(size, np.uint8)
        u, v = np.zeros(size, np.float32), np.zeros(size, np.float32)
        where = slice(self.y, self.y + self.part.shape[0]), slice(self.x, self.x + self.part.shape[1])
        part[where], u[where], v[where] = self.part, self.u, self.v
        return part, u, v


def head_map(landmarks: Landmarks, size: tuple[int, int], mask: Pixels) -> HeadMap:
    """The head of one person in a photo of `size` (height, width), none of it outside `mask`.

    `mask` is uint8 [H, W], 255: person. A head wholly outside the photo gives an empty crop (0 x 0).
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

    head: Floats
    """[H, 3] the mean head with the mean face, metres from its middle."""
    carried: Floats
    """[H, 468] how much each corner of the head moves with each point of the face."""
    triangles: Ints
    u: Floats
    """[T, 3] U of a triangle's corners as on the right half, whichever half it is."""
    v: Floats
    left: NDArray[np.bool_]
    """[T] whether a triangle belongs to the left half, part 24."""


@lru_cache(maxsize=1)
def _surface() -> _Surface:
    table = head_points()
    azimuth, elevation, _ = directions()
    kept, triangles = _coarse()
    azimuth, elevation = azimuth[kept], elevation[kept]
    carried = _carrying(unit(azimuth, elevation), unit(table.azimuth, table.elevation))
    mean = mean_skull()
    off = table.points - _on_grid(mean, table.azimuth, table.elevation)
    u, v = _right_half(azimuth, elevation)

    turn = np.linspace(-np.pi, np.pi, _NECK_SIDES + 1)
    neck_u, _ = _right_half(turn, np.zeros_like(turn))
    neck_v = np.linspace(0, _NECK_V, _NECK_RINGS)
    corner_u = np.concatenate([u, np.tile(neck_u, _NECK_RINGS)]).astype(np.float32)
    corner_v = np.concatenate([v, np.repeat(neck_v, _NECK_SIDES + 1)]).astype(np.float32)
    triangles = np.concatenate([triangles, grid_triangles(_NECK_RINGS, _NECK_SIDES + 1) + len(kept)])
    left = np.concatenate([azimuth, np.tile(turn, _NECK_RINGS)])[triangles].mean(1) >= 0
    return _Surface(
        mean[kept] + carried @ off,
        carried.astype(np.float32),
        triangles.astype(np.int32),
        corner_u[triangles],
        corner_v[triangles],
        left,
    )


def _coarse() -> tuple[NDArray[np.int64], Ints]:
    """Every second row and column of the head's grid, midline and poles among them, and their triangles."""
    rows, columns = (np.unique(np.r_[0, n // 2 % 2 : n : 2, n - 1]) for n in (len(ELEVATIONS), len(AZIMUTHS)))
    return (rows[:, None] * len(AZIMUTHS) + columns).ravel(), grid_triangles(len(rows), len(columns))


def mean_skull() -> Floats:
    """[V, 3] the mean head's surface from its middle, per direction of `body.head.directions`."""
    skull = head_mesh(MEAN_HEAD).points.astype(np.float64) - CENTRE
    skull[:, 1] *= 1 - _LOWER_CROWN * smoothstep(0.0, 0.09, skull[:, 1])
    skull[:, 2] *= 1 + _LONGER_BACK * smoothstep(0.0, -0.07, skull[:, 2])
    skull[:, 0] *= 1 + _WIDER * smoothstep(0.06, -0.01, skull[:, 2])
    return skull


def _right_half(azimuth: Floats, elevation: Floats) -> tuple[Floats, Floats]:
    """U, as on the right half, and V: both run on over the midlines, where the halves meet."""
    _, u, v = head_chart(-np.maximum(np.abs(azimuth), 1e-6), elevation)
    return u, v


def _carrying(at: Floats, ray: Floats) -> Floats:
    """[V, P]: what is known at directions `ray` [P, 3], carried to directions `at` [V, 3]; it fades out with distance.

    The mean of a Gaussian process with a kernel of two widths (kriging), which passes through what is known.
    """

    def kernel(a: Floats, b: Floats) -> Floats:
        square = np.maximum(2 - 2 * a.astype(np.float64) @ b.astype(np.float64).T, 0)
        return 0.3 * np.exp(-square / (2 * _NEAR**2)) + 0.7 * np.exp(-square / (2 * _FAR**2))

    weights: Floats = np.linalg.solve(kernel(ray, ray) + _NUGGET * np.eye(len(ray)), kernel(ray, at)).T
    return weights


def _on_grid(mean: Floats, azimuth: Floats, elevation: Floats) -> Floats:
    """[N, 3] of the head's surface in some directions, bilinearly between its corners."""
    grid = mean.reshape(len(ELEVATIONS), len(AZIMUTHS), 3)
    row = np.interp(elevation, ELEVATIONS, np.arange(len(ELEVATIONS)))
    column = np.interp(azimuth, AZIMUTHS, np.arange(len(AZIMUTHS)))
    r, c = (np.floor(at).astype(int).clip(0, n - 2) for at, n in ((row, len(ELEVATIONS)), (column, len(AZIMUTHS))))
    dr, dc = (row - r)[:, None], (column - c)[:, None]
    near = grid[r, c] * (1 - dc) + grid[r, c + 1] * dc
    far = grid[r + 1, c] * (1 - dc) + grid[r + 1, c + 1] * dc
    between: Floats = near * (1 - dr) + far * dr
    return between


def _bent(pose: HeadPose) -> Floats:
    """[H, 3] the mean head, moved so that the face's points lie where they are seen."""
    surface = _surface()
    if pose.face is None:
        return surface.head
    bent: Floats = surface.head + surface.carried @ (pose.undo(pose.face) - head_points().points).astype(np.float32)
    return bent


def _rings(middle: Floats, axes: Floats, radii: Floats, tilt: float) -> Floats:
    """[sides + 1, 3] a ring around the neck; azimuth 0 in front, growing toward the person's left."""
    turn = np.linspace(-np.pi, np.pi, _NECK_SIDES + 1)
    rise = -tilt * np.maximum(np.cos(turn), 0)
    local = np.stack([radii[0] * np.sin(turn), rise, radii[1] * np.cos(turn)], 1)
    ring: Floats = middle + local @ axes.T
    return ring


def _neck(pose: HeadPose, base: NeckBase) -> Floats:
    """[rings * (sides + 1), 3] the neck in picture axes, from its base upward."""
    bottom = _rings(base.middle, base.axes, _NECK_RADII[0] * pose.scale, _BASE_TILT * pose.scale)
    top = _rings(pose.place(NECK_TOP[None])[0], pose.rotation, _NECK_RADII[1] * pose.scale, 0.0)
    share = np.linspace(0, 1, _NECK_RINGS)[:, None, None]
    neck: Floats = (bottom * (1 - share) + top * share).reshape(-1, 3)
    return neck


def _line(pose: HeadPose, base: NeckBase) -> Floats:
    """The half of the base's ring that faces the camera, from the photo's left to its right."""
    ring = _rings(base.middle, base.axes, _NECK_RADII[0] * pose.scale, _BASE_TILT * pose.scale)[:-1]
    seen = ring[ring[:, 2] >= base.middle[2]]
    return np.asarray(seen[np.argsort(seen[:, 0]), :2] * [1, -1], np.float32)


def _draw(screen: Floats, surface: _Surface, height: int, width: int) -> tuple[Pixels, Floats, Floats, Floats]:
    """Part, U, V and depth [height, width] of what is seen of the surface whose corners lie at `screen`."""
    small = max(height, width) / _LARGEST
    if small > 1:
        rows, columns = int(np.ceil(height / small)), int(np.ceil(width / small))
        shrunk = screen * np.array([columns / width, rows / height, 1], np.float32)
        planes = _planes(shrunk, surface, rows, columns)
        planes = [_enlarged(plane, planes[0], (width, height)) for plane in planes]
    else:
        planes = _planes(screen, surface, height, width)
    seen, across, u, v, depth = planes
    hit = seen > 0.5
    left = across >= 0
    part = np.where(hit, np.where(left, 24, 23), 0).astype(np.uint8)
    # From the temples forward |across| is U of the right half and has no kink at the midline to be blurred.
    u = np.where(np.abs(across) < 0.5, 1 - np.abs(across), u)
    u = np.where(left, 1 - u, u)
    outside = ~hit
    u[outside], v[outside], depth[outside] = 0, 0, np.inf
    return part, u.clip(0, 1), v.clip(0, 1), depth


def _planes(screen: Floats, surface: _Surface, height: int, width: int) -> list[Floats]:
    """[height, width] each: seen (0 or 1); 1 - U of the right half, negative there; U as on that half; V; depth."""
    fragments = rasterise(screen, surface.triangles, height, width, np.zeros(len(surface.triangles), np.bool_))
    nearest = fragments.nearest(height * width)
    at = np.nonzero(nearest >= 0)[0]
    which = nearest[at]
    triangle, weight = fragments.triangle[which], fragments.weight[which]
    right_u, v = ((corners[triangle] * weight).sum(1) for corners in (surface.u, surface.v))
    across = np.where(surface.left[triangle], 1 - right_u, right_u - 1)
    planes = []
    for values in (np.float32(1), across, right_u, v, fragments.depth[which]):
        plane = np.zeros(height * width, np.float32)
        plane[at] = values
        planes.append(plane.reshape(height, width))
    return planes


def _enlarged(plane: Floats, seen: Floats, size: tuple[int, int]) -> Floats:
    """`plane` at `size` (width, height), nothing of the outside mixed into what is seen."""
    large = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    if plane is seen:
        return np.asarray(large, np.float32)
    return np.asarray(large / np.maximum(cv2.resize(seen, size, interpolation=cv2.INTER_LINEAR), 1e-6), np.float32)


def _near_mask(mask: Pixels, rim: float) -> NDArray[np.bool_]:
    inside = (mask > 127).astype(np.uint8)
    reach = max(round(rim), 1)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(inside, around) > 0)
