"""The pose map that a fitted body makes: parts and places of the surface that is nearest, where the person is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body.charts import body_chart, head_chart
from components.core.body.rasteriser import rasterise
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.surface import posed_points, surface
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import resize_iuv

_WORKING = 384
_SPILL = 0.003
"""How far the map may go beyond the mask, in heights of the person: sleeves and hair end there, the mask is soft."""


def pose_map(fitted: Fitted, landmarks: Landmarks, size: tuple[int, int]) -> Pixels:
    """I (0..24), U and V (0..255) of the body, uint8 [H, W, 3] for a photo of `size` (height, width).

    It is drawn with the person at most 384 pixels high and enlarged part by part.
    """
    posed = posed_points(fitted.rest, fitted.matrix, fitted.offset)
    tall = float(np.ptp(posed[:, 1]))
    shrink = min(1.0, _WORKING / max(tall, 1.0))
    small = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
    screen = posed * np.array([small[1] / size[1], small[0] / size[0], shrink], np.float32)
    iuv = _drawn(screen.astype(np.float32), small)
    mask = cv2.resize(landmarks.mask, small[::-1], interpolation=cv2.INTER_AREA) > 127
    iuv[~_widened(mask, _SPILL * tall * shrink)] = 0
    return resize_iuv(iuv, size)


def _widened(mask: NDArray[np.bool_], pixels: float) -> NDArray[np.bool_]:
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) <= pixels)


def _drawn(screen: Floats, size: tuple[int, int]) -> Pixels:
    """The pose map [h, w, 3] of vertices that lie at `screen` [V, 3] (pixels right, down, away)."""
    figure = surface()
    height, width = size
    # The rasteriser drops what is nearer than 5 cm to a camera; this one has no place.
    screen = screen + np.array([0, 0, 1 - screen[:, 2].min()], np.float32)
    fragments = rasterise(screen, figure.triangles, height, width, np.zeros(len(figure.triangles), np.bool_))
    seen = fragments.nearest(height * width)
    hit = np.nonzero(seen >= 0)[0]
    triangle, weight = fragments.triangle[seen[hit]], fragments.weight[seen[hit]]
    place = np.einsum("nk,nkj->nj", weight, figure.coordinates[figure.triangles[triangle]]).astype(np.float32)
    on_head = figure.is_head[triangle]
    iuv = np.zeros((height * width, 3), np.uint8)
    for mine, chart in ((on_head, _head), (~on_head, body_chart)):
        part, u, v = chart(place[mine])
        iuv[hit[mine]] = np.stack([part, np.rint(u * 255), np.rint(v * 255)], 1).astype(np.uint8)
    return iuv.reshape(height, width, 3)


def _head(place: Floats) -> tuple[NDArray[np.uint8], Floats, Floats]:
    return head_chart(place[:, 0], place[:, 1])
