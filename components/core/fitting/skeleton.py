"""The landmarks in the picture's axes: a depth for each point, in one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.fitting import numbering as at
from components.core.fitting.fitted import Floats
from components.core.landmarks.found import Landmarks


@dataclass(frozen=True)
class Skeleton:
    """`points` [33, 3] pixels, z away from the camera; `scale` pixels for a metre of the world landmarks; `sure` [33]
    0..1 how well each is seen."""

    points: Floats
    scale: float
    sure: Floats


def skeleton(landmarks: Landmarks) -> Skeleton:
    """The body's landmarks with the depth of the world landmarks."""
    sure = np.clip(landmarks.visibility * landmarks.presence, 0.02, 1).astype(np.float32)
    scale = _scale(landmarks, sure)
    points = np.concatenate([landmarks.body[:, :2], landmarks.world[:, 2:] * scale], 1).astype(np.float32)
    return Skeleton(points, scale, sure)


def _scale(landmarks: Landmarks, sure: Floats) -> float:
    """The similarity that takes the world landmarks' x and y to the picture's, least squares."""
    chosen = list(at.SKELETON)
    weight = (sure[chosen] ** 2)[:, None]
    picture, world = landmarks.body[chosen, :2], landmarks.world[chosen, :2]
    picture = picture - (weight * picture).sum(0) / weight.sum()
    world = world - (weight * world).sum(0) / weight.sum()
    return float((weight * picture * world).sum() / max(float((weight * world * world).sum()), 1e-9))
