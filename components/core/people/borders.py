"""Where a limb's border and its colours do not agree: pixels whose place on the body is wrong by a little.

A body fitted to landmarks has its arms right to a hundredth of the person: a strip of skin then lies on the side of the
shirt, and a strip of the shirt on the arm, which shows as soon as the arm is lifted.
"""

from __future__ import annotations

from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_LIMBS: tuple[tuple[int, ...], ...] = (
    (1, 2), (3, 16, 18, 20, 22), (4, 15, 17, 19, 21), (5, 6, 7, 8, 9, 10, 11, 12, 13, 14))
"""Torso, right arm, left arm, legs. A hem that hangs over the legs is in its place, so arms alone are looked at."""
_ARMS = {2, 3}
_SIDE = 512
_REACH = 0.035
"""How far from the border pixels are doubted, as a share of the picture's side."""
_LIKE, _UNLIKE = 1.5, 3.0
"""Spreads of the colours around from which a colour is theirs, and is not."""
_HARDLY = 1.5
"""How many times nearer to the other limb's colours those beside such pixels have to be."""
_ROUNDS = 3
_LEAST = 3.0
"""Spread of a limb's colours below which they are not taken to be more even (CIELAB as 8 bits)."""


def misplaced(photo: Pixels, iuv: Pixels) -> Mask:
    """Pixels of a photo [H, W, 3] near a border between limbs of its pose map [H, W, 3] that have the colours of the
    limb on the other side, and not those of their own: bool [H, W]."""
    height, width = photo.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo
    labels = iuv[..., 0] if scale == 1 else cv2.resize(iuv[..., 0], size, interpolation=cv2.INTER_NEAREST_EXACT)
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)
    limb = np.zeros(labels.shape, np.uint8)
    for number, parts in enumerate(_LIMBS, 1):
        limb[np.isin(labels, parts)] = number
    reach = max(2, round(_REACH * max(size)))
    wrong = np.zeros(labels.shape, np.bool_)
    numbers = [number for number in range(1, len(_LIMBS) + 1) if (limb == number).any()]
    near = {number: cv2.distanceTransform((limb != number).astype(np.uint8), cv2.DIST_L2, 3) < reach
            for number in numbers}
    for _ in range(_ROUNDS):  # what was found is not learned from again
        apart = {number: _apart(lab, np.where(wrong, np.uint8(0), limb), limb, number, reach) for number in numbers}
        for one, other in permutations(numbers, 2):
            if _ARMS & {one, other}:
                here = (limb == one) & near[other]
                surely = here & (apart[one] > _UNLIKE) & (apart[other] < _LIKE)
                wrong |= _touching(here & (apart[one] > _HARDLY * apart[other]), surely)
    if scale == 1:
        return wrong
    grown = cv2.dilate(wrong.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0)


def _touching(mask: Mask, seeds: Mask) -> Mask:
    """The pieces of `mask` [H, W] that hold one of `seeds`."""
    _, pieces = cv2.connectedComponents((mask | seeds).astype(np.uint8))
    return np.isin(pieces, np.unique(pieces[seeds])) & (pieces > 0)


def _apart(lab: Floats, sure: Pixels, limb: Pixels, number: int, reach: int) -> Floats:
    """How many spreads each colour is away from those of a limb around it, which count more the farther within."""
    mine = (sure == number).astype(np.uint8)
    others = ((limb != number) & (limb > 0)).astype(np.uint8)
    within = cv2.distanceTransform(1 - others, cv2.DIST_L2, 3) if others.any() else np.full(limb.shape, 1e3, np.float32)
    weight = (mine * np.square(np.clip(within / reach, 0, 1))).astype(np.float32)
    side = 4 * reach + 1

    def around(plane: Floats) -> Floats:
        return np.asarray(cv2.blur(plane, (side, side)), np.float32)

    total = np.maximum(around(weight), 1e-6)[..., None]
    mean = around(lab * weight[..., None]) / total
    spread = np.sqrt(np.maximum(around(lab**2 * weight[..., None]) / total - mean**2, 0).sum(-1))
    far = np.sqrt(np.square(lab - mean).sum(-1)) / np.maximum(spread, _LEAST)
    return np.asarray(np.where(total[..., 0] > 1e-3, far, np.inf), np.float32)
