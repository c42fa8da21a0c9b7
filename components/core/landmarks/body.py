"""BlazePose's landmark network: 33 body points and a person mask in a region of the photo (graph pose_landmark_cpu)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, crop, pointing
from components.core.landmarks.runtime import network
from components.core.pictures.images import Pixels

WEIGHTS = "blazepose-full"
_POINTS, _ALL, _WINDOW, _LEAST_HEAT = 33, 39, 9, 0.5
"""The window is measured: with 9 the points are MediaPipe's to 0.05 px, with the 7 that its graph file says to 2 px."""
_ROOM = 1.25


@dataclass(frozen=True)
class Body:
    """Points as in `Landmarks`; `alignment` [2, 2]: middle of the hips, and a point on the circle around the person.

    `mask` [256, 256] are logits of the person in `square`. `flag` 0..1: how likely there is a person in it.
    """

    points: Floats
    visibility: Floats
    presence: Floats
    world: Floats
    alignment: Floats
    mask: Floats
    square: Square
    flag: float


def region(alignment: Floats) -> Square:
    """Where to look for the person with these two alignment points [2, 2] of a detection or of a `Body`."""
    return pointing(alignment[0], alignment[1], 90.0).grown(_ROOM)


def find_body(photo: Pixels, square: Square) -> Body:
    """The person in `square`, upright in it."""
    net = network(WEIGHTS)
    raw, flag, mask, heat, world = net(crop(photo, square, net.size))
    table = raw.reshape(_ALL, 5)
    places = table[:, :3] / np.float32(net.size)
    places[:, :2] = sharpened(places[:, :2], heat)
    points = square.to_photo(places)
    seen = np.asarray(1 / (1 + np.exp(-table[:_POINTS, 3:])), np.float32)
    return Body(points[:_POINTS], seen[:, 0], seen[:, 1], square.turned(world.reshape(_ALL, 3)[:_POINTS]),
                points[_POINTS:_POINTS + 2, :2], mask[..., 0], square, float(flag[0]))


def sharpened(places: Floats, heat: Floats) -> Floats:
    """`places` [N, 2] in 0..1 moved to the middle of the heat around them; `heat` [64, 64, N] are logits.

    A place without certain heat in its window of 9 x 9 stays. As RefineLandmarksFromHeatmapCalculator does it.
    """
    rows, columns, _ = heat.shape
    out = places.copy()
    half = _WINDOW // 2
    for number, (x, y) in enumerate(places):
        column, row = int(x * columns), int(y * rows)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        top, left = max(0, row - half), max(0, column - half)
        window = heat[top:row + half + 1, left:column + half + 1, number]
        sure = 1 / (1 + np.exp(-window))
        if sure.max() < _LEAST_HEAT:
            continue
        total = float(sure.sum())
        out[number] = ((sure.sum(0) @ (left + np.arange(sure.shape[1]))) / columns / total,
                       (sure.sum(1) @ (top + np.arange(sure.shape[0]))) / rows / total)
    return out
