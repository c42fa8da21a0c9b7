"""Do eyes, mouth and chin lie where the pose map puts them? The 468 points of the face mesh, found and wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from components.core.body.charts import head_direction
from components.core.body.head import unit
from components.core.fitting.head_points import CHIN, EYE_CORNERS, MOUTH_CORNERS, head_points
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS

Floats = npt.NDArray[np.float64]

_NEAREST = 12
_APART = 0.05
"""Radians from a point's place in the chart to the nearest pixel, from which on the map does not show it."""
_LEAST = 0.25
"""Share of the points that a map must show."""


@dataclass(frozen=True)
class PointError:
    """Mean distance from where points are found to where the pose map puts them, as shares of the eye distance."""

    all: float
    mouth: float
    """Of the two mouth corners, those that the map shows; NaN where it shows none."""
    chin: float


def wanted_points(iuv: Pixels) -> Floats:
    """[468, 2] x, y in pixels (0, 0 the map's corner) where a pose map [H, W, 3] puts the points of the face.

    NaN where it does not show them. Each place is the mean, weighted by nearness in the chart, of the pixels around it.
    """
    table, out = head_points(), np.full((len(head_points().azimuth), 2), np.nan)
    ys, xs = np.nonzero(np.isin(iuv[..., 0], HEAD_PARTS))
    if len(xs) < _NEAREST:
        return out
    part, u, v = iuv[ys, xs].T
    shown = unit(*head_direction(part, u / np.float32(255), v / np.float32(255)))
    distance, index = cKDTree(shown).query(unit(table.azimuth, table.elevation), k=_NEAREST)
    weight = 1 / (distance + 0.004) ** 2  # half a step of the chart
    places = (np.stack([xs, ys], 1)[index] * weight[..., None]).sum(1) / weight.sum(1)[:, None] + 0.5
    seen = distance[:, 0] < _APART
    out[seen] = places[seen]
    return out


def eye_distance(points: Floats) -> float:
    """Distance between the middles of the eyes of a mesh [468, 3], in space: a turned head's is no shorter."""
    right, left = (points[list(corners)].mean(0) for corners in EYE_CORNERS)
    return float(np.linalg.norm(left - right))


def turn(points: Floats) -> float:
    """How far a mesh [468, 3] is turned to the side, radians; positive toward the picture's right."""
    right, left = (points[list(corners)].mean(0) for corners in EYE_CORNERS)
    return float(np.arctan2(left[2] - right[2], left[0] - right[0]))


def point_error(found: Floats, wanted: Floats, eyes: float) -> PointError | None:
    """Compare points [468, 2 or 3] with places [468, 2]; `eyes` is the eye distance in the same pixels.

    None where the map shows too few of them.
    """
    apart = np.linalg.norm(found[:, :2] - wanted, axis=1) / eyes
    shown = np.isfinite(apart)
    if shown.mean() < _LEAST:
        return None
    corners = apart[list(MOUTH_CORNERS)]
    mouth = float(corners[np.isfinite(corners)].mean()) if np.isfinite(corners).any() else float("nan")
    return PointError(float(apart[shown].mean()), mouth, float(apart[CHIN]))
