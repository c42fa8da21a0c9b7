"""One photo with its pose map to one person as the networks take it: crop, pose map, matte, texture map.

The one way to do it: data sets are made with it, and so is the source of every new picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.people.crop import cut, outside, resize, square_box
from components.core.pictures.borders import misplaced
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS, crop_iuv, enlarge_iuv, person_box, resize_iuv
from components.core.pictures.matte import grabcut_matte, silhouette, working_side
from components.core.pictures.texture import smooth_charts, unwrap
from components.core.settings import PreprocessSettings

if TYPE_CHECKING:
    from components.core.people.dataset import Box

Mask = NDArray[np.bool_]

_PERSON = 128
"""Matte below which a large picture takes no colours: through an arm's bend the background is seen."""
_UNWRAP_TEXELS = 16
"""Unwrap from at most this many pixels per texel of a tile's side along the crop's side: more only costs time."""


@dataclass(frozen=True)
class PersonCrop:
    """A person cut out of a photo: crop of side S, texture tiles of side N."""

    photo: Pixels
    """uint8 RGB [S, S, 3]."""
    iuv: Pixels
    """uint8 [S, S, 3] as (I, U, V)."""
    matte: Pixels
    """uint8 [S, S], 255 = person."""
    texture: Pixels
    """uint8 [24, N, N, 3]."""
    seen: Mask
    """bool [24, N, N]."""
    box: Box
    """The crop (x0, y0, x1, y1) in photo pixels; it may reach beyond the photo."""
    native_photo: Pixels
    """uint8 RGB [s, s, 3]: the crop at the photo's own resolution."""
    native_iuv: Pixels
    """uint8 [s, s, 3]: its pose map there."""
    native_matte: Pixels | None
    """uint8 [m, m]: the matte of the crop as it was made; None: the pose map's outline."""
    settings: PreprocessSettings
    """How it was cut out."""
    native_foreground: Pixels | None = None
    """uint8 RGB [s, s, 3]: `native_photo` with the person's own colours along the outline, where they are known."""

    def at(self, resolution: int, texel: int) -> PersonCrop:
        """The same crop with other sides S and N, from the photo's own pixels."""
        settings = self.settings.model_copy(update={"resolution": resolution, "texel": texel})
        texture, seen = texture_of(self.colours, self._surely(), settings, smooth=True)
        return replace(self.picture_at(resolution), texture=texture, seen=_without_specks(seen), settings=settings)

    def picture_at(self, resolution: int) -> PersonCrop:
        """`at` without a new atlas, which takes most of the time: photo, pose map and matte of side S."""
        pose = enlarge_iuv(self.native_iuv, (resolution, resolution))
        matte = silhouette(pose) if self.native_matte is None else resize(self.native_matte, resolution)
        return replace(self, photo=resize(self.colours, resolution), iuv=pose, matte=matte)

    @property
    def colours(self) -> Pixels:
        """What crops and atlases are made of, uint8 RGB [s, s, 3]: `native_foreground`, else the photo."""
        return self.native_photo if self.native_foreground is None else self.native_foreground

    def _surely(self) -> Pixels:
        """The pose map without what is in another place than it says, or not the person: what colours are taken by."""
        not_there = misplaced(self.native_photo, self.native_iuv)
        if self.native_matte is not None:
            thin = resize(self.native_matte, self.native_iuv.shape[0]) < _PERSON
            not_there |= thin & ~np.isin(self.native_iuv[..., 0], HEAD_PARTS)  # hair is seen through, too
        return np.where(not_there[..., None], np.uint8(0), self.native_iuv)

    def reduced(self, most: int) -> PersonCrop:
        """The same with at most `most` pixels of the photo along its side: the rest only takes memory."""
        side = self.native_photo.shape[0]
        if side <= most:
            return self
        matte, colours = self.native_matte, self.native_foreground
        return replace(self, native_photo=resize(self.native_photo, most),
                       native_iuv=resize_iuv(self.native_iuv, (most, most)),
                       native_matte=None if matte is None else resize(matte, most),
                       native_foreground=None if colours is None else resize(colours, most))


def person_from_photo(photo: Pixels, iuv: Pixels, settings: PreprocessSettings, matte: Pixels | None = None,
                      foreground: Pixels | None = None) -> PersonCrop:
    """Cut the person of a photo [H, W, 3] out by its pose map [H, W, 3] and unwrap the texture.

    `matte` [H, W] is the user's own; without one, or with ``settings.matte`` "silhouette", it is made from photo and
    pose map. `foreground` [H, W, 3] is the photo with the person's own colours along their outline: crop and texture
    are made of it, so that what was behind them does not come along. Raises `InputError` for arrays of different sizes,
    nobody in the pose map, a person smaller than ``settings.min_person`` pixels, or one that shows less of the body
    than ``settings.min_coverage``.
    """
    size = photo.shape[0], photo.shape[1]
    for what, array in (("pose map", iuv), ("matte", matte), ("foreground", foreground)):
        if array is not None and array.shape[:2] != size:
            raise InputError(f"the {what} is {array.shape[1]} x {array.shape[0]} pixels, its photo is "
                             f"{size[1]} x {size[0]}", remedy=f"make the {what} from this very photo")
    box = framing(iuv, settings)
    native_photo, native_iuv, side = cut(photo, box), crop_iuv(iuv, box), settings.resolution
    own = None if foreground is None else cut(foreground, box)
    colours = native_photo if own is None else own
    texture, seen = texture_of(colours, native_iuv, settings)
    if seen.mean() < settings.min_coverage:
        raise InputError(f"it shows only {seen.mean():.1%} of the body's surface",
                         remedy=f"bring another photo or lower preprocess.min_coverage ({settings.min_coverage:g})")
    pose = resize_iuv(native_iuv, (side, side))
    whole = _matte(native_photo, native_iuv, None if matte is None else cut(matte, box), box, size, settings)
    beyond = outside(box, *size, side)
    found = np.where(beyond, np.uint8(0), silhouette(pose) if whole is None else resize(whole, side))
    if whole is not None:
        whole = np.where(outside(box, *size, whole.shape[0]), np.uint8(0), whole)
    return PersonCrop(resize(colours, side), pose, found, texture, seen, box, native_photo, native_iuv, whole, settings,
                      own)


def _without_specks(seen: Mask) -> Mask:
    """Seen texels [24, N, N] without those that stand nearly alone, where a surface is seen edge on: they would show as
    a dotted line in a large picture."""
    side = 2 * (seen.shape[1] // 128) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([cv2.morphologyEx(tile.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0 for tile in seen])


def framing(iuv: Pixels, settings: PreprocessSettings) -> Box:
    """The square around the person of a pose map [H, W, 3]. Raises `InputError` for nobody or somebody too small."""
    person = person_box(iuv)
    if person is None:
        raise InputError("the pose map shows nobody", remedy="make it again with a lower detection threshold")
    smallest = min(person[2] - person[0], person[3] - person[1])
    if smallest < settings.min_person:
        raise InputError(f"the person is only {smallest} pixels at the smaller side",
                         remedy=f"bring a larger photo or lower preprocess.min_person ({settings.min_person})")
    return square_box(person, settings.margin)


def pose_square(iuv: Pixels, settings: PreprocessSettings) -> Pixels:
    """The square [s, s, 3] around the person of a pose map [H, W, 3], as it is: a target for pictures of any size."""
    return crop_iuv(iuv, framing(iuv, settings))


def texture_of(native_photo: Pixels, native_iuv: Pixels, settings: PreprocessSettings,
               smooth: bool = False) -> tuple[Pixels, Mask]:
    """Texture and seen mask from the crop at the photo's own resolution, the silhouette's rim left out.

    The rim mixes person and background, and detectors' outlines are off by a pixel or more. `smooth` reads U and V
    between their 256 steps, which fine atlases need.
    """
    step = int(native_photo.shape[0] / max(_UNWRAP_TEXELS * settings.texel, settings.resolution) + 0.2)
    if step > 1:
        native_photo, native_iuv = _blocks(native_photo, step), _middles(native_iuv, step)
    side = native_photo.shape[0]
    around = _around(native_iuv)
    native_photo, native_iuv = native_photo[around], native_iuv[around]
    body = (native_iuv[..., 0] > 0).astype(np.uint8)
    radius = round(settings.erode * side)
    if radius:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        body = np.asarray(cv2.erode(body, kernel), np.uint8)
    charts = smooth_charts(native_iuv, side) if smooth else None
    return unwrap(native_photo, native_iuv, settings.texel, body > 0, charts)


def _blocks(photo: Pixels, step: int) -> Pixels:
    """The mean of each block of step x step pixels of a square photo [s, s, 3]; what is left over is dropped."""
    side = photo.shape[0] // step
    return np.asarray(cv2.resize(photo[: side * step, : side * step], (side, side), interpolation=cv2.INTER_AREA))


def _middles(iuv: Pixels, step: int) -> Pixels:
    """The pose map in the middle of each of those blocks: where a texel is many pixels wide, as good as their mean."""
    side = iuv.shape[0] // step
    # As one number a pixel: NumPy moves single values many times faster than triples.
    packed = np.asarray(cv2.cvtColor(iuv[step // 2 :: step][:side], cv2.COLOR_RGB2RGBA), np.uint8).view(np.uint32)
    middles = np.ascontiguousarray(packed[:, step // 2 :: step][:, :side])
    return np.asarray(cv2.cvtColor(middles.view(np.uint8), cv2.COLOR_RGBA2RGB), np.uint8)


def _around(iuv: Pixels) -> tuple[slice, slice]:
    """Rows and columns of the body and, where there is one, a pixel beyond: eroding needs no more to find its rim."""
    x0, y0, x1, y1 = person_box(iuv) or (0, 0, 0, 0)
    return slice(max(0, y0 - 1), y1 + 1), slice(max(0, x0 - 1), x1 + 1)


def _matte(native_photo: Pixels, native_iuv: Pixels, own: Pixels | None, box: Box, size: tuple[int, int],
           settings: PreprocessSettings) -> Pixels | None:
    """The matte of the crop: the user's `own` (cut to it) or GrabCut's, [m, m]; None where it is the silhouette."""
    if settings.matte == "silhouette" or own is not None:
        return None if settings.matte == "silhouette" else own
    working = working_side(native_photo.shape[0], settings.resolution)
    return grabcut_matte(resize(native_photo, working), resize_iuv(native_iuv, (working, working)),
                         outside(box, *size, working))
