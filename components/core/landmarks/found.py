"""What the landmark networks find of one person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Landmarks:
    """One person in a photo [H, W, 3]. x, y are pixels of the photo, x to the right, y down; (0, 0) is its corner.

    The numbering of the points is MediaPipe's (BlazePose, Face Mesh, Hands; their model cards). "Left" is the person's.
    """

    body: Floats
    """[33, 3] x, y, z. z in the units of x, 0 at the middle of the hips, negative toward the camera; rough."""
    visibility: Floats
    """[33] 0..1, how likely each body point is in the picture and not hidden."""
    presence: Floats
    """[33] 0..1, how likely each body point is inside the picture."""
    world: Floats
    """[33, 3] metres around the middle of the hips: x to the image's right, y down, z away from the camera."""
    face: Floats | None
    """[468, 3] x, y of the face mesh, and z in their units, negative toward the camera; None where no face is seen."""
    left_hand: Floats | None
    """[21, 3] as `face`; None where the hand is not seen."""
    right_hand: Floats | None
    mask: Pixels
    """uint8 [H, W], 255: person. Soft, and true to about a hundredth of the person's height."""
    score: float
    """How sure the networks are that this is a person, 0..1."""
