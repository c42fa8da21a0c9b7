"""Faces aligned by the pose map: `head.py` finds the face; here it is cut out of a batch of images, differentiably."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from components.core.faces.head import MIN_HEAD, face_to_image, supersampling


def align(images: Tensor, iuv: Tensor, size: int, *, min_head: int = MIN_HEAD,
          around: int = 0) -> tuple[Tensor, Tensor]:
    """Turn, scale and cut out faces so that eyes, nose and mouth lie in their canonical places.

    `images` [B, 3, H, W] float and their pose maps `iuv` [B, 3, H, W] uint8 -> faces [B, 3, size, size] and
    valid [B] bool. Not valid, and all zero: the face is not seen, or the head is under `min_head` pixels high.
    `around`: so many pixels more on every side, for who has to see where the face ends.
    The similarity transform is the least-squares one from `face_points`; sampling is bilinear, after averaging where
    the face shrinks, and differentiable with respect to `images`.
    """
    maps = iuv.detach().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    transforms = [face_to_image(one, size, min_head) for one in maps]
    valid = torch.tensor([transform is not None for transform in transforms], dtype=torch.bool, device=images.device)
    side = size + 2 * around
    faces = images.new_zeros(len(transforms), 3, side, side)
    # Images that shrink by the same factor are sampled together.
    by_factor: dict[int, list[int]] = {}
    for index, transform in enumerate(transforms):
        if transform is not None:
            factor = supersampling(transform[0])
            by_factor.setdefault(factor, []).append(index)
    for factor, indices in by_factor.items():
        chosen = [transform for i in indices if (transform := transforms[i]) is not None]
        grid = _sampling_grid(chosen, side, factor, around, images.shape[-2:]).to(images)
        at = torch.tensor(indices, device=images.device)
        sampled = functional.grid_sample(images[at], grid, mode="bilinear", padding_mode="border", align_corners=False)
        faces = faces.index_copy(0, at, functional.avg_pool2d(sampled, factor) if factor > 1 else sampled)
    return faces, valid


def _sampling_grid(transforms: list[tuple[complex, complex]], side: int, factor: int, around: int,
                   shape: torch.Size) -> Tensor:
    """Where to sample [n, side * factor, side * factor, 2], in grid_sample's coordinates for images of `shape`."""
    steps = (np.arange(side * factor) + 0.5) / factor - 0.5 - around
    at = steps[None, :] + 1j * steps[:, None]
    height, width = shape
    spots = np.stack([turn * at + shift for turn, shift in transforms])
    grid = np.stack([(2 * spots.real + 1) / width - 1, (2 * spots.imag + 1) / height - 1], axis=-1)
    return torch.from_numpy(grid)
