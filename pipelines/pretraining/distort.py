"""What can be wrong with a picture: named distortions of a chosen strength, and the augmentation of faces.

All take and give [B, 3, H, W] in [-1, 1] and draw from the generator that they are given.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Random = torch.Generator


def blur(images: Tensor, strength: float, random: Random) -> Tensor:
    """Gaussian blur; at strength 1 its standard deviation is 4 % of the side."""
    return gaussian(images, 0.04 * strength * images.shape[-1])


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels, reflected at the border."""
    radius = min(max(1, round(3 * sigma)), images.shape[-1] - 1)
    places = torch.arange(-radius, radius + 1, dtype=images.dtype)
    kernel = torch.exp(-places.square() / (2 * max(sigma, 0.05) ** 2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    rows = F.conv2d(F.pad(images, (radius, radius, 0, 0), mode="reflect"), kernel, groups=3)
    return F.conv2d(F.pad(rows, (0, 0, radius, radius), mode="reflect"), kernel.mT, groups=3)


def noise(images: Tensor, strength: float, random: Random) -> Tensor:
    """Gaussian noise; at strength 1 its standard deviation is a quarter of the range."""
    return (images + 0.5 * strength * torch.randn(images.shape, generator=random)).clamp(-1, 1)


def coarse(images: Tensor, strength: float, random: Random) -> Tensor:
    """Shrunk and enlarged again; at strength 1 an eighth of the side is left."""
    return down_up(images, max(4, round(images.shape[-1] / (1 + 7 * strength))))


def down_up(images: Tensor, side: int) -> Tensor:
    """Antialiased reduction to `side`, then bilinear enlargement."""
    small = F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)


def shift(images: Tensor, strength: float, random: Random) -> Tensor:
    """Moved in a random direction; at strength 1 by a tenth of the side."""
    angle = 2 * torch.pi * torch.rand(len(images), generator=random)
    way = 0.2 * strength * torch.stack([angle.cos(), angle.sin()], 1)
    return _resample(images, way[:, None, None])


def nudged(images: Tensor, random: Random) -> Tensor:
    """Two thirds of a batch moved by a fraction of a pixel: the softness of resampling is nothing wrong."""
    count = 2 * len(images) // 3
    way = (2 * torch.rand(count, 1, 1, 2, generator=random) - 1) / images.shape[-1]
    order = torch.randperm(len(images), generator=random)
    changed = images.clone()
    changed[order[:count]] = _resample(images[order[:count]], way)
    return changed


def warp(images: Tensor, strength: float, random: Random) -> Tensor:
    """Smooth random deformation on a 6 x 6 grid; at strength 1 typically by 4 % of the side."""
    grid = torch.randn(len(images), 2, 6, 6, generator=random)
    field = F.interpolate(grid, images.shape[-2:], mode="bicubic", align_corners=True)
    return _resample(images, 0.08 * strength * field.permute(0, 2, 3, 1))


def colour(images: Tensor, strength: float, random: Random) -> Tensor:
    """Gain and offset of each channel of each picture."""
    amount = torch.randn(2, len(images), 3, 1, 1, generator=random) * strength
    return (images * (1 + 0.3 * amount[0]) + 0.25 * amount[1]).clamp(-1, 1)


def swap(images: Tensor, strength: float, random: Random) -> Tensor:
    """A square of another picture of the batch pasted in; at strength 1 half as wide as the picture."""
    side = max(2, round(images.shape[-1] * 0.5 * strength))
    y, x = (int(torch.randint(0, images.shape[-1] - side + 1, (), generator=random)) for _ in range(2))
    changed = images.clone()
    changed[..., y : y + side, x : x + side] = images.roll(1, 0)[..., y : y + side, x : x + side]
    return changed


DISTORTIONS: dict[str, Callable[[Tensor, float, Random], Tensor]] = {
    "blur": blur, "noise": noise, "coarse": coarse, "shift": shift, "warp": warp, "colour": colour, "swap": swap,
}


def distorted(images: Tensor, random: Random, *, pieces: int = 8) -> tuple[Tensor, Tensor]:
    """Distort each of `pieces` equal pieces of a batch in one way, the first quarter of them not at all.

    Returns the pictures and the strengths [B, kinds] in 0..1, a column per distortion in the order of `DISTORTIONS`.
    """
    kinds = list(DISTORTIONS.values())
    strengths = torch.zeros(len(images), len(kinds))
    changed, start = [], 0
    for index, piece in enumerate(images.chunk(pieces)):
        if index >= pieces // 4:
            kind = int(torch.randint(0, len(kinds), (), generator=random))
            strength = 0.05 + 0.95 * float(torch.rand((), generator=random)) ** 1.5
            strengths[start : start + len(piece), kind] = strength
            piece = kinds[kind](piece, strength, random)
        changed.append(piece)
        start += len(piece)
    return torch.cat(changed), strengths


def vary_faces(images: Tensor, size: int, random: Random) -> Tensor:
    """Augment faces [B, 3, H, W] and bring them to `size`: place, light, mirror, sharpness (down to 10 px), noise,
    a hidden square. What a small, blurred or half painted face still tells is to count."""
    count = len(images)
    images = _place(images, size, random)
    light = torch.rand(2, count, 3, 1, 1, generator=random) - 0.5
    even = torch.rand(2, count, 1, 1, 1, generator=random) - 0.5
    images = images * (1 + 0.12 * light[0] + 0.4 * even[0]) + 0.08 * light[1] + 0.3 * even[1]
    pieces = []
    for piece in images.chunk(8):
        choice = float(torch.rand((), generator=random))
        if choice < 0.45:
            piece = down_up(piece, int(torch.randint(10, size, (), generator=random)))
        elif choice < 0.65:
            piece = gaussian(piece, 0.3 + 2.2 * float(torch.rand((), generator=random)))
        if choice > 0.85 or choice < 0.1:
            piece = piece + 0.15 * float(torch.rand((), generator=random)) * torch.randn(piece.shape, generator=random)
        if float(torch.rand((), generator=random)) < 0.3:
            side = int(torch.randint(4, size // 3, (), generator=random))
            y, x = (int(torch.randint(0, size - side + 1, (), generator=random)) for _ in range(2))
            piece = piece.clone()
            piece[..., y : y + side, x : x + side] = piece.mean((2, 3), keepdim=True)
        pieces.append(piece)
    return torch.cat(pieces).clamp(-1, 1)


def _place(images: Tensor, size: int, random: Random) -> Tensor:
    """Turn by 6 degrees, scale by 7 %, move by 4 %, mirror half of them; all as standard deviations or odds."""
    count = len(images)
    turn, grow, right, down = torch.randn(4, count, generator=random) * torch.tensor([[0.1], [0.07], [0.08], [0.08]])
    mirror = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    scale = grow.exp()
    matrix = torch.stack(
        [
            torch.stack([scale * turn.cos() * mirror, -scale * turn.sin(), right], 1),
            torch.stack([scale * turn.sin() * mirror, scale * turn.cos(), down], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, [count, 3, size, size], align_corners=False)
    if images.shape[-1] > size:
        images = gaussian(images, 0.4 * (images.shape[-1] / size) ** 0.5)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _resample(images: Tensor, moved: Tensor) -> Tensor:
    """Sample at places moved by [B, H, W, 2] (or broadcastable) in units of half the side."""
    still = torch.eye(2, 3).expand(len(images), 2, 3)
    grid = F.affine_grid(still, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid + moved, padding_mode="reflection", align_corners=False)
