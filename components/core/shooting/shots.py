"""New pictures of a person: photos of theirs, target poses, background in; images out. For the command line, the web
page and the registered model alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.networks.generator.reposer import Fine, Output, Reposer, SourceBatch
from components.core.people.person import PersonCrop
from components.core.people.sources import Merged, best_view, garments_apart, merged, stacked
from components.core.pictures.backdrop import backdrop
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import BODY_PARTS, HEAD_PARTS, enlarge_iuv, resize_iuv

_OTHER_OUTFIT = 30.0
"""Median difference in grey levels, in one light, of garment texels that two photos show, from which they show other
clothes. Real photos: at most 12 for one outfit, median 54 for two, one in twenty below 25. Synthetic ones, in harsher
light: four in five below 30 for one, nine in ten above for two."""
_LEAST_BODY, _LIGHTS = 0.01, (0.5, 2.0)
"""Share of the texels of head and hands that two photos must both show for a comparison of their lights; and how much
brighter one may be."""
_BODY = [part - 1 for part in BODY_PARTS]

SMALLEST, LARGEST = 64, 2048
"""Sides of pictures that can be asked for."""
_SUPPORTED, _ENLARGED = 1024, 1.25
"""The largest side that is made unasked; and how many times larger than the photo shows the person."""
_TEXEL, _FINER, _HELD = 256, 1.5, 0.4
"""Largest side of an atlas tile: a pose map tells 256 places along a chart. How many times as many texels to the
pixel as the model's are read: a head's chart reaches down the neck, and has fewer than there are pixels otherwise. And
the most for a pixel along a photo's side: of 286 pixels, 128 texels are seen as far as fewer are, 256 half as far."""
_DENSE = 512, 2
"""Up to which side of a picture each of its pixels is the mean of several looked up in the atlas, and of how many along
a side: a camera's pixel is a mean, and so is each of a photo that was reduced. Single points show the texels' steps."""
Cut = Callable[[PersonCrop], PersonCrop]
"""Cuts a photo out anew, in another size."""


@dataclass(frozen=True)
class Shot(Output):
    """New pictures, and which of the person's photos they come from, as indices into what was given."""

    faces: list[int]
    """Per picture: the photo that gives face and hair, beside what all give."""
    other_clothes: list[int]
    """Photos that show other clothes than those worn: they give head and hands only."""


@dataclass(frozen=True)
class _Choice:
    """Which photo gives what, in each target pose: indices into what was given."""

    leading: list[int]
    """The subject's photos, from the one that shows most."""
    outfit: list[int]
    """Photos that show the clothes worn, from the one that shows most."""
    faces: list[int]
    """Per pose: which of the subject's photos gives face and hair."""
    clothes: list[int]
    """Per pose: which photo of the clothes gives what lies beside the body."""
    own: bool
    """Whether the clothes are the subject's own."""


def shoot(model: Reposer, source: PersonCrop | Sequence[PersonCrop], poses: Sequence[Pixels],
          background: Pixels | None = None, clothes: PersonCrop | Sequence[PersonCrop] | None = None,
          size: int | None = None) -> Shot:
    """Paint a person in each of the target poses (uint8 [P, P, 3] of any side, as `pose_square` cuts them).

    `source` is one photo or several of the same person, in any order: what each shows of them is put together. For each
    pose the one that shows most of the head asked for gives face, hair and light. The clothes are those of the photo
    that shows most of the body, completed from the others that do not show different ones. `background` is any picture
    [H, W, 3], cut to a square around its middle; None: a studio wall. `clothes` are photos of whoever's clothes to
    wear; None: their own. `size` is the pictures' side T, 64 to 2048; None: the model's S. In another size than S the
    network decides at S, and the picture is made of the photos' own pixels at T; a `paper` model's is enlarged. Raises
    `InputError` where there is no photo or no pose, for sizes out of bounds and photos of other sizes than its.
    """
    if not poses:
        raise InputError("no target pose", remedy="bring at least one pose map")
    return Staged(model, source, clothes, size).shoot(poses, background)


class Sides(Protocol):
    """What has a resolution and a texel: a model, or the people that one is for."""

    resolution: int
    texel: int


def finer_cut(model: Sides, size: int, native: int, density: int = 1) -> Cut:
    """How photos are cut out anew for pictures of that size, with an atlas of `finer_texel`."""
    return lambda photo: photo.at(size, finer_texel(model, size, native, density))


def finer_texel(model: Sides, size: int, native: int, density: int = 1) -> int:
    """The side of an atlas' tiles for pictures of that size: half as many texels again to the pixel as the model's, or
    to the place in the atlas, where `density` of them are looked up along a pixel's side; no more of them than a photo
    of `native` pixels along its side has pixels for."""
    wanted = _FINER * density * model.texel * size / model.resolution
    return max(int(min(wanted, _HELD * native, _TEXEL)) // 16 * 16, 16)  # which any two atlases can be compared in


def fine(model: Reposer, source: SourceBatch, poses: Pixels, dense: Pixels | None = None) -> Fine:
    """What a model is given for pictures of another size T than its own, beside the same at its own: photos cut out
    anew, [B, T, T, ...], target poses [B, T, T, 3], and `densely` the same poses with more pixels."""
    if not model.network.warps:
        return Fine(source, poses)
    return Fine(_clothes_alone(source), poses, dense)


def densely(poses: Sequence[Pixels] | Pixels, size: int) -> Pixels | None:
    """Poses [P, P, 3] as `Fine.dense` for pictures of that size; None where a pixel is one place of the atlas."""
    side = size * density(size)
    return None if side == size else np.stack([enlarge_iuv(pose, (side, side)) for pose in poses])


def density(size: int) -> int:
    """How many places of the atlas are looked up along a pixel's side."""
    side, times = _DENSE
    return times if size <= side else 1


class _Photos:
    """Photos of a person as the network sees them, and cut out anew in the pictures' size."""

    def __init__(self, crops: list[PersonCrop], cut: Cut) -> None:
        self.crops, self._cut = crops, cut

    @cached_property
    def finer(self) -> list[PersonCrop]:
        """Each once."""
        return [self._cut(photo) for photo in self.crops]


class Staged:
    """A person, what they wear and the size of their pictures, as `shoot` takes them: what is the same in every
    picture is made once, so that pictures can be asked for one after the other."""

    def __init__(self, model: Reposer, source: PersonCrop | Sequence[PersonCrop],
                 clothes: PersonCrop | Sequence[PersonCrop] | None = None, size: int | None = None,
                 cut: Cut | None = None) -> None:
        """`cut` stands for `finer_cut`, where its results are at hand.

        Raises `InputError` where there is no photo, and for sizes out of bounds.
        """
        self.size = check_size(model.resolution if size is None else size)
        crops = _several(source)
        self._model, self._cut = model, cut or finer_cut(model, self.size, largest(crops), density(self.size))
        self._subject = _Photos(crops, self._cut)
        self._own = clothes is None
        self._dressed = self._subject if clothes is None else _Photos(_several(clothes), self._cut)
        # Atlases, by the photo that gives the face: no pose changes them.
        self._coarse: dict[int, Merged] = {}
        self._fine: dict[int, Merged] = {}

    def dressed_as(self, clothes: PersonCrop) -> Staged:
        """The same person in other clothes; what was made of the person serves both."""
        other = copy(self)
        other._own, other._dressed = False, _Photos(_several(clothes), self._cut)
        other._coarse, other._fine = {}, {}
        return other

    def shoot(self, poses: Sequence[Pixels], background: Pixels | None = None) -> Shot:
        """`shoot`. Raises `InputError` for photos of other sizes than the model's."""
        model, size = self._model, self.size
        coarse = [_resized(pose, model.resolution) for pose in poses]
        subject, dressed = self._subject.crops, self._dressed.crops
        chosen = _choose(subject, dressed, coarse)
        wall = backdrop(size) if background is None else middle_square(background, size)
        others = sorted(set(range(len(dressed))) - set(chosen.outfit)) if self._own else []
        if size == model.resolution:
            batch = _put_together(chosen, subject, dressed, coarse, self._coarse)
            output = model.repose(batch, np.stack(coarse), _times(wall, len(poses)))
            return Shot(output.images, output.mattes, chosen.faces, others)
        # One at a time: a large picture takes some hundred megabytes.
        outputs = [self._large(pose, small, replace(chosen, faces=[face], clothes=[worn]), wall)
                   for pose, small, face, worn in zip(poses, coarse, chosen.faces, chosen.clothes, strict=True)]
        return Shot(np.concatenate([one.images for one in outputs]), np.concatenate([one.mattes for one in outputs]),
                    chosen.faces, others)

    def _large(self, pose: Pixels, coarse: Pixels, chosen: _Choice, wall: Pixels) -> Output:
        """One picture in another size than the model's."""
        batch, detailed = self._given(pose, coarse, chosen, densely([pose], self.size))
        return self._model.repose(batch, coarse[None], wall[None], detailed)

    def _given(self, pose: Pixels, coarse: Pixels, chosen: _Choice, dense: Pixels | None = None
               ) -> tuple[SourceBatch, Fine]:
        batch = _put_together(chosen, self._subject.crops, self._dressed.crops, [coarse], self._coarse)
        large = enlarge_iuv(pose, (self.size, self.size))
        detail = _put_together(chosen, self._subject.finer, self._dressed.finer, [large], self._fine, rims=True)
        return batch, fine(self._model, detail, large[None], dense)

    def given(self, pose: Pixels) -> tuple[SourceBatch, Pixels, Fine]:
        """What the model is given for one picture: the source and the pose at its own size, and both at the
        picture's."""
        coarse = _resized(pose, self._model.resolution)
        batch, detailed = self._given(pose, coarse, _choose(self._subject.crops, self._dressed.crops, [coarse]))
        return batch, coarse, detailed


def same_outfit(one: PersonCrop, other: PersonCrop) -> bool:
    """Whether two photos show one person's same clothes, as far as they tell."""
    return not _other_outfit(one, other)


def check_size(size: int) -> int:
    """The side of a picture that is asked for. Raises `InputError` for one that cannot be made."""
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"pictures of {size} px cannot be made", remedy=f"ask for {SMALLEST} to {LARGEST} px")
    return size


def supported_size(source: PersonCrop | Sequence[PersonCrop], resolution: int) -> int:
    """The side of pictures that a person's photos support: the model's `resolution`, doubled as long as the photo that
    shows the person largest fills it by four fifths, up to 1024."""
    return worth(largest(_several(source)), resolution)


def largest(photos: Sequence[PersonCrop]) -> int:
    """The most pixels that one of the photos has along its side."""
    return max(int(photo.native_photo.shape[0]) for photo in photos)


def worth(native: int, resolution: int, most: int = _SUPPORTED) -> int:
    """The side of pictures that a crop of `native` photo pixels supports (`supported_size`), up to `most`."""
    size = resolution
    while 2 * size <= min(most, native * _ENLARGED):
        size *= 2
    return size


def _clothes_alone(source: SourceBatch) -> SourceBatch:
    """The clothes' photos without head and hair: where they do not fall on the face's, a second head would show."""
    found = [source.photos, source.mattes, source.poses]
    given = [source.clothes_photos, source.clothes_mattes, source.clothes_poses]
    photos, mattes, poses = (one if other is None else other for one, other in zip(found, given, strict=True))
    if photos is None or mattes is None or poses is None:
        return source
    bodies = [np.where(_nearest_is_head(pose), np.uint8(0), matte) for pose, matte in zip(poses, mattes, strict=True)]
    return replace(source, clothes_photos=photos, clothes_mattes=np.stack(bodies), clothes_poses=poses)


def _nearest_is_head(pose: Pixels) -> NDArray[np.bool_]:
    """Where the nearest pixel of the body is one of the head: bool [H, W]."""
    empty = (pose[..., 0] == 0).astype(np.uint8)
    if empty.all():
        return np.zeros(empty.shape, np.bool_)
    _, nearest = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    is_head = np.zeros(int(nearest.max()) + 1, np.bool_)
    is_head[nearest[empty == 0]] = np.isin(pose[..., 0][empty == 0], HEAD_PARTS)
    return np.asarray(is_head[nearest])


def _resized(pose: Pixels, side: int) -> Pixels:
    return pose if pose.shape[0] == side else resize_iuv(pose, (side, side))


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


def _choose(subject: Sequence[PersonCrop], dressed: Sequence[PersonCrop], poses: Sequence[Pixels]) -> _Choice:
    """Which of the subject's photos and those that show the clothes give what; their order does not matter."""
    leading, outfit = _most_first(subject), _outfit(dressed)
    faces = [leading[best_view([subject[index].seen for index in leading], pose)] for pose in poses]
    clothes = [outfit[best_view([dressed[index].seen for index in outfit], _headless(pose))] for pose in poses]
    return _Choice(leading, outfit, faces, clothes, dressed is subject)


def _put_together(chosen: _Choice, subject: Sequence[PersonCrop], dressed: Sequence[PersonCrop],
                  poses: Sequence[Pixels], atlases: dict[int, Merged], rims: bool = False) -> SourceBatch:
    """One source of the subject's photos and those that show the clothes, for each pose; `rims` as for `merge`.

    `atlases` are those made before, by the photo that gives the face; it gets the new ones.
    """
    for face, pose in zip(chosen.faces, poses, strict=True):
        if face not in atlases:
            # The face's photo leads the clothes too: what it shows stays, the others are brought into its light.
            worn = _first(face, chosen.outfit) if chosen.own and face in chosen.outfit else chosen.outfit
            atlases[face] = merged([subject[index] for index in chosen.leading], pose,
                                   [dressed[index] for index in worn], chosen.leading.index(face), rims)
    textures = np.stack([atlases[face].texture for face in chosen.faces])
    seen = np.stack([atlases[face].seen for face in chosen.faces])
    apart = len(subject) > 1 or not chosen.own
    source = SourceBatch(textures, seen, *stacked([subject[face] for face in chosen.faces]),
                         *(stacked([dressed[index] for index in chosen.clothes]) if apart else ()))
    return replace(source, one_light=chosen.own and set(chosen.faces) <= set(chosen.outfit))


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
