"""Architectures of the project's own small networks, whose weights ship with the package.

Six networks, trained by `make weights` on people who do not exist: `FaceNet` (the face loss and clustering),
`JudgeNet` (another architecture that scores faces in evaluation: what is in the loss must not be the judge),
`PerceptualNet` (layers for a perceptual distance), `FeatureNet` (a descriptor for Fréchet and kernel distances),
`PartsNet` (which body part is where, for judging poses) and `FinderNet` (whether there is a face at all).

Each exists in two forms. The trainable one, ``Net(norm=True)``, has batch normalisation; the shipped one, ``Net()``,
has it folded into its convolutions, so that it computes the same in training and in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.1: a loss network must not be flat where an image goes wrong."""
    return F.leaky_relu(x, 0.1)


class Conv(nn.Module):
    """Convolution, batch normalisation where `norm`, activation. [B, C, H, W] -> [B, D, H/stride, W/stride]."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        act: Activation | None = leaky,
        norm: bool = False,
    ) -> None:
        super().__init__()
        pad = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(channels, out, kernel, stride, pad, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(out) if norm else None
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.act is None else self.act(x)


class Dense(nn.Module):
    """Linear layer between batch normalisations (without learned scale) where `norm`. [B, C] -> [B, D]."""

    def __init__(self, features: int, out: int, *, norm: bool = False) -> None:
        super().__init__()
        self.before = nn.BatchNorm1d(features, affine=False) if norm else None
        self.linear = nn.Linear(features, out, bias=not norm)
        self.norm = nn.BatchNorm1d(out, affine=False) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x if self.before is None else self.before(x))
        return x if self.norm is None else self.norm(x)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; `stride` 2 halves the side."""

    def __init__(self, channels: int, out: int, *, stride: int = 1, norm: bool = False) -> None:
        super().__init__()
        self.first = Conv(channels, out, stride=stride, norm=norm)
        self.second = Conv(out, out, act=None, norm=norm)
        self.shortcut = Conv(channels, out, 1, act=None, norm=norm) if channels != out else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        beside = F.avg_pool2d(x, 2) if self.stride == 2 else x
        if self.shortcut is not None:
            beside = self.shortcut(beside)
        return leaky(beside + self.second(self.first(x)))


class FaceNet(nn.Module):
    """Residual network for aligned faces. ``forward``: [B, 3, 48, 48] in [-1, 1] -> raw embedding [B, 128]."""

    size = 48
    dim = 128

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv(3, 32, 5, stride=2, norm=norm),
            Residual(32, 32, norm=norm),
            Residual(32, 64, stride=2, norm=norm),
            Residual(64, 64, norm=norm),
            Residual(64, 96, stride=2, norm=norm),
            Residual(96, 96, norm=norm),
            Conv(96, 32, 1, norm=norm),
        )
        self.embed = Dense(32 * (self.size // 8) ** 2, self.dim, norm=norm)

    def forward(self, faces: Tensor) -> Tensor:
        embedding: Tensor = self.embed(self.body(faces).flatten(1))
        return embedding


class Bottleneck(nn.Module):
    """Inverted residual: widen, filter each channel on its own, narrow."""

    def __init__(self, channels: int, out: int, *, expand: int = 3, stride: int = 1, norm: bool = False) -> None:
        super().__init__()
        wide = expand * channels
        self.layers = nn.Sequential(
            Conv(channels, wide, 1, act=F.silu, norm=norm),
            Conv(wide, wide, 3, stride=stride, groups=wide, act=F.silu, norm=norm),
            Conv(wide, out, 1, act=None, norm=norm),
        )
        self.keep = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.keep else y


class JudgeNet(nn.Module):
    """Depthwise network for aligned faces. ``forward``: [B, 3, 56, 56] in [-1, 1] -> raw embedding [B, 96]."""

    size = 56
    dim = 96

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv(3, 32, 3, stride=2, act=F.silu, norm=norm),
            Bottleneck(32, 48, expand=2, stride=2, norm=norm),
            Bottleneck(48, 48, norm=norm),
            Bottleneck(48, 48, norm=norm),
            Bottleneck(48, 80, stride=2, norm=norm),
            Bottleneck(80, 80, norm=norm),
            Bottleneck(80, 80, norm=norm),
            Conv(80, 192, 1, act=F.silu, norm=norm),
            Conv(192, 192, self.size // 8, groups=192, padding=0, act=None, norm=norm),
        )
        self.embed = Dense(192, self.dim, norm=norm)

    def forward(self, faces: Tensor) -> Tensor:
        embedding: Tensor = self.embed(self.body(faces).flatten(1))
        return embedding


class FinderNet(nn.Module):
    """Depthwise network that tells faces from non-faces. ``forward``: [B, 3, 40, 40] in [-1, 1], aligned as for the
    other face networks -> logit [B], above 0 for a face."""

    size = 40

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv(3, 24, 3, stride=2, act=F.silu, norm=norm),
            Bottleneck(24, 32, expand=2, stride=2, norm=norm),
            Bottleneck(32, 32, norm=norm),
            Bottleneck(32, 48, stride=2, norm=norm),
            Bottleneck(48, 48, norm=norm),
            Conv(48, 96, 1, act=F.silu, norm=norm),
            Conv(96, 96, self.size // 8, groups=96, padding=0, act=F.silu, norm=norm),
        )
        self.decide = nn.Linear(96, 1)

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.decide(self.body(faces).flatten(1))[:, 0]
        return logits


class PerceptualNet(nn.Module):
    """Stack of convolutions and average pools. ``forward``: [B, 3, H, W] in [-1, 1], H and W at least 16 -> one
    tensor per layer: [B, 24, H, W], [B, 48, H/2, W/2], [B, 64, H/4, W/4], [B, 96, H/8, W/8].

    `layer_weights` [4] scales the layers' distances; it is set at the end of training so that two unrelated photos
    are 1 apart, a quarter from each layer.
    """

    channels = (24, 48, 64, 96)
    layer_weights: Tensor

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        one, two, three, four = self.channels
        self.stages = nn.ModuleList(
            [
                Conv(3, one, norm=norm),
                Conv(one, two, norm=norm),
                nn.Sequential(Conv(two, three, norm=norm), Conv(three, three, norm=norm)),
                nn.Sequential(Conv(three, four, norm=norm), Conv(four, four, norm=norm)),
            ]
        )
        self.register_buffer("layer_weights", torch.ones(len(self.channels)))

    def forward(self, images: Tensor) -> list[Tensor]:
        layers = [self.stages[0](images)]
        for stage in self.stages[1:]:
            layers.append(stage(F.avg_pool2d(layers[-1], 2)))
        return layers


class FeatureNet(nn.Module):
    """Descriptor of a whole picture. ``forward``: [B, 3, 128, 128] in [-1, 1] -> [B, 64].

    What lies where (the last layer in 4 x 4 fields) and how much each of its channels varies over space, so that
    texture counts as well as content.
    """

    size = 128
    dim = 64
    channels = 96

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv(3, 16, norm=norm),
            Conv(16, 32, stride=2, norm=norm),
            Residual(32, 64, stride=2, norm=norm),
            Residual(64, self.channels, stride=2, norm=norm),
            Residual(self.channels, self.channels, stride=2, norm=norm),
        )
        self.narrow = Conv(self.channels, 16, 1, norm=norm)
        self.embed = Dense(16 * 4 * 4 + self.channels, self.dim, norm=norm)

    def forward(self, images: Tensor) -> Tensor:
        return self.describe(self.body(images))

    def describe(self, x: Tensor) -> Tensor:
        """Descriptor [B, 64] from the last layer [B, 96, 8, 8]."""
        fields = F.avg_pool2d(self.narrow(x), 2).flatten(1)
        spread = ((x - x.mean((2, 3), keepdim=True)).square().mean((2, 3)) + 1e-4).sqrt()
        features: Tensor = self.embed(torch.cat([fields, spread], 1))
        return features


class PartsNet(nn.Module):
    """Body parts of a picture. ``forward``: [B, 3, 128, 128] in [-1, 1] -> logits [B, 25, 64, 64] of background and
    the 24 DensePose parts."""

    size = 128
    parts = 25

    def __init__(self, *, norm: bool = False) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [
                Conv(3, 16, stride=2, norm=norm),
                Residual(16, 32, stride=2, norm=norm),
                Residual(32, 64, stride=2, norm=norm),
                Residual(64, 96, stride=2, norm=norm),
            ]
        )
        self.deep = Residual(96, 96, norm=norm)
        self.up = nn.ModuleList(
            [Conv(96 + 64, 64, norm=norm), Conv(64 + 32, 48, norm=norm), Conv(48 + 16, 32, norm=norm)]
        )
        self.label = nn.Conv2d(32, self.parts, 1)

    def forward(self, images: Tensor) -> Tensor:
        layers = [images]
        for stage in self.down:
            layers.append(stage(layers[-1]))
        x = self.deep(layers[-1])
        for stage, beside in zip(self.up, reversed(layers[1:-1]), strict=True):
            x = stage(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), beside], 1))
        logits: Tensor = self.label(x)
        return logits


def folded(network: nn.Module) -> dict[str, Tensor]:
    """State of the shipped form of a network trained with ``norm=True``: normalisation folded into the layers.

    The result loads, strictly, into the same class built without `norm`.
    """
    inside = [n for n, m in network.named_modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    state = {k: v.detach().clone() for k, v in network.state_dict().items() if k.rpartition(".")[0] not in inside}
    for name, module in network.named_modules():
        if isinstance(module, Conv) and module.norm is not None:
            scale, shift = _scale_and_shift(module.norm)
            state[f"{name}.conv.weight"] = (module.conv.weight.double() * scale[:, None, None, None]).detach().float()
            state[f"{name}.conv.bias"] = shift.float()
        elif isinstance(module, Dense) and module.before is not None and module.norm is not None:
            before_scale, before_shift = _scale_and_shift(module.before)
            scale, shift = _scale_and_shift(module.norm)
            weight = module.linear.weight.detach().double()
            state[f"{name}.linear.weight"] = (scale[:, None] * weight * before_scale).float()
            state[f"{name}.linear.bias"] = (scale * (weight @ before_shift) + shift).float()
    return state


def _scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a normalisation does in evaluation mode, as ``x * scale + shift``, in float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("normalisation without running statistics cannot be folded")
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        weight, bias = norm.weight.detach().double(), norm.bias.detach().double()
        scale, shift = scale * weight, shift * weight + bias
    return scale, shift
