"""Faces in any photo, found by YuNet: upright, sideways or upside down, several, large and tiny.

The network finds faces of about 10 to 300 px, so a photo is looked at several times as
large where nothing was found, and turned where nothing stands upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.core.faces.head import CHIP, cut_face, similarity_to
from components.core.landmarks.yunet import detect_faces
from components.core.stores.known_weights import known_weights

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MIN_SCORE = 0.7
"""Least score of a face. Of 100 portraits the least certain true face had .83, sunglasses or masks drawn on or not."""
_SURE = 0.92
"""Score from which a face is upright for certain: of 34 portraits upside down none had more than .90, and the median of
100 upright ones is .94. Below it the photo is looked at turned, too."""
_PLAIN, _MORE = 0.9, 0.03
"""Least score of a face that turns a photo in which one is upright, too, and how much surer it must be: portraits that
lie sideways or upside down exceed .92 and .038; some faces with a mask drawn on are surer when looked at upside down
(.90, upright .85)."""
_TURNED = 1 / 12
"""Smallest face that is believed in a turned photo, as a share of its longer side: in the folds of clothes there is
many a small face upside down."""
SIDES = (640, 1280, 2560)
"""Longer sides in pixels at which a photo is looked at, one after the other, until there is a face."""
_LARGEST = 2.0
"""Most by which a photo is enlarged for that."""
_QUARTERS = (1, 3, 2)
"""Quarter turns that are tried, counter-clockwise: the two sideways ones, upside down."""


@dataclass(frozen=True)
class FoundFace:
    """A face in a photo, in the photo's own pixels whichever way it is turned."""

    box: tuple[float, float, float, float]
    """(x0, y0, x1, y1); may reach beyond the photo."""
    points: Floats
    """[5, 2] as (x, y), in the order of `head.LANDMARKS`: the person's right eye, left eye, nose tip, right and left
    mouth corner."""
    score: float
    """0..1"""
    quarters: int = 0
    """Quarter turns counter-clockwise after which the photo shows the face upright."""

    @property
    def size(self) -> float:
        """The longer side of its box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of its box, (x, y)."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def chip(self, photo: Pixels, size: int = CHIP, landmarks: int = 5) -> Pixels:
        """The face aligned and upright [size, size, 3], cut out of the photo [H, W, 3] as `head.face_chip` does.

        By the first 3 `landmarks` where the mouth is covered: what is guessed below a mask lies up to half the
        distance between the eyes off.
        """
        return cut_face(photo, similarity_to(self.points[:landmarks], size), size)


def faces_in(photo: Pixels, min_score: float = MIN_SCORE, *, turned: bool = True,
             sides: Sequence[int] = SIDES) -> list[FoundFace]:
    """The faces in a photo uint8 RGB [H, W, 3], the largest first; [] where there are none.

    `sides` are the longer sides at which it is looked at. Where none is upright for certain, the photo is looked at
    `turned`, too; it counts the way its faces are surest. May be called from several threads. Raises what
    `known_weights` raises where the network is not to be had.
    """
    best = _seen(photo, 0, min_score, sides)
    if turned and _surest(best) < _SURE:
        other = max((_seen(photo, quarters, min_score, sides) for quarters in _QUARTERS), key=_surest)
        if not best or (_surest(other) >= _PLAIN and _surest(other) >= _surest(best) + _MORE):
            return other
    return best


def _surest(faces: Sequence[FoundFace]) -> float:
    return max((face.score for face in faces), default=0.0)


def check_detector() -> None:
    """Fetch the network where it is not here. Raises what `known_weights` raises where it is not to be had."""
    known_weights("yunet")


def _seen(photo: Pixels, quarters: int, min_score: float, sides: Sequence[int]) -> list[FoundFace]:
    """Faces that are upright when the photo is turned so, at the first size at which there are any."""
    turned = np.ascontiguousarray(np.rot90(photo, quarters))
    side = max(photo.shape[:2])
    for scale in _scales(side, sides)[: 1 if quarters else None]:
        seen = turned if scale == 1 else cv2.resize(
            turned, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        exact = np.asarray([seen.shape[1] / turned.shape[1], seen.shape[0] / turned.shape[0]])
        rows = detect_faces(np.asarray(seen, np.uint8), min_score)
        faces = [_face(row, exact, turned.shape[:2], quarters) for row in rows]
        faces = [face for face in faces if not quarters or face.size >= _TURNED * side]
        if faces:
            return sorted(faces, key=lambda face: (-face.size, face.box))
    return []


def _scales(side: int, sides: Sequence[int]) -> list[float]:
    """Factors by which a photo with that longer side is looked at, ascending."""
    return sorted({min(wanted / side, _LARGEST) for wanted in sides})


def _face(row: Floats, scale: Floats, shape: Sequence[int], quarters: int) -> FoundFace:
    points = row[4:14].reshape(5, 2) / scale
    corners = np.stack([row[:2], row[:2] + row[2:4]]) / scale
    points, corners = (_turned_back(some, shape, quarters) for some in (points, corners))
    low, high = corners.min(axis=0), corners.max(axis=0)
    return FoundFace((float(low[0]), float(low[1]), float(high[0]), float(high[1])), points, float(row[14]), quarters)


def _turned_back(spots: Floats, shape: Sequence[int], quarters: int) -> Floats:
    """Places (x, y) in a picture of `shape` that was turned so many quarters -> in the picture before."""
    height, width = shape
    for _ in range(quarters):  # np.rot90 sends (x, y) of a picture of width w to (y, w - 1 - x)
        spots = np.stack([height - 1 - spots[:, 1], spots[:, 0]], axis=1)
        height, width = width, height
    return spots
