"""What a fit finds: where each bone lies in the picture, how thick it is, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Fitted:
    """The body in the picture's own axes: x right and y down in pixels, z away from the camera in the same unit.

    The camera is a scaled orthographic one, as that of the landmarks.
    """

    scale: float
    """Pixels for a metre of the template."""
    joints: Floats
    """[17, 3] where each bone of `body.template.BONES` begins."""
    matrix: Floats
    """[17, 3, 3] what each bone does to places of the resting template, and ..."""
    offset: Floats
    """[17, 3] ... where it moves them."""
    rest: Floats
    """[V, 3] the resting surface (`surface.surface`) with this person's thickness, metres of the template."""
    confidence: Floats
    """[17] 0..1 how well each joint is seen."""
    back: bool
    """Whether the person shows their back."""
