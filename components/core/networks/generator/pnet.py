"""PNet: from the target's pose map, and in `warp` the inputs warped to it, to pose features (section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.networks.layers import ActivatedConv, DownBlock, channels_at

LEVELS = 4
"""Halvings between the full resolution and PNet's tensor at S/16."""
PARTS = 25
_EMBEDDING = 6


class PNet(nn.Module):
    """A convolution at full resolution, then four residual blocks that halve the sides.

    poses uint8 [B, 3, S, S] as (I, U, V) and, when `warped` > 0, that many more channels [B, warped, S, S] ->
    features at S, S/2, S/4, S/8, S/16, finest first; channels `width` doubled at each halving up to `max_width`.
    I enters as a learnt vector per part (part numbers are names, not quantities), U and V in [-1, 1].
    """

    def __init__(self, width: int, max_width: int, warped: int = 0) -> None:
        super().__init__()
        channels = [channels_at(level, width, max_width) for level in range(LEVELS + 1)]
        self.parts = nn.Parameter(torch.randn(PARTS, _EMBEDDING))
        self.stem = ActivatedConv(_EMBEDDING + 2 + warped, channels[0], 3)
        self.blocks = nn.ModuleList(DownBlock(channels[k], channels[k + 1]) for k in range(LEVELS))

    def forward(self, poses: Tensor, warped: Tensor | None = None) -> list[Tensor]:
        index = poses[:, 0].long()
        named = self.parts[index].permute(0, 3, 1, 2)
        places = (poses[:, 1:].float() / 127.5 - 1) * (index > 0)[:, None]
        inputs = [named, places] if warped is None else [named, places, warped]
        features = [self.stem(torch.cat(inputs, 1))]
        for block in self.blocks:
            features.append(block(features[-1]))
        return features
