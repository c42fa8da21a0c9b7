"""Where charts meet, a picture's pixels are looked up in places that lie far apart: single ones stand out of a seam.

Around the chin, along the head's outline, where an arm lies before the body. There each pixel takes the median of its
surroundings, colour by colour, which keeps edges and drops specks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.generator.alignment import shows
from components.core.networks.layers import dilated
from components.core.pictures.iuv import HEAD_PARTS

_JUMP, _TIMES = 10.0, 4.0
"""Steps of U or V between neighbouring pixels above which they are not neighbours on the surface, in a figure so small
that a pixel is many steps as many times the usual ones."""


def seams(poses: Tensor, reach: int) -> Tensor:
    """Pixels of a pose map [B, 3, T, T] at most `reach` from a border of parts or a jump within one: bool [B, T, T]."""
    head, left = (shows(poses, parts) for parts in (HEAD_PARTS, HEAD_PARTS[1:]))
    # The halves of a head go on from each other: U ends in the middle of the face in one and begins there in the other.
    poses = torch.cat((poses[:, :1] - left, poses[:, 1:2] + 255 * left, poses[:, 2:]), 1)
    found = torch.zeros_like(head)
    for axis in (2, 3):
        length = poses.shape[axis] - 1
        first, second = (poses.narrow(axis, start, length) for start in (0, 1))
        border = first[:, :1] != second[:, :1]
        steps = (first - second)[:, 1:].abs().amax(1, keepdim=True)
        on_head = head.narrow(axis, 0, length) > 0
        body = (first[:, :1] > 0) & ~border
        for part in (body & on_head, body & ~on_head):
            usual = torch.where(part, steps, torch.nan).flatten(1).nanmedian(1).values.nan_to_num()
            border |= part & (steps > (_TIMES * usual).clamp(min=_JUMP)[:, None, None, None])
        for start in (0, 1):
            beside = found.narrow(axis, start, length)
            beside.copy_(torch.maximum(beside, border.float()))
    return dilated(found, reach)[:, 0] > 0 if reach > 1 else found[:, 0] > 0


def mended(planes: Tensor, poses: Tensor, radius: int) -> Tensor:
    """Planes [B, C, T, T] with the median of a square of `radius` pixels to each side along the seams of `poses`."""
    image, rows, columns = torch.nonzero(seams(poses, radius), as_tuple=True)
    if not len(image):
        return planes
    padded = F.pad(planes, (radius,) * 4, mode="replicate")
    steps = range(2 * radius + 1)
    around = torch.stack([padded[image, :, rows + down, columns + across] for down in steps for across in steps])
    out = planes.clone()
    out[image, :, rows, columns] = around.median(0).values
    return out
