"""What was decided at a network's own size, at a larger one: smooth within a part of the body, sharp between parts."""

from __future__ import annotations

import torch
from torch import Tensor

from components.core.networks.layers import constant
from components.core.pictures.iuv import HEAD_PARTS, PARTS

_GROUPS: tuple[tuple[int, ...], ...] = (
    (0,), (1, 2), HEAD_PARTS, (4, 15, 17, 19, 21), (3, 16, 18, 20, 22), (5, 8, 10, 12, 14), (6, 7, 9, 11, 13),
)
"""Background, torso, head, left arm, right arm, left leg, right leg: what takes nothing from each other."""
_GROUP_OF = tuple(next(number for number, parts in enumerate(_GROUPS) if part in parts) for part in range(PARTS + 1))
_LEAST = 0.02
"""Share of a group around a pixel below which the neighbourhood as a whole speaks for it."""


def enlarged(planes: Tensor, poses: Tensor, fine: Tensor) -> Tensor:
    """Planes [B, C, S, S] that belong to pose maps `poses` [B, 3, S, S], for the same poses `fine` [B, 3, T, T].

    A fine pixel takes the mean of the coarse ones around it that show its own limb (joint upsampling, Kopf et al. 2007,
    with the pose map as guide and a quadratic B-spline as kernel).
    """
    weights = _spline(planes.shape[-1], fine.shape[-1], planes.device)
    coarse, group = _group(poses), _group(fine)
    out = _spread(planes.float(), weights, weights)
    for number in range(len(_GROUPS)):
        here, mine = group == number, (coarse == number).float()
        box = _box(here)
        if box is None or not mine.any():
            continue
        rows, columns = box
        both = _spread(torch.cat((planes * mine, mine), 1), weights[rows], weights[columns])
        weight = both[:, -1:]
        own = both[:, :-1] / weight.clamp(min=_LEAST)
        part = out[:, :, rows, columns]
        part.copy_(torch.where(here[:, :, rows, columns] & (weight > _LEAST), own, part))
    return out


def plainly_enlarged(planes: Tensor, side: int) -> Tensor:
    """Planes [B, C, S, S] -> [B, C, side, side] through a quadratic B-spline, whatever the pixels show."""
    weights = _spline(planes.shape[-1], side, planes.device)
    return _spread(planes.float(), weights, weights)


def _group(poses: Tensor) -> Tensor:
    """Which of the groups each pixel shows: [B, 1, H, W]."""
    return constant(_GROUP_OF, poses.device, torch.uint8)[poses[:, :1].long()]


def _box(mask: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns around what is set in any of [B, 1, H, W]."""
    found = [torch.nonzero(mask.any(0)[0].any(axis)).flatten() for axis in (1, 0)]
    if not len(found[0]):
        return None
    rows, columns = (slice(int(one[0]), int(one[-1]) + 1) for one in found)
    return rows, columns


def _spline(coarse: int, fine: int, device: torch.device) -> Tensor:
    """What each of `coarse` pixels says at each of `fine`: [fine, coarse], rows sum to 1. Any ratio."""
    places = (torch.arange(fine, device=device, dtype=torch.float32) + 0.5) * (coarse / fine) - 0.5
    apart = (places[:, None] - torch.arange(coarse, device=device)).abs()
    weights = torch.where(apart < 0.5, 0.75 - apart.square(), 0.5 * (1.5 - apart).clamp(min=0).square())
    return weights / weights.sum(1, keepdim=True)


def _spread(planes: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[B, C, S, S] at the places of these rows and columns of `_spline`: [B, C, R, K]."""
    return rows @ (planes @ columns.T)
