"""The square person crop: where it lies, and cutting it out of the photo."""

from __future__ import annotations

import cv2
import numpy as np

from components.core.images import Pixels
from components.core.people import Box

_NEARLY = 1.35
"""So little may bilinear sampling shrink an image before blocks of at least 2 x 2 pixels are averaged."""


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
    padded = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)
    # Blurred at an eighth of the size: nobody looks at its detail, and it costs a tenth.
    small = cv2.resize(padded, (max(1, padded.shape[1] // 8), max(1, padded.shape[0] // 8)))
    kernel = max(3, (x1 - x0) // 64)
    small = cv2.blur(small, (kernel, kernel), borderType=cv2.BORDER_REPLICATE)
    out = cv2.resize(small, (padded.shape[1], padded.shape[0]))
    out[top : out.shape[0] - bottom, left : out.shape[1] - right] = inside
    return np.asarray(out, np.uint8)


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
