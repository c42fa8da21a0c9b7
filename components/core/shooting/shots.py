"""New pictures of a person: photos of theirs, target poses, background in; images out. For the command line, the web
page and the registered model alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.networks.generator.reposer import Output, Reposer, SourceBatch
from components.core.people.person import PersonCrop
from components.core.people.sources import Merged, best_view, garments_apart, merged, stacked
from components.core.pictures.backdrop import backdrop
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import BODY_PARTS, HEAD_PARTS

_OTHER_OUTFIT = 30.0
"""Median difference in grey levels, in one light, of garment texels that two photos show, from which they show other
clothes. Real photos: at most 12 for one outfit, median 54 for two, one in twenty below 25. Synthetic ones, in harsher
light: four in five below 30 for one, nine in ten above for two."""
_LEAST_BODY, _LIGHTS = 0.01, (0.5, 2.0)
"""Share of the texels of head and hands that two photos must both show for a comparison of their lights; and how much
brighter one may be."""
_BODY = [part - 1 for part in BODY_PARTS]


@dataclass(frozen=True)
class Shot(Output):
    """New pictures, and which of the person's photos they come from, as indices into what was given."""

    faces: list[int]
    """Per picture: the photo that gives face and hair, beside what all give."""
    other_clothes: list[int]
    """Photos that show other clothes than those worn: they give head and hands only."""


@dataclass(frozen=True)
class _Sources:
    """Several photos as one source, for each target pose."""

    textures: Pixels
    """uint8 [B, 24, N, N, 3]."""
    seen: NDArray[np.bool_]
    """bool [B, 24, N, N]."""
    faces: list[int]
    """Per pose: which of the subject's photos gives face and hair."""
    clothes: list[int]
    """Per pose: which photo of the clothes gives what lies beside the body."""
    other_clothes: list[int]
    """Photos that show other clothes."""


def shoot(model: Reposer, source: PersonCrop | Sequence[PersonCrop], poses: Sequence[Pixels],
          background: Pixels | None = None, clothes: PersonCrop | Sequence[PersonCrop] | None = None) -> Shot:
    """Paint a person in each of the target poses (uint8 [S, S, 3], as `pose_crop` makes them).

    `source` is one photo or several of the same person, in any order: what each shows of them is put together. For each
    pose the one that shows most of the head asked for gives face, hair and light. The clothes are those of the photo
    that shows most of the body, completed from the others that do not show different ones. `background` is any picture
    [H, W, 3], cut to a square around its middle; None: a studio wall. `clothes` are photos of whoever's clothes to
    wear; None: their own. Raises `InputError` where there is no photo or no pose, or sizes are not the model's.
    """
    if not poses:
        raise InputError("no target pose", remedy="bring at least one pose map")
    count, side = len(poses), model.resolution
    subject = _several(source)
    dressed = subject if clothes is None else _several(clothes)
    found = _put_together(subject, dressed, poses)
    batch = SourceBatch(
        found.textures, found.seen, *stacked([subject[face] for face in found.faces]),
        *(stacked([dressed[index] for index in found.clothes]) if len(subject) > 1 or clothes is not None else ()))
    wall = backdrop(side) if background is None else middle_square(background, side)
    output = model.repose(batch, np.stack(poses), _times(wall, count))
    return Shot(output.images, output.mattes, found.faces, found.other_clothes)


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


def _put_together(subject: Sequence[PersonCrop], dressed: Sequence[PersonCrop], poses: Sequence[Pixels]) -> _Sources:
    """One source of the subject's photos and those that show the clothes; the photos' order does not matter."""
    leading, outfit = _most_first(subject), _outfit(dressed)
    faces = [leading[best_view([subject[index].seen for index in leading], pose)] for pose in poses]
    clothes = [outfit[best_view([dressed[index].seen for index in outfit], _headless(pose))] for pose in poses]
    atlases: dict[int, Merged] = {}
    for face, pose in zip(faces, poses, strict=True):
        if face not in atlases:
            # The face's photo leads the clothes too: what it shows stays, the others are brought into its light.
            worn = _first(face, outfit) if dressed is subject and face in outfit else outfit
            atlases[face] = merged([subject[index] for index in leading], pose, [dressed[index] for index in worn])
    textures = np.stack([atlases[face].texture for face in faces])
    seen = np.stack([atlases[face].seen for face in faces])
    others = sorted(set(range(len(dressed))) - set(outfit)) if dressed is subject else []
    return _Sources(textures, seen, faces, clothes, others)


def _most_first(photos: Sequence[PersonCrop]) -> list[int]:
    """Indices of the photos, from the one that shows most of the body's surface to the one that shows least."""
    return sorted(range(len(photos)), key=lambda index: (
        -int(photos[index].seen.sum()), hashlib.sha256(photos[index].photo.tobytes()).digest()))


def _first(index: int, others: Sequence[int]) -> list[int]:
    return [index, *(other for other in others if other != index)]


def _outfit(photos: Sequence[PersonCrop]) -> list[int]:
    """Indices of the photos that show the clothes of the one that shows most, that one first."""
    first, *rest = _most_first(photos)
    found = [first]
    for index in rest:
        if not any(_other_outfit(photos[known], photos[index]) for known in found):
            found.append(index)
    return found


def _other_outfit(one: PersonCrop, other: PersonCrop) -> bool:
    """Do two photos show different clothes? False where too little of them is seen in both to tell, as in a front and
    a back view: whoever brings several photos of a person mostly brings one outfit."""
    both, light = one.seen[_BODY] & other.seen[_BODY], np.ones(3)
    if both.mean() >= _LEAST_BODY:
        ours, theirs = (photo.texture[_BODY][both].mean(axis=0) + 1 for photo in (one, other))
        light = np.sqrt((ours / theirs).clip(*_LIGHTS))  # half of the way for each
    return garments_apart((one.texture, one.seen), (other.texture, other.seen), light) > _OTHER_OUTFIT


def _headless(pose: Pixels) -> Pixels:
    return np.where(np.isin(pose[..., :1], HEAD_PARTS), np.uint8(0), pose)


def _several(photos: PersonCrop | Sequence[PersonCrop]) -> list[PersonCrop]:
    found = [photos] if isinstance(photos, PersonCrop) else list(photos)
    if not found:
        raise InputError("no photo of the person", remedy="bring at least one")
    return found


def _times(array: Any, count: int) -> Any:
    return np.ascontiguousarray(np.broadcast_to(array, (count, *array.shape)))
