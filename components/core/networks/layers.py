"""Building blocks of the StyleGAN2 family (Karras et al., arXiv 1912.04958) in plain PyTorch.

Weights are drawn from N(0, 1) and scaled at run time by 1/sqrt(fan in) (equalised learning rate, arXiv 1710.10196
section 4.1), so that one Adam learning rate suits every layer. Modulation scales activations instead of building a
weight per sample: the same sums (arXiv 1912.04958, section 2.2), as one ordinary convolution over the whole batch.

What is left beside convolutions is passes over memory. To have few of them, a layer's constant factors go into its
weights, sums are made in place where no gradient needs what was there before (so these layers can be differentiated
twice like any other), and pictures lie in memory pixel by pixel (`pixels_first`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE = 0.2
_GAIN = math.sqrt(2.0)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, times sqrt(2) so that it keeps the variance. Any shape."""
    return F.leaky_relu(x, _SLOPE) * _GAIN


def pixels_first(x: Tensor) -> Tensor:
    """The same [B, C, H, W] with each pixel's channels side by side in memory (torch's `channels_last`).

    Convolutions of few channels take two thirds of the time that they take plane by plane. All layers keep the order.
    """
    return x.contiguous(memory_format=torch.channels_last)


_MIXED: ContextVar[tuple[str, ...]] = ContextVar("mixed", default=("cuda",))


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bf16 for convolutions and matrix products on a CUDA GPU. Full precision elsewhere: on a CPU bf16 is slower."""
    return torch.autocast(device.type, torch.bfloat16) if device.type in _MIXED.get() else nullcontext()


@contextmanager
def mixed_on(*kinds: str) -> Iterator[None]:
    """Have `mixed_precision` mean something on these kinds of devices, and on no others: to compare the formats."""
    before = _MIXED.set(kinds)
    try:
        yield
    finally:
        _MIXED.reset(before)


def as_they_are(device: torch.device) -> AbstractContextManager[object]:
    """Where operations compute in the format of what they are given, autocast or not."""
    return torch.autocast(device.type, enabled=False) if device.type in ("cuda", "cpu") else nullcontext()


@functools.cache
def constant(values: tuple[object, ...], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A small table on a device, copied there once: each copy makes the processor wait for all that the GPU has to do.

    Not to be written to.
    """
    with torch.inference_mode(False):  # whoever asks first: training must be able to keep it for its backward pass
        return torch.tensor(values, dtype=dtype, device=device)


def _kernel(x: Tensor, total: float) -> Tensor:
    make = _filter if torch.compiler.is_compiling() else _kept_filter
    return make(x.device, x.dtype, total).expand(x.shape[1], 1, 4, 4)


def _filter(device: torch.device, dtype: torch.dtype, total: float) -> Tensor:
    with torch.inference_mode(False):
        # Made where it is needed: what comes from the processor cannot be part of a CUDA graph.
        row = torch.where(torch.arange(4, device=device) % 3 == 0, 1.0, 3.0).to(dtype)
        return torch.outer(row, row) * (total / 64.0)


_kept_filter = functools.cache(_filter)


def downsample(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, H/2, W/2] through the [1, 3, 3, 1] filter of StyleGAN2, sides rounded down."""
    with as_they_are(x.device):
        return F.conv2d(x, _kernel(x, 1.0), stride=2, padding=1, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W] through the [1, 3, 3, 1] filter."""
    with as_they_are(x.device):
        return F.conv_transpose2d(x, _kernel(x, 4.0), stride=2, padding=1, groups=x.shape[1])


def softened(x: Tensor) -> Tensor:
    """[B, C, H, W] through the [1, 2, 1] filter in x and y; edges repeat."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def dilated(mask: Tensor, radius: int) -> Tensor:
    """Largest value within `radius` pixels in x and y: [B, C, H, W] -> the same shape. One axis after the other.

    Windows double until they are 2 `radius` + 1 wide: a few maxima of two tensors, a tenth of a pooling's time.
    """
    dilated = F.pad(mask, (radius, radius, radius, radius), value=-math.inf)
    for axis in (-2, -1):
        reached, wanted = 1, 2 * radius + 1
        while reached < wanted:
            shift = min(reached, wanted - reached)
            length = dilated.shape[axis] - shift
            dilated = torch.maximum(dilated.narrow(axis, 0, length), dilated.narrow(axis, shift, length))
            reached += shift
    return dilated


class Linear(nn.Module):
    """Linear layer with equalised learning rate: [B, inputs] -> [B, outputs]."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self._scale = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self._scale, self.bias)


class Conv(nn.Module):
    """Convolution with equalised learning rate and "same" padding: [B, inputs, H, W] -> [B, outputs, H/s, W/s]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self._scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self._stride, self._padding = stride, kernel // 2

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` multiplies the result."""
        bias = None if self.bias is None else self.bias * gain
        return F.conv2d(pixels_first(x), self.weight * (self._scale * gain), bias, stride=self._stride,
                        padding=self._padding)


class ActivatedConv(Conv):
    """`Conv`, then leaky ReLU of slope 0.2 and `gain`; by default `activate`'s."""

    def forward(self, x: Tensor, gain: float = _GAIN) -> Tensor:
        return F.leaky_relu(super().forward(x, gain), _SLOPE, inplace=True)


class DownBlock(nn.Module):
    """Residual block that halves the sides: [B, inputs, H, W] -> [B, outputs, ceil(H/2), ceil(W/2)]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = ActivatedConv(inputs, inputs, 3)
        self.conv1 = ActivatedConv(inputs, outputs, 3, stride=2)
        self.skip = Conv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        even = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate") if height % 2 or width % 2 else x
        # The sum of two of equal variance is divided by sqrt(2), which leaves the second activation no gain.
        y: Tensor = self.conv1(self.conv0(x), gain=1.0)
        y = y + self.skip(downsample(even), gain=1 / _GAIN)
        return y


class ModulatedConv(nn.Module):
    """Convolution whose input channels z scales, demodulated to unit variance (StyleGAN2 section 2.2).

    x [B, inputs, H, W], z [B, latent] -> [B, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, latent: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = Linear(latent, inputs, bias=1.0)
        self._scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self._padding = kernel // 2

    def forward(self, x: Tensor, z: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` multiplies the result."""
        style = self.style(z) * self._scale
        y = F.conv2d(pixels_first(x) * style[:, :, None, None].to(x.dtype), self.weight, padding=self._padding)
        power = self.weight.float().square().sum((2, 3))
        unit = torch.rsqrt(F.linear(style.float().square(), power) + 1e-8)
        return y * (gain * unit)[:, :, None, None].to(y.dtype)


class Paint(nn.Module):
    """Modulated 1x1 convolution without demodulation (StyleGAN2's skip outputs): one small matrix per sample.

    x [B, inputs, H, W], z [B, latent] -> [B, outputs, H, W]. The weights start small, or the sum over all scales would
    start far outside the range of colours.
    """

    def __init__(self, inputs: int, outputs: int, latent: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1) * 0.1)
        self.style = Linear(latent, inputs, bias=1.0)
        self._scale = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        style = self.style(z)
        weight = self.weight[:, :, 0, 0] * (self._scale * style)[:, None]
        batch, _, height, width = x.shape
        pixels = pixels_first(x).permute(0, 2, 3, 1).flatten(1, 2)
        painted = torch.bmm(pixels, weight.to(x.dtype).transpose(1, 2))
        return painted.reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, optional upsampling, noise, bias, leaky ReLU (one StyleGAN2 layer).

    x [B, inputs, H, W], z [B, latent] -> [B, outputs, H, W], or [B, outputs, 2H, 2W] with `up`. The convolution runs
    before the upsampling: a quarter of the arithmetic. Noise is drawn per pixel in training and absent in evaluation,
    so that a finished model gives the same picture twice; its strength starts at 0 and is learnt.
    """

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, latent)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise = nn.Parameter(torch.zeros(()))
        self._up = up

    def forward(self, x: Tensor, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """`skip` [B, outputs, ...] of the output's size is added before the activation."""
        y = self.conv(x, z, gain=_GAIN)
        if self._up:
            y = upsample(y)
        if skip is not None:
            y = y.add_(skip, alpha=_GAIN)
        if self.training:
            noise = torch.randn(y.shape[0], 1, *y.shape[2:], device=y.device, dtype=y.dtype)
            y = y.add_(noise * (_GAIN * self.noise).to(y.dtype))
        y = y.add_((_GAIN * self.bias)[:, None, None].to(y.dtype))
        return F.leaky_relu(y, _SLOPE, inplace=True)


class MinibatchDeviation(nn.Module):
    """Appends the standard deviation over groups of samples as one more channel (arXiv 1710.10196 section 3).

    [B, C, H, W] -> [B, C + 1, H, W]. Groups have the largest size up to 4 that divides B.
    """

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        group = next(size for size in (4, 3, 2, 1) if batch % size == 0)
        y = x.float().reshape(group, batch // group, channels, height, width)
        spread = torch.sqrt(y.var(0, unbiased=False) + 1e-8).mean((1, 2, 3))
        channel = spread.repeat(group)[:, None, None, None].expand(batch, 1, height, width)
        return torch.cat((x, channel.to(x.dtype)), 1)


def channels_at(level: int, width: int, max_width: int) -> int:
    """Channels after `level` halvings: `width` at full resolution, doubled at each halving, `max_width` at most."""
    return min(width << level, max_width)
