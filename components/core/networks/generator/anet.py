"""ANet: from the texture atlas to one appearance vector (StylePoseGAN, arXiv 2102.11263, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.networks.generator.warp import to_picture
from components.core.networks.layers import ActivatedConv, DownBlock, Linear, channels_at

_BLOCKS = 4


class ANet(nn.Module):
    """Four residual blocks that halve the sides, two convolutions with stride 4, a linear layer.

    textures [B, 24, 3, N, N] in [-1, 1] and seen [B, 24, 1, N, N] in 0..1 -> z [B, latent] of unit mean square.
    Unseen texels are set to 0. Channels: 4, then `width` doubled at each halving up to `max_width`.
    """

    def __init__(self, texel: int, width: int, max_width: int, latent: int) -> None:
        super().__init__()
        channels = [4, *(channels_at(level, width, max_width) for level in range(1, _BLOCKS + 1))]
        self.blocks = nn.ModuleList(DownBlock(channels[k], channels[k + 1]) for k in range(_BLOCKS))
        self.strided = nn.ModuleList(ActivatedConv(channels[-1], channels[-1], 5, stride=4) for _ in range(2))
        height, width_ = (_final_side(side * texel) for side in (6, 4))
        self.linear = Linear(channels[-1] * height * width_, latent)

    def forward(self, textures: Tensor, seen: Tensor) -> Tensor:
        x = to_picture(torch.cat((textures * seen, seen), 2))
        for block in self.blocks:
            x = block(x)
        for conv in self.strided:
            x = conv(x)
        z: Tensor = self.linear(x.flatten(1)).float()
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


def _final_side(side: int) -> int:
    for _ in range(_BLOCKS):
        side = -(-side // 2)
    for _ in range(2):
        side = (side + 4 - 5) // 4 + 1
    return side
