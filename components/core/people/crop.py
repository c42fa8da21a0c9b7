"""The square person crop: where it lies, and cutting it out of the photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from components.core.pictures.images import Pixels

if TYPE_CHECKING:
    from components.core.people.dataset import Box

_NEARLY = 1.35
"""So little may bilinear sampling shrink an image before blocks of at least 2 x 2 pixels are averaged."""
_BLURRED_SIDE = 128


def square_box(person: Box, margin: float) -> Box:
    """The square (x0, y0, x1, y1) around a person's box with room of `margin` times its longer side on each side.

    It may reach beyond the photo.
    """
    x0, y0, x1, y1 = person
    side = max(1, int(np.ceil(max(x1 - x0, y1 - y0) * (1 + 2 * margin))))
    left, top = (x0 + x1 - side) // 2, (y0 + y1 - side) // 2
    return left, top, left + side, top + side


def cut(photo: Pixels, box: Box) -> Pixels:
    """The photo [H, W, C] or [H, W] inside `box`; beyond its edges they are continued and blurred.

    Continued, not mirrored: a mirrored edge would show a second person; blurred, so that no streaks are learned.
    """
    x0, y0, x1, y1 = box
    height, width = photo.shape[:2]
    left, top, right, bottom = max(0, -x0), max(0, -y0), max(0, x1 - width), max(0, y1 - height)
    inside = photo[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    if not (left or top or right or bottom):
        return np.ascontiguousarray(inside)
    side_y, side_x = y1 - y0, x1 - x0
    # Blurred where it is about 128 pixels wide: nobody looks at its detail, and it comes out alike at any size.
    shrink = max(1, round(max(side_y, side_x) / _BLURRED_SIDE))
    small = _shrunk(inside, (side_y, side_x), (top, left), shrink)
    out = np.empty((side_y, side_x, *photo.shape[2:]), np.uint8)
    middle, right_edge = slice(top, side_y - bottom), side_x - right
    out[middle, left:right_edge] = inside
    for rows, columns in ((slice(0, top), slice(0, side_x)), (slice(side_y - bottom, side_y), slice(0, side_x)),
                          (middle, slice(0, left)), (middle, slice(right_edge, side_x))):
        if rows.start < rows.stop and columns.start < columns.stop:
            out[rows, columns] = _enlarged(small, rows, columns, shrink)
    return out


def _shrunk(inside: Pixels, size: tuple[int, int], before: tuple[int, int], shrink: int) -> Pixels:
    """`inside` continued to `size` (rows, columns), `before` of them ahead of it; a cell per `shrink` pixels; blurred.

    A cell is the mean of the pixels in its middle: with the blur that follows, as good as that of all.
    """
    middle = ((shrink - 1) // 2, shrink // 2)
    rows, columns = (np.clip((np.arange(0, count, shrink)[:, None] + middle).reshape(-1) - start, 0, most - 1)
                     for count, start, most in zip(size, before, inside.shape, strict=False))
    taken = inside.take(rows, axis=0).take(columns, axis=1)
    small = cv2.resize(taken, (len(columns) // 2, len(rows) // 2), interpolation=cv2.INTER_AREA)
    kernel = max(small.shape[:2]) // 8 | 1
    return np.asarray(cv2.blur(small, (kernel, kernel), borderType=cv2.BORDER_REPLICATE), np.uint8)


def _enlarged(small: Pixels, rows: slice, columns: slice, factor: int) -> Pixels:
    """These rows and columns of `small` enlarged by a whole `factor`, bilinear: made of the cells around them only."""
    first = [max(0, one.start // factor - 1) for one in (rows, columns)]
    part = small[first[0] : rows.stop // factor + 2, first[1] : columns.stop // factor + 2]
    large = cv2.resize(part, (part.shape[1] * factor, part.shape[0] * factor))
    top, left = (one * factor for one in first)
    return np.asarray(large[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left], np.uint8)


def outside(box: Box, height: int, width: int, side: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Where a crop of `side` pixels shows what lies beyond the photo [height, width]: bool [side, side]."""
    x0, y0, x1, y1 = box
    xs = x0 + (np.arange(side) + 0.5) * (x1 - x0) / side
    ys = y0 + (np.arange(side) + 0.5) * (y1 - y0) / side
    inside_x, inside_y = (xs >= 0) & (xs < width), (ys >= 0) & (ys < height)
    return ~(inside_y[:, None] & inside_x[None, :])


def resize(image: Pixels, side: int) -> Pixels:
    """A square image resized to `side`: by area when it shrinks, bilinear when it grows."""
    native = image.shape[0]
    if native == side:
        return image
    if side > native:
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
    whole = native // side * side
    if 2 * side <= whole < native <= _NEARLY * whole:
        # OpenCV averages whole blocks of pixels many times faster than parts of them.
        image = np.asarray(cv2.resize(image, (whole, whole), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
