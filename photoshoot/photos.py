"""Pictures as they are given to a model: files or arrays, checked and cut out as the networks take them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.people.person import PersonCrop, person_from_photo, pose_square
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import check_iuv, is_pose_map, read_iuv, split_iuv
from components.core.pictures.matte import read_matte
from components.core.settings import PreprocessSettings
from components.core.shooting import wardrobe
from components.core.shooting.plain import person_estimated, pose_estimated, pose_of

Pixels = NDArray[np.uint8]

Picture = str | os.PathLike[str] | Pixels
"""An image file, or its pixels as a uint8 array: [H, W, 3] for photos (RGB) and pose maps (I, U, V), [H, W] for
mattes (255 = person)."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo of a person and, where there is one, the pose map that belongs to it.

    The pose map is a DensePose map of the photo's size. A file may hold (I, U, V) or (V, U, I), an array is (I, U, V).
    """

    photo: Picture
    """The photo, RGB."""
    pose: Picture | None = None
    """Its pose map; None: made from landmarks, of the largest person in the photo."""
    matte: Picture | None = None
    """Its matte; None: made with the pose map from landmarks, else found by GrabCut around the pose map."""


def random_clothes(seed: int) -> Photo:
    """Somebody in clothes of the wardrobe that ships, for `Model.shoot(clothes=)`; the same for the same `seed`, any
    integer. The outfits are drawn, and cover all but head and hands. Raises `DataError` where they are missing."""
    outfit = wardrobe.random_clothes(seed)
    return Photo(outfit.photo, outfit.iuv, outfit.matte)


def person_of(photo: Photo, settings: PreprocessSettings) -> PersonCrop:
    """Cut the person of a photo out. Raises `InputError`, naming the file where it is one, for what cannot be used."""
    pixels = photo_pixels(photo.photo, settings)
    size = pixels.shape[0], pixels.shape[1]
    matte = None if photo.matte is None else _matte_pixels(photo.matte, size, settings)
    with _naming(photo.photo):
        if photo.pose is None:
            return person_estimated(pixels, settings, matte)
        return person_from_photo(pixels, _pose_pixels(photo.pose, size), settings, matte)


def target_of(pose: Picture, settings: PreprocessSettings) -> Pixels:
    """A pose map, or a photo of somebody in the pose, as a target uint8 [s, s, 3], s as it comes.

    Raises `InputError` for one that cannot be used.
    """
    with _naming(pose):
        if not isinstance(pose, np.ndarray):
            return pose_of(Path(pose), settings)
        pixels = _checked(pose, 3, "a pose is uint8 [H, W, 3]: a pose map (I, U, V), or a photo")
        if is_pose_map(pixels):
            return pose_square(_pose_pixels(pose, None), settings)
        return pose_estimated(pixels, settings)


def photo_pixels(picture: Picture, settings: PreprocessSettings) -> Pixels:
    """A photo as uint8 RGB [H, W, 3]. Raises `InputError` for one that cannot be used."""
    if isinstance(picture, np.ndarray):
        return _checked(picture, 3, "a photo is uint8 RGB [H, W, 3]")
    return read_photo(Path(picture), settings.max_megapixels)


def _pose_pixels(pose: Picture, size: tuple[int, int] | None) -> Pixels:
    """(I, U, V) as uint8 [H, W, 3]; an array's size is compared with its photo's where the person is cut out."""
    if isinstance(pose, np.ndarray):
        planes = _checked(pose, 3, "a pose map is uint8 (I, U, V) [H, W, 3]")
        check_iuv(split_iuv(planes))
        return planes
    return read_iuv(Path(pose), size).planes


def _matte_pixels(matte: Picture, size: tuple[int, int], settings: PreprocessSettings) -> Pixels:
    if isinstance(matte, np.ndarray):
        return _checked(matte, 2, "a matte is uint8 [H, W]")
    return read_matte(Path(matte), size, settings.max_megapixels)


def _checked(array: NDArray[np.generic], dimensions: int, wanted: str) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != dimensions or array.shape[2:] not in ((), (3,)) or not array.size:
        raise InputError(f"{wanted}, this is {array.dtype} {list(array.shape)}", remedy="convert the array")
    return np.ascontiguousarray(array, np.uint8)


@contextmanager
def _naming(picture: Picture) -> Iterator[None]:
    """Name the file, where the picture is one, in errors about what was in it."""
    try:
        yield
    except InputError as error:
        if error.path or isinstance(picture, np.ndarray):
            raise
        raise InputError(error.problem, path=Path(picture), remedy=error.remedy) from None
