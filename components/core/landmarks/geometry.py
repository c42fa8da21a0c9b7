"""Square crops of a photo at any turn, and the way back.

Places are continuous: (0, 0) is the photo's corner, (0.5, 0.5) the middle of its first pixel. Angles are radians,
positive clockwise as seen, since y points down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.landmarks.found import Floats
from components.core.pictures.images import Pixels

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Square:
    """A square of the photo: its middle, its side in pixels, and how far it is turned."""

    x: float
    y: float
    side: float
    turn: float = 0.0

    def to_photo(self, points: Floats) -> Floats:
        """Points [N, 2] or [N, 3] of the square, which spans 0..1 each way, as pixels; z becomes pixels too."""
        out = np.array(points, np.float32, copy=True)
        out[:, :2] = (points[:, :2] - 0.5) @ self.axes().T + (self.x, self.y)
        if points.shape[1] > 2:
            out[:, 2] *= self.side
        return out

    def to_square(self, points: Floats) -> Floats:
        """The inverse of `to_photo`."""
        out = np.array(points, np.float32, copy=True)
        out[:, :2] = (points[:, :2] - (self.x, self.y)) @ np.linalg.inv(self.axes()).T + 0.5
        if points.shape[1] > 2:
            out[:, 2] /= self.side
        return out

    def turned(self, points: Floats) -> Floats:
        """Directions [N, 3] in the square's axes as directions in the photo's: z stays."""
        out = np.array(points, np.float32, copy=True)
        out[:, :2] = points[:, :2] @ (self.axes() / self.side).T
        return out

    def grown(self, scale: float, down: float = 0.0) -> Square:
        """`scale` times as large, after moving by `down` of its side along its own y axis."""
        x, y = self.axes() @ (0.0, down)
        return Square(self.x + float(x), self.y + float(y), self.side * scale, self.turn)

    def times(self, factor: float) -> Square:
        """The same square in a photo that is `factor` times as large."""
        return Square(self.x * factor, self.y * factor, self.side * factor, self.turn)

    def corners(self) -> Floats:
        """[4, 2] in the photo."""
        return self.to_photo(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32))

    def axes(self) -> Matrix:
        c, s = math.cos(self.turn) * self.side, math.sin(self.turn) * self.side
        return np.array([[c, -s], [s, c]])


def letterbox(height: int, width: int) -> Square:
    """The smallest upright square around a photo of this size, with equal margins."""
    return Square(width / 2, height / 2, float(max(height, width)))


def pointing(start: Floats, end: Floats, degrees: float, side: float | None = None) -> Square:
    """The square around `start` [2] whose turn brings the vector to `end` [2] to `degrees` (0: right, 90: up).

    Its half side is the vector's length unless `side` is given: MediaPipe's region from two alignment points.
    """
    dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
    turn = math.radians(degrees) - math.atan2(-dy, dx)
    turn -= 2 * math.pi * math.floor((turn + math.pi) / (2 * math.pi))
    return Square(float(start[0]), float(start[1]), 2 * math.hypot(dx, dy) if side is None else side, turn)


def around(points: Floats, start: int, end: int, down: float = 0.0) -> Square:
    """The square around the upright box of `points` [N, 2], turned so that point `start` to point `end` is level.

    Its middle is `down` of the box's height below the box's, along the square's own y axis.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    turn = pointing(points[start], points[end], 0.0).turn
    (x, y), shift = (low + high) / 2, down * float(high[1] - low[1])
    return Square(float(x) - shift * math.sin(turn), float(y) + shift * math.cos(turn), float((high - low).max()), turn)


def crop(photo: Pixels, square: Square, size: int, black: bool = False) -> Pixels:
    """The square at `size` x `size` pixels. Outside the photo its edge goes on, or it is black.

    A square of more than twice that many pixels is averaged first, so that nothing of the photo is skipped.
    """
    height, width = photo.shape[:2]
    left, top, right, bottom = _box(square, height, width, 2)
    region = photo[top:bottom, left:right]
    fewer = int(square.side / size)
    if fewer >= 2:
        small = (max(1, round((right - left) / fewer)), max(1, round((bottom - top) / fewer)))
        region = np.asarray(cv2.resize(region, small, interpolation=cv2.INTER_AREA), np.uint8)
    scale = np.array([region.shape[1] / (right - left), region.shape[0] / (bottom - top)])
    matrix = np.column_stack([square.axes() / size, square.to_photo(np.zeros((1, 2), np.float32))[0] - (left, top)])
    return _warped(region, _on_pixels(matrix * scale[:, None]), size, size, black)


def spread(values: Floats, square: Square, height: int, width: int, outside: float) -> tuple[Floats, slice, slice]:
    """`values` [S, S] that fill `square` laid over the photo, and the rows and columns of it that this covers.

    `outside` is the value beyond the square.
    """
    size = values.shape[0]
    left, top, right, bottom = _box(square, height, width, 0)
    inverse = np.linalg.inv(square.axes()) * size
    start = inverse @ (np.array([left, top]) - (square.x, square.y)) + size / 2
    matrix = _on_pixels(np.column_stack([inverse, start]))
    laid = cv2.warpAffine(values, matrix, (right - left, bottom - top), borderMode=cv2.BORDER_CONSTANT,
                          flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderValue=outside)
    return np.asarray(laid, np.float32), slice(top, bottom), slice(left, right)


def _box(square: Square, height: int, width: int, margin: int) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the square's upright box inside the photo; at least one pixel."""
    corners = square.corners()
    low, high = np.floor(corners.min(0)).astype(int) - margin, np.ceil(corners.max(0)).astype(int) + margin
    left, top = min(max(int(low[0]), 0), width - 1), min(max(int(low[1]), 0), height - 1)
    return left, top, max(min(int(high[0]), width), left + 1), max(min(int(high[1]), height), top + 1)


def _on_pixels(matrix: Matrix) -> Matrix:
    """A map [2, 3] of continuous places as one of pixel numbers, whose middles are half a pixel on."""
    out = matrix.copy()
    out[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return out


def _warped(region: Pixels, matrix: Matrix, height: int, width: int, black: bool) -> Pixels:
    border = cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(
        region, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border), np.uint8)
