"""DensePose maps: read (both channel orders), check, resize, crop, write.

A pose map says of every pixel which of 24 body parts it shows (I, 1..24, background 0) and where in that part's
chart (U, V, 0..255 for [0, 1]). In memory and in everything this project writes the order is (I, U, V). Files in the
wild are RGB = (I, U, V) where Pillow wrote them and RGB = (V, U, I) where OpenCV did.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.images import Pixels, open_image, write_png

Order = Literal["IUV", "VUI"]

PART_NAMES: dict[int, str] = {
    1: "torso back", 2: "torso front", 3: "right hand", 4: "left hand", 5: "left foot", 6: "right foot",
    7: "right upper leg back", 8: "left upper leg back", 9: "right upper leg front", 10: "left upper leg front",
    11: "right lower leg back", 12: "left lower leg back", 13: "right lower leg front", 14: "left lower leg front",
    15: "left upper arm front", 16: "right upper arm front", 17: "left upper arm back", 18: "right upper arm back",
    19: "left lower arm inner", 20: "right lower arm inner", 21: "left lower arm outer", 22: "right lower arm outer",
    23: "head right half", 24: "head left half",
}
"""Part number to name; left and right are the person's own."""

PARTS = 24
HEAD_PARTS = (23, 24)
GARMENT_PARTS = (1, 2, *range(5, 23))
BODY_PARTS = (3, 4, 23, 24)

_MAX_MEGAPIXELS = 200.0
# Share of label changes that pass through a label in between. On 21 detector maps: at most 0.012 at full size and
# 0.081 shrunk (nearest) to a person of 64 px; at least 0.145 after bilinear, area or bicubic resizing by 0.25 to 3.
_IN_BETWEEN = 0.11
_FEW_CHANGES = 24


@dataclass(frozen=True)
class IuvMap:
    """A pose map as read: `planes` uint8 [H, W, 3] as (I, U, V), and the channel `order` its file had."""

    planes: Pixels
    order: Order


def read_iuv(path: str | Path, size: tuple[int, int] | None = None) -> IuvMap:
    """Read a pose map from an 8-bit RGB PNG, its channel order decided from its content.

    `size` is the (height, width) of the photo it belongs to. Raises `InputError` naming what was found for: a file
    that is no 8-bit RGB PNG (alpha, palette, greyscale, 16 bit, JPEG), another size than its photo's, an order in
    doubt or that fits neither, nobody in it, and I (or U, V) that was interpolated by a resize.
    """
    path = Path(path)
    pixels = _read_rgb_png(path)
    height, width = pixels.shape[:2]
    if size is not None and (height, width) != tuple(size):
        raise InputError(f"the pose map is {width} x {height} pixels, its photo is {size[1]} x {size[0]}", path=path,
                         remedy="make the pose map from this very photo, or resize it with nearest neighbour")
    order = _decide_order(pixels, path)
    planes = pixels if order == "IUV" else np.ascontiguousarray(pixels[..., ::-1])
    check_iuv(planes, path=path)
    return IuvMap(planes, order)


def write_iuv(path: str | Path, iuv: Pixels) -> None:
    """Write a pose map [H, W, 3] as PNG with RGB = (I, U, V). Raises `InputError` if it is none, `MachineError`."""
    _check_values(iuv, path)
    write_png(path, iuv)


def check_iuv(iuv: Pixels, path: str | Path | None = None) -> None:
    """Raise `InputError` unless `iuv` is uint8 [H, W, 3] as (I, U, V) with labels that nobody interpolated."""
    _check_values(iuv, path)
    share = in_between_share(iuv[..., 0])
    if share > _IN_BETWEEN:
        raise InputError(f"I was interpolated: {share:.0%} of its borders pass through labels in between", path=path,
                         remedy="resize pose maps with nearest neighbour, and never as JPEG")


def _check_values(iuv: Pixels, path: str | Path | None) -> None:
    if iuv.dtype != np.uint8 or iuv.ndim != 3 or iuv.shape[2] != 3:
        raise InputError(f"a pose map is uint8 [H, W, 3], this is {iuv.dtype} {list(iuv.shape)}", path=path)
    labels = iuv[..., 0]
    if labels.size == 0 or labels.max() > PARTS:
        raise InputError(f"part labels reach {labels.max() if labels.size else 'nothing'}, DensePose has 1 to 24",
                         path=path, remedy="write I as it is, without scaling")
    if labels.max() == 0:
        raise InputError("the pose map shows nobody: I is 0 everywhere", path=path,
                         remedy="make it again with a lower detection threshold, or remove the photo")
    spill = _spill(iuv)
    if spill:
        raise InputError(f"U or V is not 0 on the background at {spill} pixels, as after a resize with interpolation",
                         path=path, remedy="resize pose maps with nearest neighbour, U and V 0 where I is 0")


def in_between_share(labels: Pixels) -> float:
    """Share of a label map's changes (along rows and columns) at pixels whose label lies strictly between both sides.

    True maps jump from part to part (at most 0.012 on detector maps at full size); interpolation leaves ramps
    (0.145 and more). 0 where there are too few changes to tell.
    """
    between = changes = 0
    signed = labels.astype(np.int8)
    for step in (np.diff(signed, axis=0), np.diff(signed, axis=1).T):
        changes += int(np.count_nonzero(step))
        between += int(np.count_nonzero(step[1:].astype(np.int16) * step[:-1] > 0))
    return between / changes if changes >= _FEW_CHANGES else 0.0


def person_box(iuv: Pixels) -> tuple[int, int, int, int] | None:
    """(x0, y0, x1, y1) around all body parts, ends excluded, or None where there is nobody."""
    rows = np.flatnonzero((iuv[..., 0] > 0).any(axis=1))
    columns = np.flatnonzero((iuv[..., 0] > 0).any(axis=0))
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
    nearest = iuv[_centres(rows, height).astype(np.intp)][:, _centres(columns, width).astype(np.intp)]
    labels = nearest[..., 0]
    total = np.zeros((rows, columns, 2), np.float32)
    weights = np.zeros((rows, columns), np.float32)
    taps = _taps(columns, width)
    for y, weight_y in _taps(rows, height):
        strip = iuv[y]
        for x, weight_x in taps:
            tap = strip[:, x]
            weight = (tap[..., 0] == labels) * (weight_y[:, None] * weight_x[None, :])
            total += tap[..., 1:] * weight[..., None]
            weights += weight
    # A nearest pixel that no tap hit (a part thinner than the taps' spacing) keeps its own U and V.
    mean = np.where(weights[..., None] > 0, total / np.maximum(weights, 1e-6)[..., None], nearest[..., 1:])
    out = np.empty((rows, columns, 3), np.uint8)
    out[..., 0] = labels
    out[..., 1:] = np.where(labels[..., None] > 0, np.rint(mean), 0)
    return out


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


def _read_rgb_png(path: Path) -> Pixels:
    image = open_image(path, _MAX_MEGAPIXELS)
    remedy = "save pose maps as 8-bit RGB PNG without alpha"
    if image.format != "PNG":
        raise InputError(f"a pose map must be a PNG, this is {image.format}", path=path, remedy=remedy)
    with open(path, "rb") as file:
        depth = file.read(25)[24]  # IHDR's bit depth (PNG specification 11.2.1); Pillow hides 16-bit RGB
    if depth == 16:
        raise InputError("a pose map must have 8 bits per channel, this has 16", path=path, remedy=remedy)
    if image.mode != "RGB":
        kind = {"L": "greyscale", "LA": "greyscale with alpha", "P": "a palette image", "RGBA": "RGB with alpha",
                "1": "black and white"}.get(image.mode, f"of mode {image.mode}")
        raise InputError(f"a pose map has three channels, this is {kind}", path=path, remedy=remedy)
    return np.asarray(image)


def _spill(iuv: Pixels) -> int:
    """Background pixels whose U or V is not 0."""
    return int(np.count_nonzero((iuv[..., 0] == 0) & ((iuv[..., 1] | iuv[..., 2]) > 0)))


def _decide_order(pixels: Pixels, path: Path) -> Order:
    """Which end of (R, G, B) is I: the one that stays within 0..24; where both do, the one that behaves as labels."""
    peaks = tuple(int(pixels[..., channel].max(initial=0)) for channel in range(3))
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
    views = {"IUV": pixels, "VUI": pixels[..., ::-1]}
    likely = [order for order in fits if views[order][..., 0].any() and not _spill(views[order])
              and in_between_share(views[order][..., 0]) <= _IN_BETWEEN]
    if len(likely) == 1:
        return likely[0]
    raise InputError(f"the channel order is in doubt: R reaches {peaks[0]} and B {peaks[2]}, either could be I",
                     path=path, remedy="save it as RGB = (I, U, V) with U and V scaled to 0..255")
