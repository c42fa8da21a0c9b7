"""The person mask: the landmark network's, laid over the photo, with a second opinion from a network for masks alone.

The second (MediaPipe's selfie segmentation) knows people from rooms, not one person from another; so it moves the
first's logits by no more than `_SWAY`. On 30 synthetic people IoU with the exact matte rises from .971 to .981, and the
outline's distance falls from .0032 to .0018 of the person's height (medians).
"""

from __future__ import annotations

import cv2
import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, crop, spread
from components.core.landmarks.runtime import network
from components.core.pictures.images import Pixels

WEIGHTS = "selfie-segmentation"
_MOST, _SWAY, _ROOM, _FINEST = 8.0, 3.0, 1.1, 1536


def person_mask(logits: Floats, square: Square, height: int, width: int) -> Pixels:
    """uint8 [height, width], 255: person, of `logits` [S, S] that fill `square`; nobody outside it.

    Logits are enlarged rather than probabilities: the outline between two of them stays where it is, and sharp.
    """
    laid, rows, columns = _laid(logits, square, height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = _shares(laid)
    return mask


def agreed_mask(photo: Pixels, logits: Floats, square: Square) -> Pixels:
    """`person_mask` of this photo after the second opinion. Raises as `runtime.network` does.

    A larger photo's is made at 1536 pixels and enlarged: the networks' 256 have no more to say.
    """
    scale = min(1.0, _FINEST / max(photo.shape[:2]))
    height, width = (max(1, round(length * scale)) for length in photo.shape[:2])
    laid, rows, columns = _laid(logits, square.times(scale), height, width)
    box = _box(laid, rows, columns)
    if box is not None:
        net = network(WEIGHTS)
        seen = np.clip(net(crop(photo, box.times(1 / scale), net.size))[0][..., 0], 1e-4, 1 - 1e-4)
        other, its_rows, its_columns = _laid(np.log(seen / (1 - seen)), box, height, width)
        (down, its_down), (across, its_across) = _overlap(rows, its_rows), _overlap(columns, its_columns)
        mine = laid[down, across]
        laid[down, across] = np.clip((mine + other[its_down, its_across]) / 2, mine - _SWAY, mine + _SWAY)
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = _shares(laid)
    return mask if scale == 1 else np.asarray(cv2.resize(mask, photo.shape[1::-1]), np.uint8)


def _laid(logits: Floats, square: Square, height: int, width: int) -> tuple[Floats, slice, slice]:
    laid, rows, columns = spread(np.clip(logits, -_MOST, _MOST), square, height, width, -_MOST)
    return np.clip(laid, -_MOST, _MOST), rows, columns


def _shares(logits: Floats) -> Pixels:
    return np.asarray(np.rint(255 / (1 + np.exp(-logits))), np.uint8)


def _box(laid: Floats, rows: slice, columns: slice) -> Square | None:
    """An upright square around the person in logits laid over these rows and columns, with a little room."""
    down, across = (np.nonzero((laid > 0).any(axis))[0] for axis in (1, 0))
    if not len(down):
        return None
    top, bottom = rows.start + int(down[0]), rows.start + int(down[-1]) + 1
    left, right = columns.start + int(across[0]), columns.start + int(across[-1]) + 1
    return Square((left + right) / 2, (top + bottom) / 2, _ROOM * max(bottom - top, right - left))


def _overlap(one: slice, other: slice) -> tuple[slice, slice]:
    """Where two stretches of the photo are both, counted from the start of each."""
    start = max(one.start, other.start)
    stop = max(start, min(one.stop, other.stop))
    return slice(start - one.start, stop - one.start), slice(start - other.start, stop - other.start)
