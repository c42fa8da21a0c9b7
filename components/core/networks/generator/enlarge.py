"""What was decided at a network's own size, at a larger one: smooth within a part of the body, sharp between parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.pictures.iuv import HEAD_PARTS

_GROUPS: tuple[tuple[int, ...], ...] = (
    (0,), (1, 2), HEAD_PARTS, (4, 15, 17, 19, 21), (3, 16, 18, 20, 22), (5, 8, 10, 12, 14), (6, 7, 9, 11, 13),
)
"""Background, torso, head, and each limb: parts that take nothing from each other. Left arm, right arm, left leg, right
leg."""
_LEAST = 0.02
"""Share of a group around a pixel below which the neighbourhood as a whole speaks for it."""


def enlarged(planes: Tensor, poses: Tensor, fine: Tensor) -> Tensor:
    """Planes [B, C, S, S] that belong to pose maps `poses` uint8 [B, 3, S, S], for the same poses `fine` [B, 3, T, T].

    A fine pixel takes the mean of the coarse ones around it that show its own limb (joint upsampling, Kopf et al. 2007,
    with the pose map as guide and a quadratic B-spline as kernel).
    """
    side, times = fine.shape[-1], max(1, round(fine.shape[-1] / poses.shape[-1]))
    coarse_group, group = _group(poses), _group(fine)
    out = _smooth(planes, side, times)
    for number in range(len(_GROUPS)):
        mine = (coarse_group == number).float()
        here = group == number
        if not here.any() or not mine.any():
            continue
        both = _smooth(torch.cat((planes * mine, mine), 1), side, times)
        weight = both[:, -1:]
        out = torch.where(here & (weight > _LEAST), both[:, :-1] / weight.clamp(min=_LEAST), out)
    return out


def _group(poses: Tensor) -> Tensor:
    """Which of the groups each pixel shows: [B, 1, H, W]."""
    table = torch.zeros(25, dtype=torch.long, device=poses.device)
    for number, parts in enumerate(_GROUPS):
        table[list(parts)] = number
    return table[poses[:, :1].long()]


def _smooth(planes: Tensor, side: int, times: int) -> Tensor:
    large = F.interpolate(planes.float(), (side, side), mode="bilinear", align_corners=False)
    if times == 1:
        return large
    radius = times // 2
    for axis in (2, 3):
        pad = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
        kernel = (2 * radius + 1, 1) if axis == 2 else (1, 2 * radius + 1)
        large = F.avg_pool2d(F.pad(large, pad, mode="replicate"), kernel, stride=1)
    return large
