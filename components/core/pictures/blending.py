"""Two views of one surface as one, in one light and without a seam.

Light falls from one side: what another photo or the other half of a face shows, taken as it is or times one factor,
stands out as a patch with an edge. Where both views know a place, their ratio tells the light there, smoothly; and
where one saw the surface edge on, at the rim of what it knows, the other, which saw it fully, is the better witness.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_CELLS = 16
"""Cells along a tile's side in which the light is known: coarser than the features of a face."""
_DARK = 12.0
"""Grey levels added before colours are compared: in the dark ratios say nothing."""
_MOST = 0.7
"""Largest logarithm of a ratio that is light; more is another thing, as hair beside skin."""
_COARSER = 0.05
"""What the coarser scale says beside a cell, in cells."""
_RIM, _INSIDE = 0.5, 0.9
"""Share of a texel's surroundings that were seen at which it lies on the rim, and well inside."""
_LEFT, _RIGHT = (part - 1 for part in HEAD_PARTS)


def blended(own: Pixels, shown: Mask, other: Pixels, other_shown: Mask, light: Floats | float = 0.0,
            rims: bool = True) -> tuple[Pixels, Mask]:
    """Surfaces [K, H, W, 3] seen twice: `own`, and where that shows nothing or only its rim, `other` in its light.

    `shown` [K, H, W] and `other_shown` say where each knows them. `light` [3] is the logarithm of how much brighter the
    first is where nothing of a surface was seen in both. Without `rims` all that the first shows stays. Returns
    colours, 0 where neither knows any, and where one does.
    """
    inside, other_inside = _inside(shown), _inside(other_shown)
    doubt = (1 - inside) * other_inside if rims else np.zeros_like(inside)
    share = np.where(other_shown, shown * (1 - doubt), shown)
    at = share < np.where(other_shown, 1, shown)
    colours = own * shown[..., None]
    if at.any():
        lit = (other[at] + np.float32(_DARK)) * np.exp(_light(own, other, inside * other_inside, light)[at])
        mine = share[at][:, None]
        colours[at] = np.rint(mine * own[at] + (1 - mine) * (lit - np.float32(_DARK))).clip(0, 255)
    return colours, shown | other_shown


def symmetric_heads(texture: Pixels, seen: Mask) -> tuple[Pixels, Mask]:
    """An atlas [24, N, N, 3] and what was seen of it [24, N, N], the halves of whose head complete each other."""
    own, shown = (np.concatenate((tiles[_LEFT], tiles[_RIGHT]), 1)[None] for tiles in (texture, seen))
    colours, known = blended(own, shown, own[:, :, ::-1], shown[:, :, ::-1])
    side = texture.shape[1]
    texture, seen = texture.copy(), seen.copy()
    for tile, columns in ((_LEFT, slice(None, side)), (_RIGHT, slice(side, None))):
        texture[tile], seen[tile] = colours[0, :, columns], known[0, :, columns]
    return texture, seen


def _inside(shown: Mask) -> Floats:
    """How far each place of [K, H, W] lies inside of what was seen: 0 outside and on the rim, to 1."""
    radius = shown.shape[1] // _CELLS
    planes = np.ascontiguousarray(np.moveaxis(shown, 0, -1), np.float32)
    around = cv2.blur(planes, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REPLICATE).reshape(planes.shape)
    return np.asarray(((np.moveaxis(around, -1, 0) - _RIM) / (_INSIDE - _RIM)).clip(0, 1) * shown, np.float32)


def _light(own: Pixels, other: Pixels, weight: Floats, far: Floats | float) -> Floats:
    """Logarithm of how much brighter `own` is than `other` [K, H, W, 3]: known where `weight` [K, H, W] says that both
    are, spread smoothly to where they are not; `far` where nothing is known at all."""
    ours, theirs = (np.log(image.astype(np.float32) + np.float32(_DARK)) for image in (own, other))
    ratio = (ours - theirs).clip(-_MOST, _MOST)
    height, width = weight.shape[1:]
    rows = min(_CELLS, height)
    weighted = np.concatenate((ratio * weight[..., None], weight[..., None]), 3)
    cells = _spread(_sized(weighted, rows, max(1, round(width / height * rows)), cv2.INTER_AREA), far)
    return _sized(cells, height, width, cv2.INTER_CUBIC)


def _spread(weighted: Floats, far: Floats | float) -> Floats:
    """Values times weight, weights as the last channel [K, H, W, C + 1] -> values [K, H, W, C] everywhere: each place
    takes the nearest scale's weighted mean that is not empty (a pull-push pyramid), `far` where there is none."""
    height, width = weighted.shape[1:3]
    if height == width == 1:
        coarse = np.broadcast_to(np.float32(far), weighted[..., :-1].shape)
    else:
        half = _sized(weighted, (height + 1) // 2, (width + 1) // 2, cv2.INTER_AREA)
        coarse = _sized(_spread(half, far), height, width, cv2.INTER_LINEAR)
    return np.asarray((weighted[..., :-1] + _COARSER * coarse) / (weighted[..., -1:] + _COARSER), np.float32)


def _sized(planes: Floats, height: int, width: int, how: int) -> Floats:
    """[K, H, W, C] -> [K, height, width, C]; all planes at once."""
    count, _, _, channels = planes.shape
    together = np.ascontiguousarray(np.moveaxis(planes, 0, 2)).reshape(*planes.shape[1:3], count * channels)
    sized = cv2.resize(together, (width, height), interpolation=how).reshape(height, width, count, channels)
    return np.asarray(np.moveaxis(sized, 2, 0), np.float32)
