"""Is this a photo of a person? The residual discriminator of StyleGAN2 (arXiv 1912.04958, figure 7c).

It sees the person over a background that is given and the same for real and painted, so the background tells
nothing and need not be learnt by anybody.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.core.networks.layers import Conv, DownBlock, Linear, MinibatchDeviation, activate, channels_at

_LAST_SIDE = 4


class Discriminator(nn.Module):
    """Residual blocks down to 4 x 4, minibatch standard deviation, two linear layers.

    images [B, 3, S, S] in [-1, 1] and poses uint8 [B, 3, S, S] -> logits [B]; positive means real. The pose map is
    part of the question: a good picture in another pose is wrong.
    """

    def __init__(self, resolution: int, width: int, max_width: int) -> None:
        super().__init__()
        halvings = (resolution // _LAST_SIDE).bit_length() - 1
        channels = [channels_at(level, width, max_width) for level in range(halvings + 1)]
        self.stem = Conv(6, channels[0], 1)
        self.blocks = nn.ModuleList(DownBlock(channels[k], channels[k + 1]) for k in range(halvings))
        self.deviation = MinibatchDeviation()
        self.last = Conv(channels[-1] + 1, channels[-1], 3)
        self.linear = Linear(channels[-1] * _LAST_SIDE**2, channels[-1])
        self.logit = Linear(channels[-1], 1)

    def forward(self, images: Tensor, poses: Tensor) -> Tensor:
        part, u, v = poses.float().unbind(1)
        asked = torch.stack((part / 12 - 1, u / 127.5 - 1, v / 127.5 - 1), 1)
        x = activate(self.stem(torch.cat((images, asked), 1)))
        for block in self.blocks:
            x = block(x)
        x = activate(self.last(self.deviation(x)))
        logits: Tensor = self.logit(activate(self.linear(x.flatten(1))))
        return logits[:, 0].float()
