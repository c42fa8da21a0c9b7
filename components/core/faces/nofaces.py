"""What is no face though it is made of one: for teaching the network that finds faces, and for trying it.

All take aligned faces [B, 3, S, S] in [-1, 1] and give as many pictures of that shape.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from components.core.faces.head import CANONICAL_FACE

_RADIUS = 0.15
"""Of what is painted over around each eye, nose and mouth corner, as a share of the side."""


def shuffled(faces: Tensor, grid: int = 4, random: torch.Generator | None = None) -> Tensor:
    """The grid x grid fields of each face in another order, the same for all; without `random` always the same."""
    random = random or torch.Generator().manual_seed(0)
    side = faces.shape[-1] // grid
    order = torch.randperm(grid * grid, generator=random)
    while (order == torch.arange(grid * grid)).float().mean() > 0.3:
        order = torch.randperm(grid * grid, generator=random)
    out = faces.clone()
    for to, where in enumerate(order.tolist()):
        (y, x), (v, u) = divmod(to, grid), divmod(where, grid)
        out[..., y * side : (y + 1) * side, x * side : (x + 1) * side] = (
            faces[..., v * side : (v + 1) * side, u * side : (u + 1) * side])
    return out


def smeared(faces: Tensor, pixels: int = 3) -> Tensor:
    """Each face blurred to pixels x pixels."""
    few = functional.adaptive_avg_pool2d(faces, pixels)
    return functional.interpolate(few, faces.shape[-2:], mode="bilinear")


def erased(faces: Tensor) -> Tensor:
    """Each face with eyes, nose and mouth painted over with the colour of its cheeks: shape, hair and light stay."""
    size = faces.shape[-1]
    at = (torch.arange(size, dtype=faces.dtype, device=faces.device) + 0.5) / size
    spots = torch.tensor(CANONICAL_FACE, dtype=faces.dtype, device=faces.device)
    middle = (spots[3:].mean(0, keepdim=True), spots[:2].mean(0, keepdim=True))  # between mouth corners, between eyes
    spots = torch.cat([spots, *middle])
    squared = (at[None, None] - spots[:, 0, None, None]) ** 2 + (at[None, :, None] - spots[:, 1, None, None]) ** 2
    over = torch.exp(-(squared / _RADIUS**2) ** 2).amax(0)
    # Where both cheeks are: between the eye and the mouth corner of each side, a little outwards.
    cheeks = [(0.29, 0.52), (0.71, 0.52)]
    near = max(1, size // 16)
    colours = [faces[..., round(y * size) - near : round(y * size) + near, round(x * size) - near :
                     round(x * size) + near].mean((2, 3), keepdim=True) for x, y in cheeks]
    across = at[None, :].expand(size, size)
    skin = colours[0] * (1 - across) + colours[1] * across
    return faces * (1 - over) + skin * over
