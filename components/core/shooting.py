"""New pictures of a person: source, target poses, background in; images out. For the command line, the web page and
the registered model alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from components.core.backdrop import backdrop
from components.core.images import Pixels
from components.core.networks.generator import Output, Reposer, SourceBatch
from components.core.person import PersonCrop
from components.core.texture import splice


def shoot(model: Reposer, source: PersonCrop, poses: Sequence[Pixels], background: Pixels | None = None,
          clothes: PersonCrop | None = None) -> Output:
    """Paint a person in each of the target poses (uint8 [S, S, 3], as `pose_crop` makes them).

    `background` is any picture [H, W, 3], cut to a square around its middle; None: a studio wall. `clothes` is the
    person whose clothes to wear; None: their own. Returns images [B, S, S, 3] and mattes [B, S, S]. Raises
    `InputError` where sizes are not the model's.
    """
    count, side = len(poses), model.resolution
    texture, seen = source.texture, source.seen
    other: dict[str, Any] = {}
    if clothes is not None:
        texture, seen = splice((texture, seen), (clothes.texture, clothes.seen))
        other = {"clothes_photos": _times(clothes.photo, count), "clothes_mattes": _times(clothes.matte, count),
                 "clothes_poses": _times(clothes.iuv, count)}
    batch = SourceBatch(_times(texture, count), _times(seen, count), _times(source.photo, count),
                        _times(source.matte, count), _times(source.iuv, count), **other)
    wall = backdrop(side) if background is None else middle_square(background, side)
    return model.repose(batch, np.stack(poses), _times(wall, count))


def middle_square(picture: Pixels, side: int) -> Pixels:
    """The largest square around a picture's middle, uint8 [side, side, 3]."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    if edge == side:
        return square
    how = cv2.INTER_AREA if edge > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8)


def _times(array: Any, count: int) -> Any:
    return np.ascontiguousarray(np.broadcast_to(array, (count, *array.shape)))
