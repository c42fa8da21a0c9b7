"""The mean face and where its 468 points lie in the head charts: a small table.

`python -m pipelines.pretraining.tables.head_points` made it, and says how.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.body.head import HeadShape
from components.core.body.meshes import Floats

TABLE = Path(__file__).resolve().parent.parent / "data" / "head-points.npz"
MEAN_HEAD = HeadShape(width=1, jaw=1, chin=1, cheek=1, length=1, nose_length=1, nose_width=1, ears=1)
CHIN, NOSE_TIP, FOREHEAD = 152, 1, 10
MOUTH_CORNERS = 61, 291
EYE_CORNERS = (33, 133), (263, 362)
"""Outer and inner corner of the right and of the left eye."""
BROWS = (70, 63, 105, 66, 107), (300, 293, 334, 296, 336)
"""From the temple to the nose; right and left."""


@dataclass(frozen=True)
class HeadPoints:
    """The 468 points of the mean face in the head's own axes: x to the person's left, y up, z forward, metres."""

    points: Floats
    """[468, 3] from the head's middle (`body.head.CENTRE`)."""
    azimuth: Floats
    """[468] radians, as `body.charts.head_chart` takes them."""
    elevation: Floats
    mirror: NDArray[np.int64]
    """[468] the number of each point's counterpart on the other side."""


@lru_cache(maxsize=1)
def head_points() -> HeadPoints:
    """The table that ships with the package."""
    with np.load(TABLE) as table:
        return HeadPoints(table["points"], table["azimuth"], table["elevation"], table["mirror"].astype(np.int64))


def similarity(source: Floats, target: Floats) -> tuple[float, Floats, Floats]:
    """Scale, rotation [3, 3] and shift [3] that carry `source` [N, 3] best onto `target` (Umeyama 1991)."""
    from_middle, to_middle = source.mean(0), target.mean(0)
    a, b = source - from_middle, target - to_middle
    left, size, right = np.linalg.svd(b.T @ a)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * flip) @ right
    scale = float((size * flip).sum() / max(float((a * a).sum()), 1e-12))
    return scale, rotation, to_middle - scale * rotation @ from_middle
