"""The person mask of the landmark network, laid over the photo."""

from __future__ import annotations

import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, spread
from components.core.pictures.images import Pixels

_MOST = 8.0


def person_mask(logits: Floats, square: Square, height: int, width: int) -> Pixels:
    """uint8 [height, width], 255: person, of `logits` [S, S] that fill `square`; nobody outside it.

    Logits are enlarged rather than probabilities: the outline between two of them stays where it is, and sharp.
    """
    laid, rows, columns = spread(np.clip(logits, -_MOST, _MOST), square, height, width, -_MOST)
    mask = np.zeros((height, width), np.uint8)
    np.clip(laid, -_MOST, _MOST, out=laid)
    mask[rows, columns] = np.rint(255 / (1 + np.exp(-laid)))
    return mask
