"""DensePose maps: read (both channel orders), check, resize, crop, write.

A pose map says of every pixel which of 24 body parts it shows (I, 1..24, background 0) and where in that part's
chart (U, V, 0..255 for [0, 1]). In memory and in everything this project writes the order is (I, U, V). Files in the
wild are RGB = (I, U, V) where Pillow wrote them and RGB = (V, U, I) where OpenCV did.

The parts, left and right being the person's own: 1 the torso's back, 2 its front; 3 right hand, 4 left hand; 5 left
foot, 6 right foot; 7 (right) and 8 the upper legs' backs, 9 (right) and 10 their fronts; 11 (right) and 12 the lower
legs' backs, 13 (right) and 14 their fronts; 15 (left) and 16 the upper arms' fronts, 17 (left) and 18 their backs; 19
(left) and 20 the lower arms' insides, 21 (left) and 22 their outsides; 23 the head's right half, 24 its left half.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.pictures.images import Pixels, stored_size, upright, write_png
from components.core.pictures.pose_file import read_pose_file

Order = Literal["IUV", "VUI"]
_Sums = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Planes = tuple[Pixels, Pixels, Pixels]

PARTS = 24
HAND_PARTS = (3, 4)
ARM_PARTS = tuple(range(15, 23))
HEAD_PARTS = (23, 24)
GARMENT_PARTS = (1, 2, *range(5, 23))
BODY_PARTS = (*HAND_PARTS, *HEAD_PARTS)

# Share of label changes that pass through a pixel in between. At most 0.003 on 21 detector maps at full size, 0.026
# shrunk to a person of 64 px, 0.036 on synthetic maps of 128 to 512 px; at least 0.15 after bilinear, area, bicubic or
# Lanczos resizing by 0.5 to 2, also where only I was interpolated.
_IN_BETWEEN = 0.08
_FEW_CHANGES = 24
_STRAY = 0.02
_ROUNDING = 1
_STAIRS, _ROUNDED = 1.5, 1.0
_FEW_PIXELS = 16


@dataclass(frozen=True)
class IuvMap:
    """A pose map as read: `planes` uint8 [H, W, 3] as (I, U, V), and the channel `order` its file had."""

    planes: Pixels
    order: Order
    turned: bool = False
    """Whether it was made from the photo as stored, and turned with it."""


def read_iuv(path: str | Path, size: tuple[int, int] | None = None, orientation: int = 1) -> IuvMap:
    """Read a pose map from a file that keeps every value, its channel order decided from its content.

    `kinds.POSE_MAPS` lists which kinds. `size` is the (height, width) of the upright photo it
    belongs to, `orientation` how EXIF turns that photo: a map of the size of the photo as stored is turned as well.
    Raises `InputError` naming what was found for: a file of another kind, another size than its photo's, an order in
    doubt or that fits neither, nobody in it, U and V that lost their scale, and I (or U, V) that was interpolated by a
    resize.
    """
    path = Path(path)
    allowed = None if size is None else _sizes(size, orientation)
    pixels = read_pose_file(path, allowed)
    red, green, blue = planes = split_iuv(pixels)
    _check_scale(planes, path)
    order = _decide_order(planes, path)
    check_iuv(planes if order == "IUV" else (blue, green, red), path)
    found = pixels if order == "IUV" else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    if size is None or found.shape[:2] == tuple(size):
        return IuvMap(found, order)
    turned = upright(found, orientation)
    assert turned is not None, "a mirrored size is not allowed"
    return IuvMap(turned, order, turned=True)


def is_pose_map(pixels: Pixels) -> bool:
    """Whether a picture [H, W, 3] is meant as a pose map, right or not: part numbers in one channel, black around."""
    beyond = min(float((pixels[..., channel] > PARTS).mean()) for channel in (0, 2))
    return beyond < _STRAY and float((pixels.max(axis=2) == 0).mean()) > _STRAY


def _sizes(size: tuple[int, int], orientation: int) -> list[tuple[int, int]]:
    """Sizes that a map of a photo may have: the photo's, and that in which it is stored where EXIF only turns it."""
    stored = stored_size(size, orientation)
    # Orientations 5 and 7 mirror too: a map of such a person has left and right exchanged.
    return [size, stored] if stored != size and orientation in (6, 8) else [size]


def write_iuv(path: str | Path, iuv: Pixels) -> None:
    """Write a pose map [H, W, 3] as PNG with RGB = (I, U, V). Raises `InputError` if it is none, `MachineError`."""
    _check_values(_checked_split(iuv, path), path)
    write_png(path, iuv)


def check_iuv(planes: Planes, path: str | Path | None = None) -> None:
    """Raise `InputError` unless the planes I, U and V (`split_iuv`) are a pose map whose labels nobody interpolated."""
    _check_values(planes, path)
    share = in_between_share(planes)
    if share > _IN_BETWEEN:
        raise InputError(f"part labels were interpolated: {share:.0%} of their borders pass through labels in "
                         "between", path=path, remedy="resize pose maps with nearest neighbour, and never as JPEG")


def _checked_split(iuv: Pixels, path: str | Path | None) -> Planes:
    if iuv.dtype != np.uint8 or iuv.ndim != 3 or iuv.shape[2] != 3 or not iuv.size:
        raise InputError(f"a pose map is uint8 [H, W, 3], this is {iuv.dtype} {list(iuv.shape)}", path=path)
    return split_iuv(iuv)


def split_iuv(iuv: Pixels) -> Planes:
    """I, U and V [H, W] of a pose map [H, W, 3], each by itself: who looks at one reads a third of the memory."""
    first, second, third = (np.asarray(plane, np.uint8) for plane in cv2.split(iuv))
    return first, second, third


def _check_values(planes: Planes, path: str | Path | None) -> None:
    largest = int(planes[0].max())
    if largest > PARTS:
        raise InputError(f"part labels reach {largest}, DensePose has 1 to 24", path=path,
                         remedy="write I as it is, without scaling")
    if largest == 0:
        raise InputError("the pose map shows nobody: I is 0 everywhere", path=path,
                         remedy="make it again with a lower detection threshold, or remove the photo")
    spill = _spill(planes)
    if spill:
        raise InputError(f"U or V is not 0 on the background at {spill} pixels, as after a resize with interpolation",
                         path=path, remedy="resize pose maps with nearest neighbour, U and V 0 where I is 0")


def in_between_share(planes: Planes) -> float:
    """Share of a pose map's label changes (along rows and columns) at pixels that lie between both their neighbours.

    Between in all of I, U and V, in I strictly: what interpolation makes of a border. True maps jump from part to part,
    and where a thin part happens to have a label between its neighbours', its U and V hardly ever are. 0 where there
    are too few changes to tell.
    """
    x0, y0, x1, y1 = _box(planes[0]) or (0, 0, 0, 0)
    around = slice(max(0, y0 - 1), y1 + 1), slice(max(0, x0 - 1), x1 + 1)  # beyond, nothing changes
    labels, u, v = planes[0][around].astype(np.int8), planes[1][around], planes[2][around]
    between = changes = 0
    for axis in (0, 1):
        steps = np.diff(labels, axis=axis)
        changes += int(np.count_nonzero(steps))
        after, before = (steps[1:], steps[:-1]) if axis == 0 else (steps[:, 1:], steps[:, :-1])
        # Of one sign, by the highest bit.
        found = np.flatnonzero(((after ^ before) >= 0) & (after != 0) & (before != 0))
        rows, columns = np.divmod(found, max(1, after.shape[1]))
        inside = np.ones(len(found), np.bool_)
        for plane in (u, v):
            first, here, last = (plane[rows + i * (1 - axis), columns + i * axis].astype(np.int16) for i in range(3))
            inside &= here >= np.minimum(first, last) - _ROUNDING
            inside &= here <= np.maximum(first, last) + _ROUNDING
        between += int(np.count_nonzero(inside))
    return between / changes if changes >= _FEW_CHANGES else 0.0


def person_box(iuv: Pixels) -> tuple[int, int, int, int] | None:
    """(x0, y0, x1, y1) around all body parts, ends excluded, or None where there is nobody."""
    return _box(np.ascontiguousarray(iuv[..., 0]))


def _box(labels: Pixels) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(labels.max(axis=1)), np.flatnonzero(labels.max(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def crop_iuv(iuv: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """The part of a pose map inside `box` (x0, y0, x1, y1), background where the box leaves it."""
    x0, y0, x1, y1 = box
    height, width = iuv.shape[:2]
    out = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    top, left, bottom, right = max(y0, 0), max(x0, 0), min(y1, height), min(x1, width)
    if top < bottom and left < right:
        out[top - y0 : bottom - y0, left - x0 : right - x0] = iuv[top:bottom, left:right]
    return out


def resize_iuv(iuv: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a pose map to (height, width): I by the nearest pixel, U and V averaged within that part only.

    Shrinking averages U and V over the pixels of the part inside the new pixel's area (up to 3 x 3 taps), growing
    interpolates between the part's neighbouring pixels; no value ever mixes two parts or a part and the background.
    """
    if size == iuv.shape[:2]:
        return iuv.copy()
    (height, width), (rows, columns) = iuv.shape[:2], size
    packed = _packed(iuv)
    nearest = packed[_centres(rows, height).astype(np.intp)].take(_centres(columns, width).astype(np.intp), axis=1)
    labels = np.asarray(nearest & 0xFF, np.uint32)
    sums = _averaged if height > rows and width > columns else _interpolated
    *charts, weights = sums(packed, labels)
    # A nearest pixel that no tap hit (a part thinner than the taps' spacing) keeps its own U and V.
    missed = weights == 0
    weights[missed] = 1
    out = np.empty((rows, columns, 3), np.uint8)
    out[..., 0] = labels
    for plane, (total, own) in enumerate(zip(charts, _charts(nearest), strict=True), start=1):
        total[missed] = own[missed]
        out[..., plane] = np.rint(total / weights) * (labels > 0)
    return out


def enlarge_iuv(iuv: Pixels, size: tuple[int, int]) -> Pixels:
    """Enlarge a pose map to (height, width): `resize_iuv` with outlines that are curves, not stairs.

    A pixel shows the part that has most of it by a bell of an old pixel's width over the old pixels. Where a side grows
    by less than a half it is `resize_iuv`, whose stairs are a pixel then.
    """
    before = resize_iuv(iuv, size)
    if min(size[0] / iuv.shape[0], size[1] / iuv.shape[1]) < _STAIRS:
        return before
    best, out = np.zeros(size, np.float32), before.copy()
    for part in np.unique(iuv[..., 0]):
        mask = iuv[..., 0] == part
        (rows, down), (columns, across) = (_spline(mask.any(1 - axis), size[axis]) for axis in (0, 1))
        weights = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _ROUNDED)
        share = down @ weights @ across.T
        place, most = out[rows, columns], best[rows, columns]
        won = share > most
        most[won] = share[won]
        place[won, 0] = part
        # Where the part was there before, its U and V are as they were; where it is new, they go on.
        new = won & (before[rows, columns, 0] != part)
        for channel in (1, 2):
            values = cv2.GaussianBlur(iuv[..., channel] * mask.astype(np.float32), (0, 0), _ROUNDED)
            place[new, channel] = np.rint((down @ values @ across.T)[new] / share[new]) if part else 0
    kept = out[..., 0] == before[..., 0]
    out[kept] = before[kept]
    return out


def _spline(used: NDArray[np.bool_], count: int) -> tuple[slice, NDArray[np.float32]]:
    """Which of `count` places along an axis lie around those in use [n], and a quadratic B-spline there: [m, n]."""
    length, around = len(used), 2.5 + 3 * _ROUNDED
    found = np.flatnonzero(used)
    first = max(0, int((found[0] - around) * count / length))
    last = min(count, int((found[-1] + 1 + around) * count / length) + 1)
    apart = np.abs((np.arange(first, last) + 0.5) * (length / count) - 0.5
                   - np.arange(length)[:, None]).T.astype(np.float32)
    return slice(first, last), np.where(apart < 0.5, 0.75 - apart**2, 0.5 * np.maximum(1.5 - apart, 0) ** 2)


def _packed(iuv: Pixels) -> NDArray[np.uint32]:
    """A pose map [H, W, 3] as one number a pixel [H, W]: I in the lowest byte, then U and V. One gather moves all."""
    return np.asarray(cv2.cvtColor(iuv, cv2.COLOR_RGB2RGBA)).view("<u4")[..., 0].astype(np.uint32, copy=False)


def _charts(packed: NDArray[np.uint32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """U and V of packed pixels."""
    return ((packed >> 8) & 0xFF).astype(np.float32), ((packed >> 16) & 0xFF).astype(np.float32)


def _averaged(packed: NDArray[np.uint32], labels: NDArray[np.uint32]) -> _Sums:
    """Sums of U, of V, and counts [h, w] over the taps of each pixel that show its part; for shrinking."""
    total, count = np.zeros_like(labels), np.zeros(labels.shape, np.uint8)
    columns = [x for x, _ in _taps(labels.shape[1], packed.shape[1])]
    for y, _ in _taps(labels.shape[0], packed.shape[0]):
        strip = packed[y]
        for x in columns:
            tap = strip.take(x, axis=1)
            same = (tap & 0xFF) == labels
            # U in the lower half and V in the upper: up to 256 pixels are summed in one addition.
            total += ((tap >> 8 & 0xFF) | (tap & 0xFF0000)) * same
            count += same
    return (total & 0xFFFF).astype(np.float32), (total >> 16).astype(np.float32), count.astype(np.float32)


def _interpolated(packed: NDArray[np.uint32], labels: NDArray[np.uint32]) -> _Sums:
    """Weighted sums of U, of V, and weights [h, w] of the taps of each pixel that show its part."""
    total_u, total_v, weights = (np.zeros(labels.shape, np.float32) for _ in range(3))
    columns = _taps(labels.shape[1], packed.shape[1])
    for y, weight_y in _taps(labels.shape[0], packed.shape[0]):
        strip = packed[y]
        for x, weight_x in columns:
            tap = strip.take(x, axis=1)
            weight = ((tap & 0xFF) == labels) * (weight_y[:, None] * weight_x[None, :])
            u, v = _charts(tap)
            total_u += u * weight
            total_v += v * weight
            weights += weight
    return total_u, total_v, weights


def _centres(count: int, length: int) -> NDArray[np.float64]:
    return (np.arange(count, dtype=np.float64) + 0.5) * (length / count)


def _taps(count: int, length: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Source indices and weights of each tap along one axis, from `length` to `count` pixels."""
    scale = length / count
    if scale > 1:
        number = min(3, int(np.ceil(scale)))
        offsets = (np.arange(number) + 0.5) / number - 0.5
        return [(np.clip(_centres(count, length) + offset * scale, 0, length - 1).astype(np.intp),
                 np.ones(count, np.float32)) for offset in offsets]
    position = _centres(count, length) - 0.5
    low = np.floor(position)
    share = (position - low).astype(np.float32)
    return [(np.clip(low, 0, length - 1).astype(np.intp), 1 - share),
            (np.clip(low + 1, 0, length - 1).astype(np.intp), share)]


def _spill(planes: Planes) -> int:
    """Background pixels whose U or V is not 0."""
    labels, u, v = planes
    return int(np.count_nonzero((labels == 0) & ((u | v) > 0)))


def _check_scale(planes: Planes, path: Path) -> None:
    """Raise `InputError` for U and V that were in 0..1 when they became bytes: nothing of them is left but 0 and 1."""
    peaks = [int(plane.max()) for plane in planes]
    for label, others in ((0, peaks[1:]), (2, peaks[:2])):
        body = planes[label] > 0
        if 1 < peaks[label] <= PARTS and max(others) <= 1 and np.count_nonzero(body) >= _FEW_PIXELS:
            raise InputError(f"U and V reach only {max(others)}: they were in 0..1 and were cast to bytes unscaled",
                             path=path, remedy="make the map again with U and V times 255")


def _decide_order(planes: Planes, path: Path) -> Order:
    """Which end of (R, G, B) is I: the one that stays within 0..24; where both do, the one that behaves as labels."""
    peaks = tuple(int(plane.max()) for plane in planes)
    if peaks == (0, 0, 0):
        raise InputError("the pose map shows nobody: it is black everywhere", path=path,
                         remedy="make it again with a lower detection threshold, or remove the photo")
    fits: list[Order] = []
    if peaks[0] <= PARTS:
        fits.append("IUV")
    if peaks[2] <= PARTS:
        fits.append("VUI")
    if not fits:
        raise InputError(f"neither channel order fits: the channels reach R {peaks[0]}, G {peaks[1]}, B {peaks[2]}, "
                         "and I must be R or B and at most 24", path=path,
                         remedy="save it as RGB = (I, U, V) or (V, U, I) with I 0 to 24, U and V 0 to 255")
    if len(fits) == 1:
        return fits[0]
    # Both ends are small: only true labels cover everything that has U or V, and jump instead of running smoothly.
    views: dict[Order, Planes] = {"IUV": planes, "VUI": (planes[2], planes[1], planes[0])}
    likely = [order for order in fits if views[order][0].any() and not _spill(views[order])
              and in_between_share(views[order]) <= _IN_BETWEEN]
    if len(likely) == 1:
        return likely[0]
    raise InputError(f"the channel order is in doubt: R reaches {peaks[0]} and B {peaks[2]}, either could be I",
                     path=path, remedy="save it as RGB = (I, U, V) with U and V scaled to 0..255")
