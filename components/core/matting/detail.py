"""The photo's own resolution: alpha follows its colours, and the person's colours are parted from the background's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_RADIUS = 4
"""Of the guided filter's windows, in pixels of the working size."""
_SMOOTH = 1e-4
"""The guided filter's regularisation, of colours in 0..1."""
_CONTRAST = 1.3
"""A window's colours explain its outline only in part, which draws alpha to the middle."""
_ZONE = 4
"""How far from the decided outline the photo's colours decide, in pixels of the working size."""
_COATED = 10
"""How far beyond that the person's colours go on: where pictures are made smaller, pixels of there are mixed in."""
_VARIED = 1.0
"""How much the variation of two sides' colours makes a mixture of them less sure."""
_STRIP = 1 << 19
"""Pixels worked on at once: a large photo needs no more memory than its result."""


@dataclass(frozen=True)
class Region:
    """Columns x0 to x1, rows y0 to y1 of a photo."""

    x0: int
    y0: int
    x1: int
    y1: int

    def towards(self, box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        """A box of the photo in pixels of this region."""
        return box and (box[0] - self.x0, box[1] - self.y0, box[2] - self.x0, box[3] - self.y0)


def paint(photo: Pixels, small: Pixels, decided: Floats, hair: Floats, alpha: Pixels, foreground: Pixels) -> None:
    """Write the matte of `photo` [H, W, 3] into `alpha` [H, W] and `foreground` [H, W, 3], where it is not the photo.

    `small` [h, w, 3] is the photo at the working size, `decided` [h, w] alpha there, 0..1, `hair` [h, w] where hair may
    be, 0..1.
    """
    rgb = _unit(small)
    slope = _guided(rgb, decided)
    zone = _zone(decided, _ZONE)
    coated = _zone(decided, _ZONE + _COATED) & (decided < 1) | zone
    sides = [_spread(np.dstack([rgb, np.square(rgb).sum(-1)]), _sure(share)) for share in (decided, 1 - decided)]
    maps = np.dstack([decided, zone.astype(np.float32), coated.astype(np.float32), hair])
    height, width = photo.shape[:2]
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = slice(top, min(height, top + rows))
        shape = (strip.stop - top, width)
        at = _Enlarged(shape, top, (width / small.shape[1], height / small.shape[0]))
        _strip(photo[strip], at, slope, maps, sides, alpha[strip], foreground[strip])


def _strip(photo: Pixels, at: _Enlarged, slope: Floats, maps: Floats, sides: list[Floats], alpha: Pixels,
           foreground: Pixels) -> None:
    large = at(maps)
    decided = large[..., 0]
    alpha[:] = (decided * 255 + 0.5).astype(np.uint8)
    work = large[..., 2] > 0
    if not work.any():
        return
    rgb = _unit(photo[work])
    line = at(slope)[work]
    guided = np.clip((np.einsum("nc,nc->n", line[:, :3], rgb) + line[:, 3] - 0.5) * _CONTRAST + 0.5, 0, 1)
    own, behind = at(sides[0])[work], at(sides[1])[work]
    mixed, trust = _mixed(rgb, own, behind)
    guided += large[work, 3] * trust * (mixed - guided)
    zone = large[work, 1]
    # Where the outline is settled the filter's faint remainders must not show.
    exact = zone * guided + (1 - zone) * decided[work]
    exact = np.round(exact * 255) / 255
    alpha[work] = (exact * 255 + 0.5).astype(np.uint8)
    foreground[work] = _parted(rgb, exact[:, None], own[:, :3], behind[:, :3])


def _unit(pixels: Pixels) -> Floats:
    """0..1"""
    return np.asarray(pixels.astype(np.float32) / np.float32(255))


@dataclass(frozen=True)
class _Enlarged:
    """Rows from `top` on of a picture of the working size, enlarged (bilinear) by `factor` (x, y)."""

    shape: tuple[int, int]
    top: int
    factor: tuple[float, float]

    def __call__(self, picture: Floats) -> Floats:
        (x, y), (height, width) = self.factor, self.shape
        back = np.array([[1 / x, 0, 0.5 / x - 0.5], [0, 1 / y, (self.top + 0.5) / y - 0.5]])
        return np.asarray(cv2.warpAffine(picture, back, (width, height), borderMode=cv2.BORDER_REPLICATE,
                                         flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float32)


def _mixed(rgb: Floats, own: Floats, behind: Floats) -> tuple[Floats, Floats]:
    """Alpha [n] of a mixture of two colours, and how far to trust it: as they differ more than each varies.

    `own` and `behind` [n, 4] are mean colours and mean squares.
    """
    across = own[:, :3] - behind[:, :3]
    apart = np.square(across).sum(-1)
    alpha = np.einsum("nc,nc->n", rgb - behind[:, :3], across) / (apart + 1e-6)
    varied = [np.maximum(side[:, 3] - np.square(side[:, :3]).sum(-1), 0) for side in (own, behind)]
    trust = apart / (apart + _VARIED * (varied[0] + varied[1]) + 1e-2)
    return np.asarray(np.clip(alpha, 0, 1), np.float32), np.asarray(np.square(trust), np.float32)


def _parted(rgb: Floats, alpha: Floats, own: Floats, behind: Floats) -> Pixels:
    """The person's share of mixed colours [n, 3]: nearest to `own` and `behind` that mix to `rgb`.

    Forte 2021 ("Approximate fast foreground colour estimation") does this step; here it is least squares.
    """
    rest = rgb - alpha * own - (1 - alpha) * behind
    found = own + alpha * rest / (alpha**2 + (1 - alpha) ** 2)
    return np.asarray(np.clip(found, 0, 1) * 255 + 0.5, np.uint8)


def _guided(rgb: Floats, alpha: Floats) -> Floats:
    """[h, w, 4]: alpha as a line in the colours around (guided filter: He, Sun, Tang 2010), slopes and offset.

    The line is applied to the photo at its own size (He, Sun 2015, "Fast guided filter").
    """
    def mean(values: Floats) -> Floats:
        side = 2 * _RADIUS + 1
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    average, level = mean(rgb), mean(alpha)
    with_alpha = mean(rgb * alpha[..., None]) - average * level[..., None]
    r, g, b = (rgb[..., k] for k in range(3))
    first = mean(np.dstack([r * r, r * g, r * b])) - average[..., :1] * average
    second = mean(np.dstack([g * g, g * b, b * b])) - average[..., (1, 1, 2)] * average[..., (1, 2, 2)]
    rr, rg, rb = (first[..., k] for k in range(3))
    gg, gb, bb = (second[..., k] for k in range(3))
    rr, gg, bb = rr + _SMOOTH, gg + _SMOOTH, bb + _SMOOTH
    # The inverse of the symmetric 3 x 3 covariance by its cofactors.
    c00, c01, c02 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c00 + rg * c01 + rb * c02
    x, y, z = (with_alpha[..., k] for k in range(3))
    slope = np.dstack([c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z])
    slope /= determinant[..., None]
    offset = level - (slope * average).sum(-1)
    return mean(np.dstack([slope, offset]))


def _zone(decided: Floats, radius: int) -> Mask:
    """Pixels no farther than `radius` from one that is neither 0 nor 1, or from another's opposite."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(decided, kernel) - cv2.erode(decided, kernel) > 0)


def _sure(share: Floats) -> Floats:
    """How much a pixel tells of one side's colour, 0..1: all where it and its neighbours are that side's."""
    return np.asarray((cv2.erode(share, np.ones((3, 3), np.uint8)) > 0.98) + 1e-3 * share**2, np.float32)


def _spread(rgb: Floats, weight: Floats) -> Floats:
    """Colours [h, w, 3] of the pixels that have weight, spread over all others: pull and push over a pyramid."""
    sums, weights = [rgb * weight[..., None]], [weight]
    while min(weights[-1].shape) > 2:
        sums.append(np.asarray(cv2.pyrDown(sums[-1]), np.float32))
        weights.append(np.asarray(cv2.pyrDown(weights[-1]), np.float32))
    colour = sums[-1] / (weights[-1][..., None] + 1e-6)
    for total, share in zip(sums[-2::-1], weights[-2::-1], strict=True):
        below = np.asarray(cv2.resize(colour, share.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        colour = (total + 0.01 * below) / (share[..., None] + 0.01)
    return colour
