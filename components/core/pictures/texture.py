"""The texture atlas: a person's appearance on the 24 DensePose charts.

In memory uint8 [24, N, N, 3] with a mask of the texels that a photo showed, bool [24, N, N]; tile k is part k + 1,
row y = (1 - V)(N - 1), column x = U(N - 1). As a picture: 4 columns x 6 rows of tiles, filled column by column.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import DataError
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS, PARTS

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Kind = TypeVar("Kind", bound=np.generic)

MIRROR: dict[int, tuple[int, bool, bool]] = {
    1: (1, False, True), 2: (2, False, True), 3: (4, True, False), 4: (3, True, False),
    5: (6, True, False), 6: (5, True, False), 23: (24, True, False), 24: (23, True, False),
    **{part: (part + 1, False, False) for part in range(7, 23, 2)},
    **{part: (part - 1, False, False) for part in range(8, 23, 2)},
}
"""Part -> (its left-right mirror image, whether U flips, whether V flips): how a symmetric body maps to itself."""

_RELATIVES: dict[int, tuple[int, ...]] = {
    1: (2,), 2: (1,), 3: (23, 24), 4: (23, 24), 5: (12, 14), 6: (11, 13),
    7: (9,), 8: (10,), 9: (7,), 10: (8,), 11: (13, 7), 12: (14, 8), 13: (11, 9), 14: (12, 10),
    15: (17, 2, 1), 16: (18, 2, 1), 17: (15, 1, 2), 18: (16, 1, 2), 19: (21, 15), 20: (22, 16), 21: (19, 17),
    22: (20, 18), 23: (), 24: (),
}
"""Whose mean colour stands in for a part of which neither side was seen: the part's other face, then its neighbour."""

SEEN, MIRRORED, PAINTED = 255, 128, 64
"""Where a completed texel comes from: the photo, the photo's mirrored side, or nowhere (spread from its neighbours)."""

_GRID = (4, 6)
_MAX_SUBDIVISION = 4
_PACK = float(2**26)
_STEP_SIDE = 256
"""A chart of 256 steps over a picture of this side has about one step a pixel; in larger ones the steps show."""
_FLAT = 1e-3


def unwrap(photo: Pixels, iuv: Pixels, texel: int, mask: Mask | None = None,
           charts: Floats | None = None) -> tuple[Pixels, Mask]:
    """The texture that a photo [H, W, 3] shows on its pose map [H, W, 3]; `mask` [H, W] leaves pixels out where false.

    `charts` [H, W, 3] is the pose map with U and V in fractions (`smooth_charts`), where texels are smaller than the
    steps of its bytes in the photo.

    A texel is the mean of the photo inside it. Where neighbouring pixels of a part lie more than a texel apart, the
    photo between them is interpolated, and single missing texels between seen ones are filled from their
    neighbours, so that the seen area has no holes at any N and is never larger than what the photo covers.
    Returns texture uint8 [24, N, N, 3] (0 where unseen) and seen bool [24, N, N].
    """
    labels = iuv[..., 0] if mask is None else iuv[..., 0] * mask
    around = _around(labels)
    labels, iuv, photo = labels[around], iuv[around], photo[around]
    places: Pixels | Floats = iuv if charts is None else charts[around]
    if charts is None:
        total = _accumulated(labels, iuv, photo, texel)
    else:
        body = labels > 0
        total = np.zeros((PARTS * texel * texel, 4))
        _accumulate(total, labels[body], *_texel_positions(places[body], texel), photo[body].astype(np.float32), texel)
    steps = _subdivision(labels, places, texel)
    if steps > 1:
        _accumulate_between(total, labels, *_texel_positions(places, texel), photo, texel, steps)
    tiles = total.reshape(PARTS, texel, texel, 4)
    seen = tiles[..., 3] > 0
    colour = np.empty(tiles.shape, np.float32)  # and a fourth channel, 1 where seen
    np.divide(tiles, np.maximum(tiles[..., 3:], 1e-9), out=colour)
    gaps = _closed(seen) & ~seen
    if gaps.any():
        sums = _box_sums(colour, gaps)
        colour[gaps] = sums / np.maximum(sums[:, 3:], 1)
        seen = seen | gaps
    return np.rint(colour[..., :3]).astype(np.uint8), seen


def sample(texture: Pixels, iuv: Pixels | Floats, seen: Mask | None = None) -> tuple[Pixels, Mask]:
    """Paint a texture [24, N, N, 3] on a pose map [H, W, 3]: bilinear between seen texels, unseen ones weigh nothing.
    The map's U and V may have fractions (`smooth_charts`).

    Returns image uint8 [H, W, 3] (0 where invalid) and valid bool [H, W]: body pixels with a seen texel beside them.
    """
    size = texture.shape[1]
    body = iuv[..., 0] > 0
    rows = iuv[body]
    x, y = _texel_positions(rows, size)
    tile = (rows[:, 0].astype(np.intp) - 1) * size * size
    flat = texture.reshape(-1, 3)
    flat_seen = None if seen is None else seen.reshape(-1)
    x0, y0 = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, size - 1), np.minimum(y0 + 1, size - 1)
    share_x, share_y = x - x0, y - y0
    total = np.zeros((len(rows), 3), np.float32)
    weights = np.zeros(len(rows), np.float32)
    for row, column, weight in ((y0, x0, (1 - share_y) * (1 - share_x)), (y0, x1, (1 - share_y) * share_x),
                                (y1, x0, share_y * (1 - share_x)), (y1, x1, share_y * share_x)):
        index = tile + row * size + column
        if flat_seen is not None:
            weight = weight * flat_seen[index]
        total += flat[index] * weight[:, None]
        weights += weight
    found = weights > 1e-4
    image = np.zeros((*body.shape, 3), np.uint8)
    valid = np.zeros(body.shape, np.bool_)
    valid[body] = found
    image[valid] = np.rint(total[found] / weights[found, None])
    return image, valid


def splice(face_from: tuple[Pixels, Mask], clothes_from: tuple[Pixels, Mask]) -> tuple[Pixels, Mask]:
    """One person's head and hands (BODY_PARTS) in another's clothes (GARMENT_PARTS): (texture, seen) of both."""
    texture, seen = clothes_from[0].copy(), clothes_from[1].copy()
    if texture.shape != face_from[0].shape:
        raise DataError(f"textures of different sizes: {list(face_from[0].shape)} and {list(texture.shape)}",
                        remedy="preprocess both with the same preprocess.texel")
    tiles = [part - 1 for part in BODY_PARTS]
    texture[tiles], seen[tiles] = face_from[0][tiles], face_from[1][tiles]
    return texture, seen


def mirror(tiles: NDArray[Kind]) -> NDArray[Kind]:
    """The left-right mirror image of an atlas or mask [24, N, N, ...]: every tile from its opposite part."""
    out = np.empty_like(tiles)
    for part, (other, flip_u, flip_v) in MIRROR.items():
        tile = tiles[other - 1]
        tile = tile[:, ::-1] if flip_u else tile
        out[part - 1] = tile[::-1] if flip_v else tile
    return out


def complete(texture: Pixels, seen: Mask) -> tuple[Pixels, Pixels]:
    """Fill the unseen texels: from the mirrored part (left-right symmetry), then outward from the part's seen texels.

    A part of which neither side was seen takes the mean colour of its nearest relative. Seen texels stay as they
    are. Returns the texture uint8 [24, N, N, 3] and what each texel is, uint8 [24, N, N]: SEEN is evidence, MIRRORED a
    guess about a symmetric body, PAINTED says nothing about the person.
    """
    mirrored = mirror(seen)
    take = mirrored & ~seen
    colour = np.where(take[..., None], mirror(texture), texture).astype(np.float32)
    known = seen | take
    means = {part: colour[part - 1][known[part - 1]].mean(axis=0) for part in range(1, PARTS + 1)
             if known[part - 1].any()}
    overall = np.mean([means[part] for part in sorted(means)], axis=0) if means else np.full(3, 128.0)
    for part in range(1, PARTS + 1):
        tile = part - 1
        if part in means:
            colour[tile] = _spread(colour[tile], known[tile])
        else:
            relatives = [means[other] for other in _RELATIVES[part] if other in means]
            garment = [means[other] for other in GARMENT_PARTS if other in means]
            fallback = relatives[0] if relatives else np.mean(garment, axis=0) if garment else overall
            colour[tile] = fallback
    origin = np.where(seen, np.uint8(SEEN), np.where(take, np.uint8(MIRRORED), np.uint8(PAINTED)))
    return np.where(seen[..., None], texture, np.rint(colour).astype(np.uint8)), origin


def to_picture(tiles: Pixels) -> Pixels:
    """Atlas [24, N, N, 3] or mask [24, N, N] as one picture [6N, 4N, 3] or [6N, 4N]."""
    columns, rows = _GRID
    size = tiles.shape[1]
    grid = tiles.reshape(columns, rows, size, size, *tiles.shape[3:])
    return np.ascontiguousarray(np.moveaxis(grid, (1, 2, 0, 3), (0, 1, 2, 3)).reshape(
        rows * size, columns * size, *tiles.shape[3:]))


def from_picture(picture: Pixels, texel: int) -> Pixels:
    """The atlas [24, N, N, 3] (or mask [24, N, N]) of a picture that `to_picture` made. Raises `DataError`."""
    columns, rows = _GRID
    if picture.shape[:2] != (rows * texel, columns * texel):
        raise DataError(f"a texture picture with tiles of {texel} is {rows * texel} x {columns * texel}, "
                        f"this is {picture.shape[0]} x {picture.shape[1]}")
    grid = picture.reshape(rows, texel, columns, texel, *picture.shape[2:])
    return np.ascontiguousarray(np.moveaxis(grid, (2, 0, 1, 3), (0, 1, 2, 3)).reshape(
        PARTS, texel, texel, *picture.shape[2:]))


def smooth_charts(iuv: Pixels, side: int | None = None) -> Floats:
    """A pose map [H, W, 3] whose U and V run smoothly, in fractions of their 256 steps: float32 [H, W, 3].

    In a large picture a step is several pixels wide, and texture looked up by it is a mosaic. Each pixel takes the
    value there of the plane fitted to the pixels of its part around it, so that nothing is drawn inwards at an edge.
    `side` is that of the whole picture, where this is a piece of it.
    """
    out = iuv.astype(np.float32)
    radius = round((side or iuv.shape[0]) / _STEP_SIDE)
    if radius < 1:
        return out
    for part in range(1, PARTS + 1):
        mask = iuv[..., 0] == part
        found = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(found[0]):
            continue
        here = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in found)
        for channel in (1, 2):
            out[here][..., channel] = _planes(out[here][..., channel], mask[here], radius)
    return out


def _planes(values: Floats, mask: Mask, radius: int) -> Floats:
    """At each pixel of `mask` the value of the least-squares plane through those of `mask` within `radius`."""
    height, width = values.shape
    y, x = np.meshgrid(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64), indexing="ij")
    weight = mask.astype(np.float64)

    def mean(what: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.boxFilter(what * weight, cv2.CV_64F, (2 * radius + 1,) * 2,
                                        borderType=cv2.BORDER_CONSTANT)) / share

    share = np.ones_like(weight)
    share = np.maximum(mean(np.ones_like(weight)), 1e-9)
    own = values.astype(np.float64)
    mx, my, mv = mean(x), mean(y), mean(own)
    xx, yy, xy = mean(x * x) - mx * mx + _FLAT, mean(y * y) - my * my + _FLAT, mean(x * y) - mx * my
    xv, yv = mean(x * own) - mx * mv, mean(y * own) - my * mv
    area = np.maximum(xx * yy - xy * xy, _FLAT * _FLAT / 2)
    fitted = mv + ((xv * yy - yv * xy) * (x - mx) + (yv * xx - xv * xy) * (y - my)) / area
    # Charts may jump inside a part: never farther than a few steps from what was there.
    fitted = np.where(np.abs(fitted - own) < 3, fitted, own)
    return np.where(mask, fitted.clip(0, 255), values).astype(np.float32)


def _around(labels: Pixels) -> tuple[slice, slice]:
    """The rows and columns that hold the body."""
    found = [np.flatnonzero((labels > 0).any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(int(one[0]), int(one[-1]) + 1) if len(one) else slice(0, 0) for one in found)
    return rows, columns


def _texel_positions(iuv: Pixels | Floats, texel: int) -> tuple[Floats, Floats]:
    """Column and row inside the tile, as fractions, of every pixel [..., 3]."""
    scale = np.float32((texel - 1) / 255)
    return iuv[..., 1] * scale, (255 - iuv[..., 2].astype(np.float32)) * scale


def _accumulated(labels: Pixels, iuv: Pixels, photo: Pixels, texel: int) -> NDArray[np.float64]:
    """Sums of colour and count [24 N N, 4] over the pixels of the body that fall in each texel."""
    body = np.flatnonzero(labels > 0)
    values = np.arange(256, dtype=np.uint8)
    x, y = _texel_positions(np.stack([values] * 3, axis=1), texel)
    column, row = (x + 0.5).astype(np.intp), (y + 0.5).astype(np.intp) * texel
    tile = (values.astype(np.intp) - 1) * (texel * texel)
    part, u, v = iuv.reshape(-1, 3).take(body, axis=0).T
    index = tile.take(part) + row.take(v) + column.take(u)
    red, green, blue = photo.reshape(-1, 3).take(body, axis=0).T.astype(np.float64, order="C")
    # Two sums in one number: whole ones of 26 bits each are exact in float64 (2^18 pixels of 255 in one texel).
    size = PARTS * texel * texel
    total = np.empty((size, 4))
    for at, packed in ((0, red + _PACK * green), (2, blue + _PACK)):
        sums = np.bincount(index, packed, size)
        total[:, at + 1] = np.floor(sums / _PACK)
        total[:, at] = sums - _PACK * total[:, at + 1]
    return total


def _accumulate(total: NDArray[np.float64], labels: Pixels, x: Floats, y: Floats, colours: Floats,
                texel: int) -> None:
    """Add points of the body [n], colour and count, to the texels they fall in."""
    tile = (labels.astype(np.intp) - 1) * (texel * texel)
    index = tile + (y + 0.5).astype(np.intp) * texel + (x + 0.5).astype(np.intp)
    for channel in range(3):
        total[:, channel] += np.bincount(index, colours[:, channel], len(total))
    total[:, 3] += np.bincount(index, minlength=len(total))


def _subdivision(labels: Pixels, iuv: Pixels | Floats, texel: int) -> int:
    """Into how many steps to divide a pixel so that most neighbours of a part are at most a texel apart."""
    distances = []
    for along in ((slice(None), slice(None, None, 4)), (slice(None, None, 4), slice(None))):
        # Every fourth column and every fourth row are enough to tell.
        axis = 0 if along[0] == slice(None) else 1
        part, (u, v) = labels[along], _texel_positions(iuv[along], texel)
        same = (_after(part, axis) == _before(part, axis)) & (_before(part, axis) > 0)
        distances.append(np.maximum(np.abs(np.diff(u, axis=axis)), np.abs(np.diff(v, axis=axis)))[same])
    steps = np.concatenate(distances)
    return int(np.clip(np.ceil(np.quantile(steps, 0.9)), 1, _MAX_SUBDIVISION)) if len(steps) else 1


def _accumulate_between(total: NDArray[np.float64], labels: Pixels, x: Floats, y: Floats, photo: Pixels, texel: int,
                        steps: int) -> None:
    """Add points interpolated inside each 2 x 2 block of pixels of one part whose texels are near each other."""
    corners = [(slice(dy, labels.shape[0] - 1 + dy), slice(dx, labels.shape[1] - 1 + dx))
               for dy in (0, 1) for dx in (0, 1)]
    block = labels[corners[0]]
    whole = block > 0
    for corner in corners[1:]:
        whole &= labels[corner] == block
    reach = 2.0 * _MAX_SUBDIVISION
    for values in (x, y):
        stack = np.stack([values[corner] for corner in corners])
        whole &= stack.max(axis=0) - stack.min(axis=0) <= reach
    part = block[whole]
    points = [np.concatenate([x[corner][whole][:, None], y[corner][whole][:, None], photo[corner][whole]], axis=1,
                             dtype=np.float32) for corner in corners]
    for row in range(steps):
        for column in range(steps):
            if row == column == 0:
                continue
            a, b = np.float32(row / steps), np.float32(column / steps)
            mixed = (points[0] * ((1 - a) * (1 - b)) + points[1] * ((1 - a) * b)
                     + points[2] * (a * (1 - b)) + points[3] * (a * b))
            _accumulate(total, part, mixed[:, 0], mixed[:, 1], mixed[:, 2:], texel)


def _after(values: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    return values[1:] if axis == 0 else values[:, 1:]


def _before(values: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    return values[:-1] if axis == 0 else values[:, :-1]


def _box_sums(tiles: Floats, at: Mask) -> Floats:
    """Sums [n, C] over the 3 x 3 neighbourhoods, inside their tiles, of the texels `at` [24, N, N]; tiles [.., C]."""
    padded = np.pad(tiles, ((0, 0), (1, 1), (1, 1), (0, 0)))
    width = padded.shape[2]
    first = np.flatnonzero(np.pad(at, ((0, 0), (0, 2), (0, 2))))  # the neighbourhoods' first texels
    flat = padded.reshape(-1, tiles.shape[3])
    sums = np.zeros((len(first), tiles.shape[3]), np.float32)
    for column in range(3):
        sums += sum(flat.take(first + row * width + column, axis=0) for row in range(3))
    return sums


def _closed(seen: Mask) -> Mask:
    """Morphological closing with a 3 x 3 square: fills holes and slits, leaves the outline where it is."""
    padded = np.pad(seen, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
    dilated = rows[:, :, :-2] | rows[:, :, 1:-1] | rows[:, :, 2:]
    padded = np.pad(dilated, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    rows = padded[:, :-2] & padded[:, 1:-1] & padded[:, 2:]
    return np.asarray(rows[:, :, :-2] & rows[:, :, 1:-1] & rows[:, :, 2:])


def _spread(tile: Floats, known: Mask) -> Floats:
    """Fill a tile [N, N, 3] from its known texels: means over ever coarser cells, the finest that has any wins."""
    if known.all():
        return tile
    size = tile.shape[0]
    weight = known.astype(np.float32)[..., None]
    filled, coarse_colour, coarse_weight = tile * weight, tile * weight, weight
    done = weight > 0
    cell = 1
    while not done.all():
        cell *= 2
        coarse_colour, coarse_weight = _halve(coarse_colour), _halve(coarse_weight)
        mean = coarse_colour / np.maximum(coarse_weight, 1e-6)
        up = np.repeat(np.repeat(mean, cell, axis=0), cell, axis=1)[:size, :size]
        has = np.repeat(np.repeat(coarse_weight > 0, cell, axis=0), cell, axis=1)[:size, :size]
        filled = np.where(done, filled, np.where(has, up, 0))
        done = done | has
    return _smoothed(np.asarray(filled, np.float32), known)


def _halve(values: Floats) -> Floats:
    """Sum over 2 x 2 cells; an odd last row or column stands alone."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    return np.asarray(padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2], np.float32)


def _smoothed(tile: Floats, known: Mask) -> Floats:
    """Blur the painted texels so that the cells do not show; known ones stay."""
    for _ in range(4):
        padded = np.pad(tile, ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = padded[:-2] + padded[1:-1] + padded[2:]
        blurred = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
        tile = np.asarray(np.where(known[..., None], tile, blurred), np.float32)
    return tile
