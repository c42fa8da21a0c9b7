"""A z-buffer for many small triangles in plain numpy.

Triangles are sorted into buckets by the size of their bounding box; each bucket tests all its boxes' pixels at once.
The nearest fragment of a pixel is found with one `minimum.at` on keys that hold depth and fragment number together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.body.meshes import Floats, Ints

_BUCKETS = (2, 3, 4, 6, 8, 12, 16, 24, 40, 64, 128, 512)


@dataclass(frozen=True)
class Fragments:
    """Everything a set of triangles covers, hidden or not: N fragments.

    `pixel` [N] index into the flattened image, `depth` [N] metres from the camera, `triangle` [N] index,
    `weight` [N, 3] barycentric.
    """

    pixel: NDArray[np.int64]
    depth: Floats
    triangle: Ints
    weight: Floats

    def nearest(self, pixels: int, keep: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """For every pixel the number of its nearest fragment (of those in `keep`), or -1: [pixels]."""
        number = np.arange(len(self.pixel), dtype=np.uint64)
        key = (self.depth.astype(np.float32).view(np.uint32).astype(np.uint64) << np.uint64(32)) | number
        at = self.pixel
        if keep is not None:
            key, at = key[keep], at[keep]
        empty = np.uint64(0xFFFFFFFFFFFFFFFF)
        buffer = np.full(pixels, empty, np.uint64)
        np.minimum.at(buffer, at, key)
        found = (buffer & np.uint64(0xFFFFFFFF)).astype(np.int64)
        found[buffer == empty] = -1
        return found


def rasterise(screen: Floats, triangles: Ints, height: int, width: int, two_sided: NDArray[np.bool_]) -> Fragments:
    """Fragments of `triangles` [T, 3] whose corners lie at `screen` [V, 3] (pixels right, pixels down, metres).

    Pixel centres are at half-integers. Triangles that face away are dropped unless `two_sided` [T].
    Depth is interpolated linearly on the screen, which is exact enough for triangles of a few pixels.
    """
    a, b, c = (screen[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)
    high = np.maximum(np.maximum(a, b), c)
    # The image's y axis points down, so what faces the camera turns clockwise: negative area.
    seen = ((area < -1e-6) | (two_sided & (np.abs(area) > 1e-6))) & (low[:, 2] > 0.05)
    seen &= (high[:, 0] > 0) & (low[:, 0] < width) & (high[:, 1] > 0) & (low[:, 1] < height)
    first = np.floor(low[:, :2] + 0.5).astype(np.int32)
    last = np.ceil(high[:, :2] - 0.5).astype(np.int32)
    extent = (last - first).max(1)
    seen &= (last > first).all(1)

    parts: list[tuple[NDArray[np.int64], Floats, Ints, Floats]] = []
    smallest = 0
    for size in _BUCKETS:
        which = np.nonzero(seen & (extent > smallest) & (extent <= size))[0].astype(np.int32)
        smallest = size
        if len(which):
            corners = (a[which], b[which], c[which])
            parts.append(_bucket(corners, area[which], first[which], which, size, height, width))
    if not parts:
        none = np.zeros(0, np.int64)
        return Fragments(none, np.zeros(0, np.float32), none.astype(np.int32), np.zeros((0, 3), np.float32))
    pixel, depth, triangle, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Fragments(pixel, depth, triangle, weight)


def _bucket(
    corners: tuple[Floats, Floats, Floats], area: Floats, first: Ints, which: Ints, size: int, height: int, width: int
) -> tuple[NDArray[np.int64], Floats, Ints, Floats]:
    """Fragments of the triangles whose bounding box fits into `size` x `size` pixels."""
    a, b, c = corners
    step = np.arange(size, dtype=np.float32)
    # Barycentric coordinates are affine in x and y: a value at the box's first pixel, and a slope per axis.
    inverse = 1.0 / area
    x0, y0 = first[:, 0] + np.float32(0.5), first[:, 1] + np.float32(0.5)
    slope_bx, slope_by = (c[:, 1] - a[:, 1]) * inverse, -(c[:, 0] - a[:, 0]) * inverse
    slope_cx, slope_cy = -(b[:, 1] - a[:, 1]) * inverse, (b[:, 0] - a[:, 0]) * inverse
    start_b = (x0 - a[:, 0]) * slope_bx + (y0 - a[:, 1]) * slope_by
    start_c = (x0 - a[:, 0]) * slope_cx + (y0 - a[:, 1]) * slope_cy
    weight_b = (start_b[:, None] + slope_by[:, None] * step)[:, :, None] + (slope_bx[:, None] * step)[:, None, :]
    weight_c = (start_c[:, None] + slope_cy[:, None] * step)[:, :, None] + (slope_cx[:, None] * step)[:, None, :]
    inside = (weight_b >= 0) & (weight_c >= 0) & (weight_b + weight_c <= 1)
    item, row, column = np.nonzero(inside)
    x, y = first[item, 0] + column, first[item, 1] + row
    on = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not on.all():
        item, row, column, x, y = item[on], row[on], column[on], x[on], y[on]
    b_share, c_share = weight_b[item, row, column], weight_c[item, row, column]
    weight = np.stack([1 - b_share - c_share, b_share, c_share], axis=1)
    depth = weight[:, 0] * a[item, 2] + b_share * b[item, 2] + c_share * c[item, 2]
    return y.astype(np.int64) * width + x, depth, which[item], weight
