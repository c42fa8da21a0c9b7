"""What DensePose returns, and what to do where it cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WAYS_OUT = "bring pose maps as iuv/<stem>.png, or install detectron2 with DensePose as docs/densepose.md says"


@dataclass(frozen=True)
class Detection:
    """One person as DensePose returns them, in pixels of a picture [H, W]."""

    labels: NDArray[np.integer[Any]]
    """Part of each pixel inside the box, [h, w], 0..24."""
    uv: NDArray[np.floating[Any]]
    """U and V inside the box, [2, h, w]; meant to be in [0, 1], but the networks leave it."""
    box: tuple[float, float, float, float]
    """(x, y, width, height); it may reach beyond the picture."""
    score: float
    """How sure the detector is, 0..1."""
