"""A studio to stand in: the default background of new pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def backdrop(size: int) -> NDArray[np.uint8]:
    """A studio wall, uint8 [size, size, 3]: a soft light behind the person, darker towards corners and floor."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    light = np.exp(-(((x - 0.5) / 0.62) ** 2 + ((y - 0.36) / 0.62) ** 2))
    wall = 92 + 118 * light - 18 * np.clip((y - 0.8) / 0.2, 0, 1)
    tinted: NDArray[np.uint8] = np.rint(np.clip(wall[..., None] * np.array([0.97, 1.0, 1.03]), 0, 255)).astype(np.uint8)
    return tinted
