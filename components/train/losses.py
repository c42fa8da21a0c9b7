"""The losses, each a function that can be read, tested and logged by itself.

All compare what was painted with what the camera saw, over a background that is given and the same on both sides.
Weights come from `LossWeights`; nothing here knows them. Every function returns a scalar tensor.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Embedder(Protocol):
    """What is asked of a face embedder (`components.core.faces.FaceEmbedder`)."""

    def embed(self, images: Tensor, iuv: Tensor) -> tuple[Tensor, Tensor]: ...


class Distance(Protocol):
    """What is asked of a perceptual distance (`components.core.features.PerceptualDistance`)."""

    def __call__(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor: ...


def l1(person: Tensor, photo: Tensor, matte: Tensor) -> Tensor:
    """Mean absolute difference of the colours inside the person.

    person, photo [B, 3, S, S] in [-1, 1]; matte [B, 1, S, S] in 0..1 weighs the pixels.
    """
    weight = matte.sum() * person.shape[1]
    return ((person - photo).abs() * matte).sum() / weight.clamp(min=1.0)


def perceptual(painted: Tensor, real: Tensor, matte: Tensor, distance: Distance) -> Tensor:
    """Mean distance between network features in and just around the person. Images [B, 3, S, S] over one background."""
    reach = max(painted.shape[-1] // 16, 1)
    around = F.max_pool2d(matte, 2 * reach + 1, stride=1, padding=reach)
    return distance(painted, real, around).mean()


def face(painted: Tensor, real: Tensor, poses: Tensor, embedder: Embedder) -> Tensor:
    """1 - cosine between the identities of the painted and the real face, where the pose map shows a usable face.

    Images [B, 3, S, S] in [-1, 1], poses uint8 [B, 3, S, S]. The gradient runs through the painted image: this is
    the loss that keeps the face. 0 (with no gradient) for a batch without a face.
    """
    with torch.no_grad():
        wanted, _ = embedder.embed(real, poses)
    got, valid = embedder.embed(painted, poses)
    apart = 1 - (got * wanted).sum(1)
    return (apart * valid).sum() / valid.sum().clamp(min=1)


def matte(soft_matte: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of mattes [B, 1, S, S]; before clamping, so that a pixel stuck at an end can leave."""
    return (soft_matte - wanted).abs().mean()


def gan_generator(logits: Tensor) -> Tensor:
    """Non-saturating loss of the painter: softplus(-logit), mean over any shape (arXiv 1406.2661, section 3)."""
    return F.softplus(-logits).mean()


def gan_discriminator(real: Tensor, painted: Tensor) -> Tensor:
    """Logistic loss of the discriminator over logits of real and painted pictures."""
    return F.softplus(-real).mean() + F.softplus(painted).mean()


def r1(logits: Tensor, images: Tensor) -> Tensor:
    """Half the squared gradient norm of the logits with respect to real images (arXiv 1801.04406, section 4.1).

    `images` [B, ...] require a gradient and `logits` [B] or [B, K] came from them; the mean is over B. The caller
    multiplies by gamma and, when it is called every k-th step only, by k (lazy regularisation, StyleGAN2 section 3.1).
    """
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slope.square().sum(tuple(range(1, slope.ndim))).mean() / 2
