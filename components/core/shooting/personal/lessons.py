"""What there is to learn from a person's own photos: each painted from the others, and what it should look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.generator.alignment import shows
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.networks.generator.warp import Source
from components.core.networks.layers import dilated
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.person import PersonCrop
from components.core.pictures.iuv import HEAD_PARTS
from components.core.shooting.shots import Staged

_SQUARES = 12
"""Squares along a picture's side, of which every fourth is never learnt from: they tell whether it helps."""
_HEAD = 5.0
"""How much a pixel of head and hair weighs."""
_FACE = 128
"""Side at which the perceptual network looks at the head."""
_LEAST = 16


class Loss(NamedTuple):
    """How far a picture is from the photo: colours, matte, and how the head looks; each a scalar."""

    colours: Tensor
    matte: Tensor
    head: Tensor

    def total(self) -> Tensor:
        """What is minimised."""
        return self.colours + self.matte + self.head


@dataclass(frozen=True)
class Lesson:
    """One photo to be painted from others, at a size T."""

    source: Source
    pose: Tensor
    fine: tuple[Source, Tensor]
    photo: Tensor
    """[1, 3, T, T] in [-1, 1]."""
    matte: Tensor
    """[1, 1, T, T] in 0..1. Beyond it nothing is compared but the matte: the room is nobody's business."""
    weight: Tensor
    """[1, 1, T, T]: how much a pixel counts."""
    learnt: Tensor
    """[1, 1, T, T]: 1 in squares that are learnt from, 0 in those that are kept back."""
    head: tuple[slice, slice] | None
    """Rows and columns around head and hair; None where there is none."""


def lessons(model: Reposer, photos: Sequence[PersonCrop], size: int) -> list[Lesson]:
    """Each photo painted from all the others; a single one from itself."""
    return [_lesson(model, [*photos[:number], *photos[number + 1 :]] or photos, photo, size)
            for number, photo in enumerate(photos)]


def _lesson(model: Reposer, sources: Sequence[PersonCrop], target: PersonCrop, size: int) -> Lesson:
    batch, pose, fine = Staged(model, sources, size=size).given(target.native_iuv)
    source, poses, at = model.tensors(batch, pose[None], fine)
    assert at is not None
    truth = target.at(size, 8)
    matte = torch.from_numpy(truth.matte.astype(np.float32) / 255)[None, None].to(poses.device)
    photo = torch.from_numpy(truth.photo.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(poses.device)
    head = dilated(shows(at[1].round(), HEAD_PARTS), max(size // 32, 1))
    return Lesson(source, poses, at, photo, matte, matte * (1 + (_HEAD - 1) * head), _learnt(size).to(matte),
                  _around(head))


def _learnt(size: int) -> Tensor:
    cells = torch.arange(size) * _SQUARES // size
    rows, columns = cells[:, None], cells[None]
    return 1 - ((rows % 2 == 0) & ((columns + rows // 2) % 2 == 0)).float()[None, None]


def _around(mask: Tensor) -> tuple[slice, slice] | None:
    rows, columns = torch.nonzero(mask[0, 0], as_tuple=True)
    if len(rows) < _LEAST:
        return None
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def loss_of(network: Generator, lesson: Lesson, distance: PerceptualDistance, *, learnt: bool) -> Loss:
    """How far the network's picture is from the photo, in the squares that are `learnt` from or in the others.

    The person alone is compared, before the same plain background: nothing of the room reaches a gradient.
    """
    painting = network(lesson.source, lesson.pose, lesson.fine)
    where = lesson.learnt if learnt else 1 - lesson.learnt
    weight = lesson.weight * where
    colours = ((painting.person - lesson.photo).abs() * weight).sum() / (3 * weight.sum()).clamp(min=1)
    matte = ((painting.soft_matte - lesson.matte).abs() * where).sum() / where.sum()
    return Loss(colours, matte, _head_loss(painting.person * painting.matte, lesson, where, distance))


def _head_loss(person: Tensor, lesson: Lesson, where: Tensor, distance: PerceptualDistance) -> Tensor:
    if lesson.head is None:
        return person.new_zeros(())
    rows, columns = lesson.head
    painted, real, mask = (F.interpolate(picture[:, :, rows, columns], size=(_FACE, _FACE), mode="bilinear",
                                         antialias=True)
                           for picture in (person, lesson.photo * lesson.matte, where.expand(1, 1, -1, -1)))
    total: Tensor = distance(painted, real, mask).mean()
    return total
