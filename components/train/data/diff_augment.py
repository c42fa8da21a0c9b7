"""DiffAugment (Zhao et al., arXiv 2006.10738): what the discriminator sees, real or painted, changed at random.

With few photos a discriminator learns them by heart and its gradient stops meaning anything. Changes that are
differentiable and the same in kind for real and painted pictures delay that, and do not leak into the paintings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SHIFT = 1 / 8  # Largest translation, as a share of the side.
_HOLE = 1 / 2  # Side of the square that is cut out, as a share of the side.


def diff_augment(images: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Random brightness, saturation, contrast, translation and cutout per picture, drawn from torch's generator.

    images [B, 3, S, S] in [-1, 1] (differentiable), poses uint8 [B, 3, S, S], which move with their picture.
    """
    images, poses = _moved(_recoloured(images), poses)
    return _cut_out(images), poses


def _recoloured(images: Tensor) -> Tensor:
    light, colour, contrast = torch.rand(3, len(images), 1, 1, 1, device=images.device)
    images = images + (light - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * colour) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    out: Tensor = (images - mean) * (contrast + 0.5) + mean
    return out


def _moved(images: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, side, _ = images.shape
    most = max(round(side * _SHIFT), 1)
    shift = torch.randint(-most, most + 1, (2, batch, 1), device=images.device)
    places = torch.arange(side, device=images.device) + most
    rows, columns = (places + one for one in shift)
    # Pictures get a black margin as wide as the longest way, and are cut out of it again.
    which = torch.arange(batch, device=images.device)[:, None, None]
    taken = [F.pad(plane, (most,) * 4).permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
             for plane in (images, poses)]
    return taken[0].permute(0, 3, 1, 2), taken[1].permute(0, 3, 1, 2)


def _cut_out(images: Tensor) -> Tensor:
    batch, _, side, _ = images.shape
    half = max(round(side * _HOLE) // 2, 1)
    centres = torch.randint(0, side, (2, batch, 1), device=images.device)
    places = torch.arange(side, device=images.device)
    rows, columns = ((places - centre).abs() < half for centre in centres)
    hole: Tensor = rows[:, None, :, None] & columns[:, None, None, :]
    return images * ~hole
