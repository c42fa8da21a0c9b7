"""Distances between pictures, from the small networks that ship with the package.

`PerceptualDistance` compares two pictures layer by layer (the form of LPIPS: Zhang et al., arXiv 1801.03924,
section 3, with equal weights and this project's own network). `Features` describes a picture for Fréchet and kernel
distances between sets. Neither is VGG, LPIPS or Inception, and its figures compare only with its own.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.core.errors import SettingsError
from components.core.networks.builtin import FeatureNet, PerceptualNet
from components.core.weights import load_network


class PerceptualDistance(nn.Module):
    """How different two pictures look: 0 for the same, about 1 for two unrelated photos.

    At each of four layers the channels are scaled to unit length, the squared difference is averaged over space, and
    the layers are summed. Frozen; differentiable with respect to both pictures. `name` is "builtin-perceptual".
    """

    def __init__(self, name: str = "builtin") -> None:
        super().__init__()
        self.name = _full_name(name, "builtin-perceptual")
        self.network = cast(PerceptualNet, load_network(self.name))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] twice, in [-1, 1], H and W at least 16 -> distances [B].

        `mask` [B, 1, H, W] in 0..1 weighs the places; a picture whose mask is empty has distance 0.
        """
        return layered_distance(self.network, x, y, mask)


class Features(nn.Module):
    """Descriptors [B, dim] of pictures for Fréchet and kernel distances between sets. Frozen.

    Over many unrelated synthetic photos each feature has mean 0, and the variances add up to 1. So few dimensions
    that a few hundred pictures determine a covariance. `name` is "builtin-features".
    """

    def __init__(self, name: str = "builtin") -> None:
        super().__init__()
        self.name = _full_name(name, "builtin-features")
        self.network = cast(FeatureNet, load_network(self.name))
        self.dim = self.network.dim

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> [B, dim]; another side than 128 is resampled (smaller ones with antialiasing)."""
        return cast(Tensor, self.network(resized(images, self.network.size)))


def layered_distance(network: PerceptualNet, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """`PerceptualDistance` with a network at hand: [B, 3, H, W] twice, mask [B, 1, H, W] or None -> [B]."""
    total = x.new_zeros(len(x))
    for weight, one, other in zip(network.layer_weights, network(x), network(y), strict=True):
        apart = (unit_channels(one) - unit_channels(other)).square().sum(1, keepdim=True)
        total = total + weight * _mean_over_space(apart, mask)
    return total


def unit_channels(layer: Tensor) -> Tensor:
    """Scale each place's channels [B, C, H, W] to unit length."""
    return layer / (layer.square().sum(1, keepdim=True) + 1e-6).sqrt()


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
