"""Several photos of one person as one source: their atlases merged by visibility, and the photo that fits a pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.core.errors import DataError
from components.core.pictures.blending import blended
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS, HEAD_PARTS
from components.core.pictures.texture import splice

Mask = NDArray[np.bool_]

_LEAST_SHARED = 0.25
"""Area, in tiles, that two photos must both show for a comparison of their light."""
_GAINS = (0.6, 1.7)
_LEAST_GARMENTS = 0.02
_GARMENTS = [part - 1 for part in GARMENT_PARTS]
_BARE = np.isin(np.arange(24), [part - 1 for part in BODY_PARTS])[:, None, None]


class Shown(Protocol):
    """A photo of somebody as `preprocess` leaves it: `dataset.Person` or `person.PersonCrop`."""

    @property
    def photo(self) -> Pixels: ...
    @property
    def iuv(self) -> Pixels: ...
    @property
    def matte(self) -> Pixels: ...
    @property
    def texture(self) -> Pixels: ...
    @property
    def seen(self) -> Mask: ...


@dataclass(frozen=True)
class Merged:
    """A source for one target pose."""

    texture: Pixels
    """uint8 [24, N, N, 3]."""
    seen: Mask
    """bool [24, N, N]."""
    view: int
    """Which of the face's photos goes beside the atlas, for hair and outline."""


def merged(face: Sequence[Shown], iuv: Pixels, clothes: Sequence[Shown] | None = None,
           view: int | None = None, rims: bool = False) -> Merged:
    """Head and hands from the photos `face`, clothes from `clothes` (default: the same photos), for the pose `iuv`.

    `face` are photos of one person, in any clothes where `clothes` is given; `clothes` show one outfit. Of the former
    the one with the best view of the head leads, of the latter the first: what it shows stays, the others fill in what
    it does not (`merge`, also for `rims`). Raises `DataError` for atlases of different sizes.
    """
    view = best_view([one.seen for one in face], iuv) if view is None else view
    faces = [face[view], *face[:view], *face[view + 1 :]]
    if clothes is None:
        return Merged(*merge([(one.texture, one.seen) for one in faces], rims), view)
    # Head and hands by themselves: other clothes in another photo say nothing about its light.
    bare = merge([(one.texture, one.seen & _BARE) for one in faces], rims)
    return Merged(*splice(bare, merge([(one.texture, one.seen) for one in clothes], rims)), view)


def merge(atlases: Sequence[tuple[Pixels, Mask]], rims: bool = False) -> tuple[Pixels, Mask]:
    """One atlas of several photos': what the first shows stays, and what it does not the next ones fill in, in order.

    Each is (texture [K, N, N, 3], seen [K, N, N]) of one person and one outfit. Photos differ in their light, so each
    one's colours are brought into that of those already there, as nearby texels tell which both show (`blended`); far
    from them by one factor a channel (within 0.6..1.7; none where less than a quarter of a tile is shared). With
    `rims`, as fine atlases need, what is there already gives way at its rim, seen edge on, to another that shows the
    place fully. Raises `DataError` for different sizes.
    """
    texture, seen = atlases[0][0].copy(), atlases[0][1].copy()
    for more, shown in atlases[1:]:
        if more.shape != texture.shape:
            raise DataError(f"textures of different sizes: {list(texture.shape)} and {list(more.shape)}",
                            remedy="preprocess all with the same preprocess.texel")
        both, light = seen & shown, np.zeros(3, np.float32)
        if both.mean() * len(both) >= _LEAST_SHARED:
            gain = (texture[both].mean(axis=0) + 1) / (more[both].mean(axis=0) + 1)
            light = np.log(gain.clip(*_GAINS)).astype(np.float32)
        texture, seen = blended(texture, seen, more, shown, light, rims)
    return texture, seen


def garments_apart(one: tuple[Pixels, Mask], other: tuple[Pixels, Mask], light: NDArray[np.float64] | float = 1.0
                   ) -> float:
    """How different the clothes of two atlases (texture [24, N, N, 3], seen [24, N, N]) look where both were seen.

    Median over texels of the mean absolute difference in grey levels, after `light` [3], by how much brighter the first
    is than where both meet, and the other darker. NaN where fewer than 2 % of the garments' texels are seen in both.
    """
    both = one[1][_GARMENTS] & other[1][_GARMENTS]
    if both.mean() < _LEAST_GARMENTS:
        return float("nan")
    apart = one[0][_GARMENTS][both] / light - other[0][_GARMENTS][both] * light
    return float(np.median(np.abs(apart).mean(-1)))


def stacked(photos: Sequence[Shown]) -> tuple[Pixels, Pixels, Pixels]:
    """Photos uint8 [B, S, S, 3], mattes [B, S, S] and pose maps [B, S, S, 3] of several."""
    return (np.stack([one.photo for one in photos]), np.stack([one.matte for one in photos]),
            np.stack([one.iuv for one in photos]))


def best_view(seen: Sequence[Mask], iuv: Pixels) -> int:
    """Which of several photos' `seen` masks [24, N, N] covers most of the head that a pose map [H, W, 3] shows.

    The first of equals; where no head shows, the one that covers most of the body.
    """
    head = np.isin(iuv[..., 0], HEAD_PARTS)
    shown = iuv[head] if head.any() else iuv[iuv[..., 0] > 0]
    tile = shown[:, 0].astype(np.intp) - 1
    scale = (seen[0].shape[1] - 1) / 255
    column, row = (np.rint(value * scale).astype(np.intp) for value in (shown[:, 1], 255 - shown[:, 2].astype(int)))
    return int(np.argmax([mask[tile, row, column].sum() for mask in seen]))
