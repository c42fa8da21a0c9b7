"""Cameras that look at the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats


@dataclass(frozen=True)
class Camera:
    """A pinhole that looks at the person: `rotation` [3, 3] and `eye` [3] in metres; the rest is in pixels."""

    rotation: Floats
    eye: Floats
    focal: float
    centre: tuple[float, float]

    def project(self, points: Floats) -> Floats:
        """[N, 3]: x right and y down in pixels, depth in metres."""
        seen = exact.product(points - self.eye, self.rotation.T)
        depth = -seen[:, 2]
        x = self.centre[0] + self.focal * seen[:, 0] / depth
        y = self.centre[1] - self.focal * seen[:, 1] / depth
        return np.stack([x, y, depth], 1).astype(np.float32)
