"""What there is to learn from a person's own photos: each painted from the others, and what it should look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.faces.embedder import FaceEmbedder
from components.core.networks.generator.alignment import shows
from components.core.networks.generator.mixture import Finer
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.networks.generator.warp import Source
from components.core.networks.layers import dilated
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.person import PersonCrop
from components.core.pictures.iuv import HEAD_PARTS
from components.core.shooting.shots import Staged, finer_cut, largest, same_outfit

_HEAD = 5.0
"""How much a pixel of head and hair weighs."""
_COLOURS = 0.3
"""How much colours weigh: alone they teach to blur what photos of other days show elsewhere."""
_FACE_SIDE = 128
"""Side at which the perceptual network looks at the head."""
_LEAST = 16
_SINGLE = 2
"""Single photos from which each is painted, beside all the others together."""


class Loss(NamedTuple):
    """How far a picture is from the photo, each a scalar."""

    colours: Tensor
    matte: Tensor
    head: Tensor
    """How the head looks to the perceptual network."""
    face: Tensor
    """How far the face is from the person's mean face, as the embedder tells."""

    def total(self) -> Tensor:
        """What is minimised."""
        return _COLOURS * self.colours + self.matte + self.head + self.face


class Teachers(NamedTuple):
    """The networks that compare."""

    distance: PerceptualDistance
    embedder: FaceEmbedder | None
    """None where dlib's network is not installed. SFace, which judges, is never here."""


@dataclass(frozen=True)
class Lesson:
    """One photo to be painted from others, at a size T."""

    source: Source
    pose: Tensor
    fine: Finer
    photo: Tensor
    """[1, 3, T, T] in [-1, 1]."""
    matte: Tensor
    """[1, 1, T, T] in 0..1. Beyond it nothing is compared but the matte: the room is nobody's business."""
    weight: Tensor
    """[1, 1, T, T]: how much a pixel's colour counts; only head and hair where the others show other clothes."""
    head: tuple[slice, slice] | None
    """Rows and columns around head and hair; None where there is none."""
    face: Tensor | None
    """[1, D] the person's mean face; None where no photo shows it, or there is no embedder."""


@dataclass(frozen=True)
class Lessons:
    """What is learnt from, and what tells whether it helped."""

    learnt: list[Lesson]
    kept_back: Lesson


def lessons(model: Reposer, photos: Sequence[PersonCrop], size: int, teachers: Teachers) -> Lessons:
    """Photos, two or more, painted from all the others and from single ones; the first from all the others is kept
    back: parts of a photo that is learnt from tell nothing of the next."""
    face = None if teachers.embedder is None else _mean_face(teachers.embedder, photos, model.device)
    cut = finer_cut(model, size, largest(photos))
    finer = {id(photo): cut(photo) for photo in photos}  # each stands in several lessons
    kept_back, *rest = photos
    learnt = []
    for photo in rest:
        others = [one for one in photos if one is not photo]
        several = [others, *([one] for one in others[:_SINGLE])] if len(others) > 1 else [others]
        learnt += [_lesson(model, sources, photo, size, face, finer) for sources in several]
    return Lessons(learnt, _lesson(model, rest, kept_back, size, face, finer))


def _lesson(model: Reposer, sources: Sequence[PersonCrop], target: PersonCrop, size: int, face: Tensor | None,
            finer: Mapping[int, PersonCrop]) -> Lesson:
    batch, pose, fine = Staged(model, sources, size=size, cut=lambda photo: finer[id(photo)]).given(target.native_iuv)
    source, poses, at = model.tensors(batch, pose[None], fine)
    assert at is not None
    truth = finer[id(target)]
    photo, matte = (_planes(plane, model.device) for plane in (truth.photo, truth.matte[..., None]))
    matte = (matte + 1) / 2
    head = dilated(shows(at.poses.round(), HEAD_PARTS), max(size // 32, 1))
    dressed = float(all(same_outfit(target, one) for one in sources))
    return Lesson(source, poses, at, photo, matte, matte * (dressed + (_HEAD - dressed) * head),
                  _around(head), face)


@torch.no_grad()
def _mean_face(embedder: FaceEmbedder, photos: Sequence[PersonCrop], device: str) -> Tensor | None:
    found = []
    for photo in photos:
        colours = photo.native_photo if photo.native_foreground is None else photo.native_foreground
        iuv = torch.from_numpy(photo.native_iuv).permute(2, 0, 1)[None].to(device)
        vector, valid = embedder.embed(_planes(colours, device), iuv)
        if bool(valid):
            found.append(vector)
    return torch.stack(found).mean(0) if found else None


def _planes(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], device: str) -> Tensor:
    """uint8 [H, W, C] -> [1, C, H, W] in [-1, 1]."""
    return torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(device)


def _around(mask: Tensor) -> tuple[slice, slice] | None:
    rows, columns = torch.nonzero(mask[0, 0], as_tuple=True)
    if len(rows) < _LEAST:
        return None
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def loss_of(network: Generator, lesson: Lesson, teachers: Teachers) -> Loss:
    """How far the network's picture is from the photo.

    The person alone is compared, before the same plain background: nothing of the room reaches a gradient.
    """
    painting = network(lesson.source, lesson.pose, lesson.fine)
    colours = ((painting.person - lesson.photo).abs() * lesson.weight).sum() / (3 * lesson.weight.sum()).clamp(min=1)
    matte = (painting.soft_matte - lesson.matte).abs().mean()
    person = painting.person * painting.matte
    return Loss(colours, matte, _head_loss(person, lesson, teachers.distance),
                _face_loss(person, lesson, teachers.embedder))


def _head_loss(person: Tensor, lesson: Lesson, distance: PerceptualDistance) -> Tensor:
    if lesson.head is None:
        return person.new_zeros(())
    rows, columns = lesson.head
    painted, real = (F.interpolate(picture[:, :, rows, columns], size=(_FACE_SIDE, _FACE_SIDE), mode="bilinear",
                                   antialias=True)
                     for picture in (person, lesson.photo * lesson.matte))
    total: Tensor = distance(painted, real).mean()
    return total


def _face_loss(person: Tensor, lesson: Lesson, embedder: FaceEmbedder | None) -> Tensor:
    if lesson.face is None or embedder is None:
        return person.new_zeros(())
    vector, valid = embedder.embed(person, lesson.fine.poses.round().to(torch.uint8))
    return ((vector - lesson.face).square().sum(1) * valid).sum()
