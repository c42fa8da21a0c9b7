"""Small vector algebra: frames and the shortest turn."""

from __future__ import annotations

import numpy as np

from components.core.fitting.fitted import Floats


def unit(v: Floats) -> Floats:
    """`v` [3] at length 1 (a zero vector stays zero)."""
    return np.asarray(v / max(float(np.sqrt(v @ v)), 1e-9), np.float32)


def across(v: Floats, axis: Floats) -> Floats:
    """The part of `v` [3] perpendicular to the unit vector `axis`."""
    return np.asarray(v - (v @ axis) * axis, np.float32)


def cross(a: Floats, b: Floats) -> Floats:
    """The vector product of two vectors [3] (an order of magnitude quicker than `np.cross`, which is for many)."""
    (x, y, z), (u, v, w) = a, b
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u], np.float32)


def carried(v: Floats, before: Floats, after: Floats) -> Floats:
    """`v` [3] under the shortest rotation that takes the unit vector `before` to `after`."""
    axis, cosine = cross(before, after), float(before @ after)
    if cosine < -0.999:  # opposite: any half turn is as short
        return np.asarray(-v, np.float32)
    return np.asarray(v + cross(axis, v) + cross(axis, cross(axis, v)) / (1 + cosine), np.float32)


def frame(axis: Floats, side: Floats) -> Floats:
    """Orthonormal columns [3, 3]: along `axis`, the nearest to `side` across it, and the third."""
    first = unit(axis)
    second = unit(across(side, first))
    return np.stack([first, second, cross(first, second)], 1).astype(np.float32)


def turned(matrix: Floats) -> Floats:
    """The rotation nearest to a matrix [3, 3]."""
    left, _, right = np.linalg.svd(matrix)
    if np.linalg.det(left @ right) < 0:
        left[:, -1] = -left[:, -1]
    return np.asarray(left @ right, np.float32)
