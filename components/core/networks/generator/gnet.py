"""GNet: StyleGAN2 blocks on PNet's tensor, every layer modulated by z (StylePoseGAN section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.core.networks.generator.pnet import LEVELS
from components.core.networks.layers import Paint, StyledConv, channels_at, upsample


class ResidualBlock(nn.Module):
    """Two styled convolutions with an identity path: x [B, C, H, W], z [B, latent] -> [B, C, H, W]."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.conv0 = StyledConv(channels, channels, latent)
        self.conv1 = StyledConv(channels, channels, latent)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        y: Tensor = self.conv1(self.conv0(x, z), z)
        return torch.div(x + y, math.sqrt(2.0))


class UpBlock(nn.Module):
    """Doubles the sides with two styled convolutions and adds this scale's share of the output (skip outputs)."""

    def __init__(self, inputs: int, outputs: int, painted: int, latent: int) -> None:
        super().__init__()
        self.conv0 = StyledConv(inputs, outputs, latent, up=True)
        self.conv1 = StyledConv(outputs, outputs, latent)
        self.paint = Paint(outputs, painted, latent)

    def forward(self, x: Tensor, z: Tensor, skip: Tensor | None, picture: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv1(self.conv0(x, z, skip), z)
        return x, upsample(picture) + self.paint(x, z).float()


class GNet(nn.Module):
    """Residual blocks at S/16, then four upsampling blocks.

    features: PNet's list, finest first; with `skips` each scale's tensor joins the block of that scale, otherwise
    only the last is used (as published). z [B, latent]. -> [B, painted, S, S]: colours, matte logit, and whatever
    else the caller reads from further channels; no final activation.
    """

    def __init__(self, width: int, max_width: int, latent: int, *, painted: int, blocks: int, skips: bool) -> None:
        super().__init__()
        channels = [channels_at(level, width, max_width) for level in range(LEVELS + 1)]
        self.residual = nn.ModuleList(ResidualBlock(channels[-1], latent) for _ in range(blocks))
        self.paint = Paint(channels[-1], painted, latent)
        self.up = nn.ModuleList(UpBlock(channels[k + 1], channels[k], painted, latent) for k in reversed(range(LEVELS)))
        self.bias = nn.Parameter(torch.zeros(painted))
        self._skips = skips

    @torch.no_grad()
    def start_quietly(self) -> None:
        """Shrink what it paints to a tenth: for a caller that starts from a picture of its own."""
        for name, weight in self.named_parameters():
            if name.endswith("paint.weight"):
                weight.mul_(0.1)

    def forward(self, features: Sequence[Tensor], z: Tensor) -> Tensor:
        x = features[-1]
        for block in self.residual:
            x = block(x, z)
        picture = self.paint(x, z).float()  # the sum over all scales is kept to 24 bits, as a picture needs
        for level, up in zip(reversed(range(LEVELS)), self.up, strict=True):
            x, picture = up(x, z, features[level] if self._skips else None, picture)
        out: Tensor = (picture + self.bias[:, None, None]).contiguous()  # planes, as its channels are read
        return out
