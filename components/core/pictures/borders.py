"""Where the borders of a pose map and the colours of the photo do not agree: pixels whose part of the body is wrong.

A body fitted to landmarks has its arms right to a hundredth of the person, so that a strip of skin lies on the side of
the shirt and a strip of the shirt on the arm, and its shoulders reach up into hair that hangs down before them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS, person_box

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_TORSO, _RIGHT_ARM, _LEFT_ARM, _LEGS, _HAIR = range(1, 6)
_LIMBS = {_TORSO: (1, 2), _RIGHT_ARM: (3, 16, 18, 20, 22), _LEFT_ARM: (4, 15, 17, 19, 21), _LEGS: tuple(range(5, 15))}
_BESIDE_ARMS = ((_TORSO, _RIGHT_ARM), (_RIGHT_ARM, _TORSO), (_TORSO, _LEFT_ARM), (_LEFT_ARM, _TORSO))
"""A hem that hangs over the legs is in its place, and sleeves beside trousers are as often alike as not."""
_SIDE = 384
_REACH = 0.035
"""How far from the border pixels are doubted, as a share of the person's longer side with some room around."""
_ROOM = 0.1
_LIKE, _UNLIKE = 1.5, 3.0
"""Spreads of the colours around from which a colour is theirs, and is not."""
_HARDLY = 1.5
"""How many times nearer to the other's colours those beside such pixels have to be."""
_AROUND = 0.6
"""How far from such pixels that is, as a share of the reach."""
_ROUNDS = 2
_LEAST = 3.0
"""Spread of colours below which they are not taken to be more even (CIELAB as 8 bits)."""
_LEAST_SHARE = 1e-3
"""Of the surroundings that have to be a limb for its colours to be known there."""
_HAIR_REACH = 0.6
"""How far from the head hair is looked for, in sides of a square of the head's area."""
_SURE = 200


def misplaced(photo: Pixels, iuv: Pixels) -> Mask:
    """Pixels of a photo [H, W, 3] near a border of arm and torso in its pose map [H, W, 3] that have the colours of the
    other side, and not those of their own: bool [H, W]."""
    view = _View.of(photo, iuv)
    return view.back(_strangers(view.rgb, _limbs(view.labels), _BESIDE_ARMS))


def hair_on_torso(photo: Pixels, iuv: Pixels, mask: Pixels) -> Mask:
    """Pixels of a photo [H, W, 3] that its pose map [H, W, 3] gives to the torso and that have the colours of the hair
    beside it: bool [H, W]. Hair is what `mask` [H, W] (255: person) has beyond the pose map near the head."""
    view = _View.of(photo, iuv)
    head = np.isin(view.labels, HEAD_PARTS)
    if not head.any():
        return np.zeros(photo.shape[:2], np.bool_)
    person = view.reduced(mask) > _SURE
    limbs = _limbs(view.labels)
    limbs[limbs != _TORSO] = 0
    limbs[(view.labels == 0) & person & (_distance(head) < _HAIR_REACH * np.sqrt(head.sum()))] = _HAIR
    return view.back(_strangers(view.rgb, limbs, [(_TORSO, _HAIR)]))


@dataclass(frozen=True)
class _View:
    """The surroundings of the person of a pose map [H, W, 3], at the side that is worked at."""

    rgb: Pixels
    """[h, w, 3]"""
    labels: Pixels
    """[h, w]"""
    part: tuple[slice, slice]
    """Rows and columns of the photo."""
    whole: tuple[int, int]
    """(H, W)"""

    @staticmethod
    def of(photo: Pixels, iuv: Pixels) -> _View:
        height, width = photo.shape[:2]
        x0, y0, x1, y1 = person_box(iuv) or (0, 0, width, height)
        room = round(_ROOM * max(x1 - x0, y1 - y0)) + 1
        part = (slice(max(0, y0 - room), min(height, y1 + room)), slice(max(0, x0 - room), min(width, x1 + room)))
        cut = photo[part]
        scale = min(1.0, _SIDE / max(cut.shape[:2]))
        size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
        return _View(np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8),
                     np.asarray(cv2.resize(iuv[part][..., 0], size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8),
                     part, (height, width))

    def reduced(self, plane: Pixels) -> Pixels:
        """The same of another plane [H, W]."""
        size = self.labels.shape[::-1]
        return np.asarray(cv2.resize(plane[self.part], size, interpolation=cv2.INTER_AREA), np.uint8)

    def back(self, mask: Mask) -> Mask:
        """[h, w] as [H, W], a pixel of the view wider where that has fewer."""
        found = np.zeros(self.whole, np.bool_)
        here = found[self.part]
        if here.shape != mask.shape:
            grown = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
            mask = cv2.resize(grown, here.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0
        here[:] = mask
        return found


def _strangers(rgb: Pixels, limbs: Pixels, pairs: Iterable[tuple[int, int]]) -> Mask:
    """Pixels of the first of a pair of `limbs` [h, w], near the second, that look like the second."""
    lab = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)
    reach = max(2, round(_REACH * max(limbs.shape)))
    there = set(np.unique(limbs).tolist())
    pairs = [pair for pair in pairs if there >= set(pair)]
    numbers = sorted({number for pair in pairs for number in pair})
    near = {number: _distance(limbs == number) < reach for number in numbers}
    wrong = np.zeros(limbs.shape, np.bool_)
    for _ in range(_ROUNDS):  # what was found is not learned from again
        apart = {number: _apart(lab, (limbs == number) & ~wrong, (limbs > 0) & (limbs != number), reach)
                 for number in numbers}
        for one, other in pairs:
            here = (limbs == one) & near[other]
            surely = here & (apart[one] > _UNLIKE) & (apart[other] < _LIKE)
            around = here & (apart[one] > _HARDLY * apart[other]) & (_distance(surely) < _AROUND * reach)
            wrong |= _touching(around, surely)
    return wrong


def _apart(lab: Floats, mine: Mask, others: Mask, reach: int) -> Floats:
    """How many spreads each colour [h, w, 3] is away from those of `mine` around it, which count more the farther they
    are from `others`: [h, w]."""
    weight = (mine * np.square(np.clip(_distance(others) / reach, 0, 1))).astype(np.float32)
    share, spread, far = surroundings(lab, weight, 4 * reach + 1)
    return np.where(share > _LEAST_SHARE, far / np.maximum(spread, _LEAST), np.float32(np.inf))


def surroundings(lab: Floats, weight: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """The colours of what `weight` [h, w] marks in a square of that side around each pixel of [h, w, 3]: its share of
    the square, how far its colours spread, and how far the pixel's is from their mean; [h, w] each."""
    def around(plane: Floats) -> Floats:
        return np.asarray(cv2.blur(plane, (side, side)), np.float32)

    share = np.maximum(around(weight), 1e-6)
    mean = around(lab * weight[..., None]) / share[..., None]
    spread = np.sqrt(np.maximum(around(lab**2 * weight[..., None]) / share[..., None] - mean**2, 0).sum(-1))
    return share, np.asarray(spread, np.float32), np.asarray(np.sqrt(np.square(lab - mean).sum(-1)), np.float32)


def _touching(mask: Mask, seeds: Mask) -> Mask:
    """The pieces of `mask` [h, w] that hold one of `seeds`."""
    _, pieces = cv2.connectedComponents((mask | seeds).astype(np.uint8))
    return np.isin(pieces, np.unique(pieces[seeds])) & (pieces > 0)


def _distance(where: Mask) -> Floats:
    """To the nearest pixel of `where` [h, w]; far where there is none."""
    if not where.any():
        return np.full(where.shape, 4 * max(where.shape), np.float32)
    return np.asarray(cv2.distanceTransform((~where).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _limbs(labels: Pixels) -> Pixels:
    """Which limb each label [h, w] belongs to; 0: none."""
    table = np.zeros(256, np.uint8)
    for number, parts in _LIMBS.items():
        table[list(parts)] = number
    return np.asarray(table[labels])
