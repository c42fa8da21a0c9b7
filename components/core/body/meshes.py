"""Triangle meshes and the three ways the figures get theirs: from a field, from a grid, from an ellipsoid.

Lengths are metres. Axes: x to the person's left (image right when they face the camera), y up, z forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.body import exact

Floats = NDArray[np.floating[Any]]
"""Real numbers; float32 where there are many."""
Ints = NDArray[np.int32]
Field = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Mesh:
    """`points` [V, 3] metres, `triangles` [T, 3] indices into them, counter-clockwise seen from outside."""

    points: Floats
    triangles: Ints


def smoothstep(low: float | Floats, high: float | Floats, x: Floats) -> Floats:
    """0 below `low`, 1 above `high`, and an S between; `low` > `high` makes it fall."""
    t = np.clip((x - low) / (np.asarray(high) - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def length(v: Floats) -> Floats:
    """Euclidean length [...] of vectors [..., 3] (term by term: several times faster than a sum along the axis)."""
    return np.asarray(np.sqrt(v[..., 0] * v[..., 0] + v[..., 1] * v[..., 1] + v[..., 2] * v[..., 2]), np.float32)


def normalise(v: Floats) -> Floats:
    """Unit vectors along the last axis (zero vectors stay zero)."""
    return np.asarray(v / np.maximum(length(v)[..., None], 1e-9), np.float32)


def vertex_normals(points: Floats, triangles: Ints) -> Floats:
    """Area-weighted unit normals [V, 3] of the surface as it is posed."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    e, f = b - a, c - a
    faces = np.stack(
        [
            e[:, 1] * f[:, 2] - e[:, 2] * f[:, 1],
            e[:, 2] * f[:, 0] - e[:, 0] * f[:, 2],
            e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0],
        ],
        axis=1,
    )
    corners = triangles.T.ravel()
    total = [np.bincount(corners, np.tile(faces[:, k], 3), len(points)) for k in range(3)]
    return normalise(np.stack(total, axis=1).astype(np.float32))


def grid_triangles(rows: int, columns: int) -> Ints:
    """Two triangles for each cell of a rows x columns grid of vertices, row-major.

    They face outward when rows run upward and columns run counter-clockwise seen from above.
    """
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    right, up, across = corner + 1, corner + columns, corner + columns + 1
    pairs = np.concatenate([np.stack([corner, right, across], 1), np.stack([corner, across, up], 1)])
    return np.asarray(pairs, np.int32)


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float], rings: int = 14) -> Mesh:
    """A closed ellipsoid as a grid of latitudes and longitudes."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings)[:, None]
    longitude = np.linspace(0.0, 2 * np.pi, 2 * rings)[None]
    unit = np.stack(
        [
            exact.cos(latitude) * exact.sin(longitude),
            exact.sin(latitude) * np.ones_like(longitude),
            exact.cos(latitude) * exact.cos(longitude),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = (unit * np.asarray(radii) + np.asarray(centre)).astype(np.float32)
    return Mesh(points, grid_triangles(rings, 2 * rings))


def tube(path: Floats, radius: float, sides: int = 5, closed: bool = False) -> Mesh:
    """A thin tube along `path` [N, 3]; for wires, straps and the rims of glasses."""
    ahead: Floats = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    ahead = normalise(ahead)
    reference = np.where(np.abs(ahead[:, 1:2]) > 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]).astype(np.float32)
    side = normalise(np.cross(ahead, reference).astype(np.float32))
    over = np.cross(side, ahead)
    turn = -np.linspace(0.0, 2 * np.pi, sides + 1)
    ring = exact.cos(turn)[None, :, None] * side[:, None] + exact.sin(turn)[None, :, None] * over[:, None]
    points = path[:, None] + radius * ring
    if closed:
        points = np.concatenate([points, points[:1]])
    return Mesh(points.reshape(-1, 3).astype(np.float32), grid_triangles(len(points), sides + 1))


def from_field(field: Field, low: Floats, high: Floats, step: float) -> Mesh:
    """The surface where `field` is zero (negative inside), by surface nets, then pulled onto the zero by Newton steps.

    One vertex in every grid cell that the surface crosses, one quad for every grid edge that it crosses.
    """
    shape = np.ceil((high - low) / step).astype(int) + 1
    axes = [low[k] + step * np.arange(shape[k]) for k in range(3)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)
    inside = field(nodes.reshape(-1, 3)).reshape(shape) < 0.0

    count = np.zeros(shape - 1, np.int32)
    for i, j, k in np.ndindex(2, 2, 2):
        count += inside[i : shape[0] - 1 + i, j : shape[1] - 1 + j, k : shape[2] - 1 + k]
    crossed = (count > 0) & (count < 8)
    index = np.full(shape - 1, -1, np.int32)
    index[crossed] = np.arange(int(crossed.sum()))
    points = (low + step * (np.argwhere(crossed) + 0.5)).astype(np.float32)
    for _ in range(6):
        points = points - np.clip(_newton(field, points, step / 8), -step / 2, step / 2)

    quads: list[Ints] = []
    for axis in range(3):
        here = [slice(1, n - 1) for n in shape]
        there = list(here)
        here[axis], there[axis] = slice(0, shape[axis] - 1), slice(1, shape[axis])
        leaves = inside[tuple(here)] & ~inside[tuple(there)]
        enters = ~inside[tuple(here)] & inside[tuple(there)]
        second, third = (axis + 1) % 3, (axis + 2) % 3
        for crossing, flip in ((leaves, False), (enters, True)):
            cell = np.argwhere(crossing)
            cell[:, second] += 1
            cell[:, third] += 1
            around = []
            for back_second, back_third in ((1, 1), (0, 1), (0, 0), (1, 0)):
                at = cell.copy()
                at[:, second] -= back_second
                at[:, third] -= back_third
                around.append(index[at[:, 0], at[:, 1], at[:, 2]])
            quads.append(np.stack(around[::-1] if flip else around, 1).astype(np.int32))
    quad = np.concatenate(quads)
    return Mesh(points, np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]).astype(np.int32))


def _newton(field: Field, points: Floats, h: float) -> Floats:
    """The step from `points` to the zero of `field` along its gradient (central differences of width `h`)."""
    gradient = np.stack(
        [field(points + h * e) - field(points - h * e) for e in np.eye(3, dtype=np.float32)], axis=1
    ) / (2 * h)
    size = np.maximum((gradient * gradient).sum(1, keepdims=True), 1e-6)
    return np.asarray(field(points)[:, None] * gradient / size, np.float32)
