"""A plain StyleGAN2 in plain PyTorch, as a yardstick for a step's speed: what anybody would write from the paper
(Karras et al., arXiv 1912.04958), with no custom kernels.

Mapping network, weights modulated and demodulated per sample and applied by one grouped convolution, skip generator,
residual discriminator with minibatch standard deviation, logistic loss, R1 every 16th step; bf16 as in this project's
training, no path length penalty. Nothing of this project's networks is used.
"""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LATENT = 512
_R1_EVERY, _R1_GAMMA = 16, 10.0


@functools.cache
def _kernel(device: torch.device, dtype: torch.dtype) -> Tensor:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], device=device, dtype=dtype)
    return torch.outer(row, row) / row.sum() ** 2


def _smooth(x: Tensor) -> Tensor:
    kernel = _kernel(x.device, x.dtype).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (2, 1, 2, 1)), kernel, groups=x.shape[1])


def _twice(x: Tensor) -> Tensor:
    return _smooth(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class _Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(outputs, inputs)), nn.Parameter(torch.full((outputs,), bias))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class _Modulated(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = _Dense(_LATENT, inputs, 1.0)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.demodulate, self.scale = demodulate, 1 / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor, w: Tensor, *, up: bool = False) -> Tensor:
        batch, _, height, width = x.shape
        weight = self.weight[None] * (self.scale * self.style(w).float())[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        if up:
            x = _twice(x)
            height, width = 2 * height, 2 * width
        y = F.conv2d(x.reshape(1, -1, height, width), weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=batch)
        return y.reshape(batch, -1, height, width) + self.bias[:, None, None]


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv, self.up, self.strength = _Modulated(inputs, outputs, 3), up, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = self.conv(x, w, up=self.up)
        y = y + self.strength * torch.randn_like(y[:, :1])
        return F.leaky_relu(y, 0.2) * math.sqrt(2)


class Generator(nn.Module):
    """w -> [B, 3, side, side]; `channels` from 4 x 4 upwards."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.mapping = nn.ModuleList(_Dense(_LATENT, _LATENT) for _ in range(8))
        self.start = nn.Parameter(torch.randn(channels[0], 4, 4))
        self.first, self.layers, self.pictures = _Layer(channels[0], channels[0]), nn.ModuleList(), nn.ModuleList()
        self.pictures.append(_Modulated(channels[0], 3, 1, demodulate=False))
        for one, other in pairwise(channels):
            self.layers += [_Layer(one, other, up=True), _Layer(other, other)]
            self.pictures.append(_Modulated(other, 3, 1, demodulate=False))

    def forward(self, z: Tensor) -> Tensor:
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), 0.2) * math.sqrt(2)
        x = self.first(self.start.expand(len(z), -1, -1, -1), w)
        picture: Tensor = self.pictures[0](x, w)
        for number in range(0, len(self.layers), 2):
            x = self.layers[number + 1](self.layers[number](x, w), w)
            picture = _twice(picture) + self.pictures[1 + number // 2](x, w)
        whole: Tensor = picture.float()
        return whole


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(inputs, inputs, 3, padding=1), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.other(_smooth(F.leaky_relu(self.one(x), 0.2)))[..., ::2, ::2], 0.2)
        both: Tensor = (y + self.skip(_smooth(x)[..., ::2, ::2])) / math.sqrt(2)
        return both


class Discriminator(nn.Module):
    """[B, 3, side, side] -> logits [B]; `channels` as the generator's."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        down = channels[::-1]
        self.stem = nn.Conv2d(3, down[0], 1)
        self.blocks = nn.ModuleList(_Block(one, other) for one, other in pairwise(down))
        self.last = nn.Conv2d(down[-1] + 1, down[-1], 3, padding=1)
        self.dense, self.logit = _Dense(down[-1] * 16, down[-1]), _Dense(down[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(images), 0.2)
        for block in self.blocks:
            x = block(x)
        spread = x.float().var(0, unbiased=False).add(1e-8).sqrt().mean().to(x.dtype)
        x = F.leaky_relu(self.last(torch.cat((x, spread.expand(len(x), 1, 4, 4)), 1)), 0.2)
        logits: Tensor = self.logit(F.leaky_relu(self.dense(x.flatten(1)), 0.2))
        return logits[:, 0].float()


class Yardstick:
    """Both networks, their Adams, and a step of each."""

    def __init__(self, side: int, width: int, max_width: int, device: torch.device) -> None:
        sides = [4 << level for level in range((side // 4).bit_length())]
        channels = [min(width * side // one, max_width) for one in sides]
        self.device = device
        self.generator, self.discriminator = Generator(channels).to(device), Discriminator(channels).to(device)
        fused = device.type == "cuda"
        self.optimisers = [torch.optim.Adam(network.parameters(), 0.002, (0.0, 0.99), fused=fused)
                           for network in (self.generator, self.discriminator)]

    def step(self, step: int, real: Tensor) -> None:
        """The generator's step, then the discriminator's on `real` [B, 3, side, side]."""
        mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        with mixed:
            painted = self.generator(torch.randn(len(real), _LATENT, device=self.device))
            loss = F.softplus(-self.discriminator(painted)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[0].step()
        self.discriminator.requires_grad_(True)
        penalise = step % _R1_EVERY == 0
        real = real.detach().requires_grad_(penalise)
        with mixed:
            logits = self.discriminator(real)
            loss = F.softplus(-logits).mean() + F.softplus(self.discriminator(painted.detach())).mean()
        if penalise:
            (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
            loss = loss + _R1_GAMMA / 2 * _R1_EVERY * slope.square().sum((1, 2, 3)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[1].step()
