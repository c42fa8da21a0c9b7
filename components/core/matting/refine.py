"""A person mask, right to a hundredth of the person, to a matte that is right to the pixel.

At a small working size each doubtful pixel is told by the colours around it (`colours`) and by its neighbours (`walk`);
what the photo itself shows decides the rest at its own resolution (`detail`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.landmarks.found import Landmarks
from components.core.matting.colours import log_odds
from components.core.matting.detail import Region, paint
from components.core.matting.walk import random_walk
from components.core.pictures.borders import surroundings
from components.core.pictures.images import Pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Head = tuple[float, float, float, float]
"""A head in pixels of the photo: (x0, y0, x1, y1), hair included as far as it is known."""

_WORKING_SIDE = 512
_MOST_UNKNOWN = 60_000
"""Doubtful pixels that are decided at once; a mask that is doubtful all over is decided at a smaller working size."""
_BAND = 1.6, 4.0, 12.0
"""Half the width of the doubtful band: times the mask's softness, at least, at most; in pixels of the working size."""
_HAIR = 1.8
"""How much wider the band is outside of heads."""
_NEAR = 40.0
"""How far from the outline colours are learned, in pixels of the working size."""
_COLOUR, _MASK = 1.0, 0.75
"""Weights of the colours' and the mask's log odds. Decided on synthetic people (docs/decisions.md)."""
_DOUBT = 2.0
"""Log odds of colour against the mask that make a pixel doubtful, up to `_REACH` bands from the outline."""
_REACH = 3.0, 2.0
"""Within it (gaps between curls, arms and body), beyond it (loose hair, bags)."""
_PLAIN = 121, 6.0, 6.0
"""Side of the square that the background around is looked at in, in pixels of the working size; what its colours may
spread for it to be plain, and how near to their mean its own are (CIELAB as 8 bits)."""
_LEAST_BACKGROUND = 0.01
"""Of that square."""
_PLAIN_REACH = 7.0
"""How far within the outline what has a plain background's colour is doubted, in bands."""
_UNSURE = 0.04
"""A mask of 0 or 1 is wrong at about this rate within the band."""
_CONTRAST = 8.0
"""The walk's outline is softer than the photo's by about this factor."""


@dataclass(frozen=True)
class Matte:
    """A person of a photo [H, W, 3]."""

    alpha: Pixels
    """uint8 [H, W], 255: nothing but the person."""
    foreground: Pixels
    """uint8 RGB [H, W, 3]: the person's own colours, from the outline to a little beyond it without those of the
    background behind; the photo's pixels where alpha is 255 and far from the person."""


def refine(photo: Pixels, mask: Pixels, silhouette: Pixels | None = None, head: Head | None = None) -> Matte:
    """The matte of the person whom `mask` shows roughly, by the colours and edges of the photo.

    `photo` uint8 RGB [H, W, 3]; `mask` uint8 [H, W], soft, 255: person (`Landmarks.mask`). `silhouette` uint8 or bool
    [H, W], not 0: where a pose map has body; what it has beyond the mask is decided by colour. `head` is where to look
    farther out, for hair (`head_of`). Deterministic. Raises `InputError` for arrays of different sizes.
    """
    size = photo.shape[:2]
    for what, array in (("mask", mask), ("silhouette", silhouette)):
        if array is not None and array.shape != size:
            raise InputError(f"the {what} is {array.shape[1]} x {array.shape[0]} pixels, its photo is "
                             f"{size[1]} x {size[0]}", remedy=f"make the {what} from this very photo")
    body = None if silhouette is None else np.where(silhouette > 0, np.uint8(255), np.uint8(0))
    region = _region(mask, body)
    alpha = np.zeros(size, np.uint8)
    foreground = photo.copy()
    if region is None:
        return Matte(alpha, foreground)
    crop = np.s_[region.y0:region.y1, region.x0:region.x1]
    side = _WORKING_SIDE
    while True:
        view = _View.of(photo[crop], mask[crop], None if body is None else body[crop], region.towards(head), side)
        if view.doubtful.sum() <= _MOST_UNKNOWN or side <= 64:
            break
        side //= 2
    paint(photo[crop], view.rgb, _decided(view), view.hair, alpha[crop], foreground[crop])
    return Matte(alpha, foreground)


def matte_of(photo: Pixels, found: Landmarks, iuv: Pixels | None = None) -> Matte:
    """`refine` for what the landmark networks found of a person, in the photo or a smaller copy of it, and if there is
    one, the pose map [H, W, 3] of it."""
    height, width = photo.shape[:2]
    mask, head = found.mask, head_of(found)
    if mask.shape != (height, width):
        x, y = width / mask.shape[1], height / mask.shape[0]
        head = None if head is None else (head[0] * x, head[1] * y, head[2] * x, head[3] * y)
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return refine(photo, mask, None if iuv is None else iuv[..., 0], head)


def head_of(found: Landmarks) -> Head | None:
    """Where the head of the person is, hair included; None where no point of it is in the picture."""
    points = found.body[:11, :2][found.presence[:11] > 0.5] if found.face is None else found.face[:, :2]
    if not len(points):
        return None
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    # The mesh ends at the hair line; eyes to mouth are about a third of a head.
    room = (0.5 if found.face is not None else 1.2) * max(x1 - x0, y1 - y0)
    return float(x0 - room), float(y0 - room), float(x1 + room), float(y1 + room)


def _region(mask: Pixels, body: Pixels | None) -> Region | None:
    """The person's box and room around it to learn the background in; None where there is nobody."""
    shown = mask > 127
    if not shown.any():
        return None
    shown |= mask > 25 if body is None else (mask > 25) | (body > 0)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    room = round(0.1 * max(y1 - y0, x1 - x0)) + 4
    return Region(max(0, int(x0) - room), max(0, int(y0) - room), min(mask.shape[1], int(x1) + room),
                  min(mask.shape[0], int(y1) + room))


@dataclass(frozen=True)
class _View:
    """The region at the working size [h, w]."""

    rgb: Pixels
    mask: Floats
    """0..1"""
    inside: Floats
    """Distance to the mask's outline within it; beyond the picture it goes on."""
    outside: Floats
    person: Mask
    """Surely."""
    background: Mask
    band: float
    """Half the width of what is doubtful."""
    hair: Floats
    """Where hair may be, 0..1."""

    @property
    def doubtful(self) -> Mask:
        return ~(self.person | self.background)

    @staticmethod
    def of(photo: Pixels, mask: Pixels, body: Pixels | None, head: Head | None, side: int) -> _View:
        """`head` in pixels of `photo`, which is the region's."""
        height, width = mask.shape
        scale = min(1.0, side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        rgb = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
        small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        shown = small > 0.5
        inside, outside = _distance(shown), _distance(~shown)
        band = _band(small, shown)
        beyond, hair = np.full(shown.shape, band, np.float32), np.zeros(shown.shape, np.float32)
        if head is not None:
            hair = _hair(head, scale, shown.shape)
            beyond += (_HAIR - 1) * band * hair
        person = (inside > band) & (small > 0.9)
        background = (outside > beyond) & (small < 0.1)
        if body is not None:
            background &= np.asarray(cv2.resize(body, size, interpolation=cv2.INTER_AREA)) < 128
        return _View(rgb, small, inside, outside, person, background, band, hair)


def _hair(head: Head, scale: float, shape: tuple[int, ...]) -> Floats:
    """1 in the box of the head [h, w], fading over a tenth of its height around it."""
    box = np.array(head, np.float32) * scale
    fade = 0.1 * (box[3] - box[1]) + 1
    across, down = (np.clip((np.minimum(at - low, high - at) + fade) / fade, 0, 1) for at, low, high in (
        (np.arange(shape[1]), box[0], box[2]), (np.arange(shape[0]), box[1], box[3])))
    return np.asarray(down[:, None] * across, np.float32)


def _distance(where: Mask) -> Floats:
    """To the nearest pixel that is not `where`; the picture's border is no outline. Far where all are."""
    if where.all():
        return np.full(where.shape, max(where.shape), np.float32)
    return np.asarray(cv2.distanceTransform(where.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _band(mask: Floats, shown: Mask) -> float:
    """Half the width of the doubtful band: a mask is as wrong as it is soft, since its network has few pixels."""
    outline = (shown != np.roll(shown, 1, 0))[1:].sum() + (shown != np.roll(shown, 1, 1))[:, 1:].sum()
    softness = ((mask > 0.1) & (mask < 0.9)).sum() / max(1, outline)
    factor, least, most = _BAND
    return float(np.clip(factor * softness, least, most))


def _decided(view: _View) -> Floats:
    """Alpha at the working size, 0..1."""
    known = view.person.astype(np.float32)
    doubtful = view.doubtful
    if not doubtful.any():
        return known
    if not view.person.any() or not view.background.any():
        return np.where(doubtful, view.mask, known)
    lab = np.asarray(cv2.cvtColor(view.rgb, cv2.COLOR_RGB2LAB), np.float32)
    plain = _plain_behind(lab, view.background)
    within = view.person & (view.inside < np.where(plain, _PLAIN_REACH, _REACH[0]) * view.band)
    beyond = view.background & (view.outside < _REACH[1] * view.band)
    asked = doubtful | within | beyond
    seen = np.zeros(asked.shape, np.float32)
    surely = view.person & (view.inside < _NEAR) & ~(within & plain)
    seen[asked] = log_odds(lab, surely, view.background & (view.outside < _NEAR), asked)
    doubtful |= (within & (seen < -_DOUBT)) | (beyond & (seen > _DOUBT))
    mask = view.mask[doubtful]
    told = _MASK * np.log((mask + _UNSURE) / (1 - mask + _UNSURE))
    prior = np.asarray(1 / (1 + np.exp(-(_COLOUR * seen[doubtful] + told))), np.float32)
    walked = random_walk(lab, known, doubtful, prior)
    return np.asarray(np.clip((walked - 0.5) * _CONTRAST + 0.5, 0, 1), np.float32)


def _plain_behind(lab: Floats, background: Mask) -> Mask:
    """Where the background around is plain and a pixel of [h, w] has its colour: a mask's person there may be a gap
    that it closed, and is none to learn the person's colours from."""
    side, most, near = _PLAIN
    share, spread, apart = surroundings(lab, background.astype(np.float32), side)
    return np.asarray((spread < most) & (apart < near) & (share > _LEAST_BACKGROUND))
