"""Distances between pictures, and what is seen in them, by small networks that ship with the package, or by
published ones.

`PerceptualDistance` compares two pictures layer by layer (the form of LPIPS: Zhang et al., arXiv 1801.03924,
section 3, with equal weights and this project's own network or VGG; it is not LPIPS). `Features` describes a picture
for Fréchet and kernel distances between sets, by the own network or by Inception. `BodyParts` finds body parts. Metrics
of one network compare only with its own.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.core.errors import SettingsError
from components.core.networks.layers import pixels_first
from components.core.networks.pretrained.builtin import FeatureNet, PartsNet, PerceptualNet
from components.core.networks.pretrained.inception import DIM, Inception, resized_cleanly
from components.core.networks.pretrained.vgg import Vgg, VggName, load_vgg
from components.core.networks.pretrained.weights import load_network
from components.core.stores.known_weights import known_weights

INCEPTION = "inception-2015-12-05"


class PerceptualDistance(nn.Module):
    """How different two pictures look: 0 for the same, in the order of 1 for two unrelated photos.

    At each of several layers the channels are scaled to unit length, the squared difference is averaged over space,
    and the layers are summed. The same form for every network, so that a loss weight means nearly the same with each:
    plain differences of VGG's features, which grow from layer to layer, would have to be weighed layer by layer.
    builtin: four layers, scaled so that unrelated photos are 1 apart; vgg16, vgg19: four and five, equally weighted, so
    that the sum lies in 0..2. Frozen; differentiable with respect to both pictures. `name` is "builtin-perceptual",
    "vgg16" or "vgg19".

    Raises `SettingsError` for another name, and what `known_weights` raises where VGG's weights are not to be had.
    """

    def __init__(self, name: str = "builtin") -> None:
        super().__init__()
        self.network: PerceptualNet | Vgg
        if name in ("vgg16", "vgg19"):
            self.name, self.network = name, load_vgg(cast(VggName, name))
        else:
            self.name = _full_name(name, "builtin-perceptual")
            self.network = cast(PerceptualNet, load_network(self.name))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None, of: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] twice, in [-1, 1], H and W at least 16 -> distances [B].

        `mask` [B, 1, H, W] in 0..1 weighs the places; a picture whose mask is empty has distance 0. With `of`, int64
        [B], `y` is [T, 3, H, W] and picture k is compared with ``y[of[k]]``: what several share is looked at once.
        """
        return layered_distance(self.network, x, y, mask, of)


class Features(nn.Module):
    """Descriptors [B, dim] of pictures for Fréchet and kernel distances between sets. Frozen.

    builtin: over many unrelated synthetic photos each feature has mean 0, and the variances add up to 1; so few
    dimensions that a few hundred pictures determine a covariance. inception: the network that papers use, which needs
    thousands. `name` is "builtin-features" or "inception-2015-12-05": metrics of one do not compare with the other's.

    Raises `SettingsError` for another name, and what `known_weights` raises where Inception's are not to be had.
    """

    def __init__(self, name: str = "builtin") -> None:
        super().__init__()
        self.name = INCEPTION if name in ("inception", INCEPTION) else _full_name(name, "builtin-features")
        self.network = _inception() if self.name == INCEPTION else cast(FeatureNet, load_network(self.name))
        self.dim = DIM if isinstance(self.network, Inception) else self.network.dim
        # The kernel distance's cubic kernel expects features of variance about 1; builtin variances sum to 1.
        self.kernel_scale = 1.0 if self.name == INCEPTION else self.dim**0.5

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> [B, dim]; of another side than the network's, resampled: builtin bilinear
        (antialiased downwards), inception bicubic and antialiased in float."""
        if isinstance(self.network, Inception):
            return cast(Tensor, self.network(resized_cleanly(images)))
        return cast(Tensor, self.network(resized(images, self.network.size)))


def _inception() -> Inception:
    path = known_weights(INCEPTION)
    network = Inception()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)


class BodyParts(nn.Module):
    """Which body part is where in a picture, as a small network sees it; for judging poses. Frozen.

    `name` is "builtin-parts".
    """

    def __init__(self, name: str = "builtin") -> None:
        super().__init__()
        self.name = _full_name(name, "builtin-parts")
        self.network = cast(PartsNet, load_network(self.name))

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> part of each place, int64 [B, 64, 64], 0 the background, 1..24 DensePose's."""
        return cast(Tensor, self.network(resized(images, self.network.size)).argmax(1))

    def agreement(self, images: Tensor, parts: Tensor) -> Tensor:
        """How well the body seen in `images` [B, 3, S, S] lies where pose maps put it, by their parts uint8 [B, S, S].

        Returns [B]; see `part_agreement`.
        """
        found = self(images)
        wanted = F.interpolate(parts[:, None].float(), found.shape[-2:], mode="nearest")[:, 0].long()
        return part_agreement(found, wanted)


def part_agreement(found: Tensor, wanted: Tensor) -> Tensor:
    """Share of the places that are body in either map [B, H, W] and are the same part in both -> [B]; 0..1.

    The two charts of a limb (its front and its back) count as one part; the torso's front and back do not.
    """
    merged = torch.tensor(_MERGED, device=found.device)
    one, other = merged[found], merged[wanted]
    same = ((one == other) & (other > 0)).flatten(1).sum(1)
    return same / ((one > 0) | (other > 0)).flatten(1).sum(1).clamp(min=1)


_MERGED = (0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 8, 11, 12, 11, 12, 15, 16, 15, 16, 19, 20, 19, 20, 23, 24)


def layered_distance(network: PerceptualNet | Vgg, x: Tensor, y: Tensor, mask: Tensor | None = None,
                     of: Tensor | None = None) -> Tensor:
    """`PerceptualDistance` with a network at hand: [B, 3, H, W] twice, mask [B, 1, H, W] or None -> [B]."""
    total = x.new_zeros(len(x))
    layers = network(pixels_first(x)), network(pixels_first(y))
    for weight, one, other in zip(network.layer_weights, *layers, strict=True):
        known = unit_channels(_whole(other))
        apart = (unit_channels(_whole(one)) - (known if of is None else known[of])).square().sum(1, keepdim=True)
        total = total + weight * _mean_over_space(apart, mask)
    return total


def _whole(layer: Tensor) -> Tensor:
    """Halves as float32: lengths of channels are not to be told from 8 bits."""
    return layer.float() if layer.dtype in (torch.bfloat16, torch.float16) else layer


def unit_channels(layer: Tensor) -> Tensor:
    """Scale each place's channels [B, C, H, W] to unit length."""
    return layer * torch.rsqrt(layer.square().sum(1, keepdim=True) + 1e-6)


def resized(images: Tensor, size: int) -> Tensor:
    """Resample [B, 3, H, W] to size x size: antialiased downwards, bilinear upwards."""
    if images.shape[-2:] == (size, size):
        return images
    down = max(images.shape[-2:]) > size
    return F.interpolate(images, (size, size), mode="bilinear", antialias=down, align_corners=False)


def _mean_over_space(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of [B, 1, h, w] over places, weighted by `mask` brought to that size by area -> [B]."""
    if mask is None:
        return values.mean((1, 2, 3))
    weights = F.interpolate(mask.to(values.dtype), values.shape[-2:], mode="area")
    area = weights.sum((1, 2, 3))
    return (values * weights).sum((1, 2, 3)) / torch.clamp(area, min=1e-6)


def _full_name(name: str, known: str) -> str:
    if name not in ("builtin", known):
        raise SettingsError(f"unknown network {name}", remedy=f"choose builtin ({known})")
    return known
