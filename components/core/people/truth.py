"""What a synthetic photo should show of its person, cut like the photo: the exact matte, and colours without the
camera's faults. Preprocessing goes by the photo as if it knew nothing of it; losses compare with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from components.core.errors import InputError
from components.core.people.crop import cut, outside, resize
from components.core.pictures.images import Pixels, open_image
from components.core.settings import PreprocessSettings

if TYPE_CHECKING:
    from components.core.people.dataset import Box

_LEAST = 8
"""Alpha from which a pixel's own colour can be told."""


def true_crop(path: Path, photo: Pixels, box: Box, settings: PreprocessSettings) -> Pixels:
    """The crop `box` of the RGBA picture at `path`, uint8 [S, S, 4]: colours not multiplied with the alpha, and those
    of `photo` [H, W, 3] where nobody is.

    Raises `InputError` for a file that is no such picture, or not as large as the photo.
    """
    image = open_image(path, settings.max_megapixels)
    if image.mode != "RGBA" or image.size != photo.shape[1::-1]:
        raise InputError(f"{image.mode} of {image.width} x {image.height} pixels, its photo is {photo.shape[1]} x "
                         f"{photo.shape[0]}", path=path, remedy="run synthesize again")
    planes, side = np.asarray(image), settings.resolution
    # Colours count by how much they cover: beside the person there are none.
    whole = cut(np.where(planes[..., 3:] > 0, planes, np.uint8(0)), box).astype(np.float32)
    weight = whole[..., 3:] / np.float32(255)
    colours = _reduced(whole[..., :3] * weight, side)
    alpha = _reduced(weight[..., 0], side)
    height, width = photo.shape[:2]
    alpha = np.where(outside(box, height, width, side), np.float32(0), alpha)
    own = np.clip(colours / np.maximum(alpha, np.float32(1 / 255))[..., None] + np.float32(0.5), 0, 255)
    matte = np.asarray(alpha * 255 + np.float32(0.5), np.uint8)
    shown = np.where(matte[..., None] >= _LEAST, own.astype(np.uint8), resize(cut(photo, box), side))
    return np.concatenate([shown, matte[..., None]], 2)


def _reduced(plane: np.ndarray[tuple[int, ...], np.dtype[np.float32]], side: int
             ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A square plane [s, s] or [s, s, 3] at `side`, as `resize` does it for pictures."""
    way = cv2.INTER_LINEAR if side > plane.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(plane, (side, side), interpolation=way), np.float32)
