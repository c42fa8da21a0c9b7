"""Where one part of the body lies before another in a picture: places side by side that are apart on the body."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels
from components.core.pictures.iuv import ARM_PARTS, HEAD_PARTS, PARTS

_JUMP, _STEEP = 4, 20000
"""Steps of U or V, of 256, between neighbouring pixels of a part from which they are apart on the body, besides as many
over the picture's side: a small head's chart is steep everywhere."""
_SHOULDER, _NECK = 77, 43
"""Largest U of an upper arm where it grows from the torso, largest V of the neck where it does, of 256."""
_LIMBS: tuple[tuple[int, ...], ...] = (
    (1, 2), HEAD_PARTS, (4, 15, 17, 19, 21), (3, 16, 18, 20, 22), (5, 8, 10, 12, 14), (6, 7, 9, 11, 13))
_LIMB_OF = np.zeros(PARTS + 1, np.uint8)
for _number, _parts in enumerate(_LIMBS):
    _LIMB_OF[list(_parts)] = _number
_TORSO = _LIMBS[0]
_UPPER_ARMS, _LEGS = ARM_PARTS[:4], (7, 8, 9, 10)


def folds(iuv: Pixels) -> NDArray[np.bool_]:
    """Pixels of a pose map [H, W, 3] on either side of such an edge: bool [H, W].

    Of two parts it is one unless they grow from each other there, as an arm from the shoulder; within a part where its
    chart jumps, as from the chin to the neck.
    """
    out = np.zeros(iuv.shape[:2], np.bool_)
    jump = _JUMP + _STEEP / max(iuv.shape[:2])
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        edge = _apart(iuv[one], iuv[other], jump)
        out[one] |= edge
        out[other] |= edge
    return out


def _apart(one: Pixels, other: Pixels, jump: float) -> NDArray[np.bool_]:
    """Which of two arrays of neighbours [H, W, 3] are apart on the body: bool [H, W]."""
    steps = cv2.absdiff(one, other)
    here, there = one[..., 0], other[..., 0]
    jumps = (steps[..., 0] == 0) & (np.maximum(steps[..., 1], steps[..., 2]) > jump)
    edge = (here > 0) & (there > 0) & ((steps[..., 0] > 0) | jumps)
    first, second = one[edge], other[edge]
    same = _LIMB_OF[first[:, 0]] == _LIMB_OF[second[:, 0]]
    edge[edge] = np.where(same, jumps[edge], ~(_grown(first, second) | _grown(second, first)))
    return edge


def _grown(limb: Pixels, other: Pixels) -> NDArray[np.bool_]:
    """Does the first of two places [n, 3] grow from the second, on the torso, just there? bool [n]."""
    part = limb[:, 0]
    shoulder = np.isin(part, _UPPER_ARMS) & (limb[:, 1] <= _SHOULDER)
    neck = np.isin(part, HEAD_PARTS) & (limb[:, 2] <= _NECK)
    return np.asarray(np.isin(other[:, 0], _TORSO) & (shoulder | neck | np.isin(part, _LEGS)))
