"""The losses, each a function that can be read, tested and logged by itself.

All compare what was painted with what the camera saw, over a background that is given and the same on both sides.
Weights come from `LossWeights`; nothing here knows them. Every function returns a scalar tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.core.networks.generator.alignment import shows
from components.core.networks.generator.mixture import Painting
from components.core.networks.layers import dilated, mixed_precision
from components.core.pictures.iuv import HEAD_PARTS
from components.train.data.augment import Batch


class Embedder(Protocol):
    """What is asked of a face embedder (`components.core.faces.recognition.FaceEmbedder`)."""

    def embed(self, images: Tensor, iuv: Tensor) -> tuple[Tensor, Tensor]: ...


class Distance(Protocol):
    """What is asked of a perceptual distance (`components.core.networks.pretrained.features.PerceptualDistance`)."""

    def __call__(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor: ...


def l1(person: Tensor, photo: Tensor, matte: Tensor) -> Tensor:
    """Mean absolute difference of the colours inside the person.

    person, photo [B, 3, S, S] in [-1, 1]; matte [B, 1, S, S] in 0..1 weighs the pixels.
    """
    weight = matte.sum() * person.shape[1]
    return ((person - photo).abs() * matte).sum() / weight.clamp(min=1.0)


def emphasis(poses: Tensor, head: float) -> Tensor:
    """How much each pixel weighs: `head` on the head and the hair around it, 1 elsewhere.

    poses uint8 [B, 3, S, S] -> [B, 1, S, S].
    """
    reach = max(poses.shape[-1] // 32, 1)
    return 1 + (head - 1) * dilated(shows(poses, HEAD_PARTS), reach)


def detail(painted: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Is it as crisp? Difference of the mean strength of slopes and of bends in squares of an 8th of the side.

    Images [B, 3, S, S] in [-1, 1]; `weight` [B, 1, S, S] weighs the pixels. Unlike a difference of pixels it does not
    ask where exactly an edge is, so it is not served by blurring what cannot be known.
    """
    side = max(painted.shape[-1] // 8, 2)
    apart = F.avg_pool2d((_strengths(painted) - _strengths(real)) * weight, side).abs()
    return apart.mean(1).sum() / F.avg_pool2d(weight, side).sum().clamp(min=1)


def _strengths(images: Tensor) -> Tensor:
    """How steep the grey picture is, and how much it bends (half its Laplacian): [B, 2, S, S]."""
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    here, right, below = grey[..., 1:-1, 1:-1], grey[..., 1:-1, 2:], grey[..., 2:, 1:-1]
    steep = torch.sqrt((right - here).square() + (below - here).square() + 1e-6)
    bend = 2 * here - (right + below + grey[..., 1:-1, :-2] + grey[..., :-2, 1:-1]) / 2
    return torch.cat((steep, torch.sqrt(bend.square() + 1e-6)), 1)


def perceptual(painted: Tensor, real: Tensor, matte: Tensor, distance: Distance) -> Tensor:
    """Mean distance between network features in and just around the person. Images [B, 3, S, S] over one background."""
    reach = max(painted.shape[-1] // 16, 1)
    with mixed_precision(painted.device):
        return distance(painted, real, dilated(matte, reach)).mean()


def face(painted: Tensor, real: Tensor, poses: Tensor, embedder: Embedder) -> Tensor:
    """1 - cosine between the identities of the painted and the real face, where the pose map shows a usable face.

    Images [B, 3, S, S] in [-1, 1], poses uint8 [B, 3, S, S]. The gradient runs through the painted image: this is
    the loss that keeps the face. 0 (with no gradient) for a batch without a face.
    """
    poses = poses.cpu()  # where faces are found by them: waiting for the GPU once is enough
    with torch.no_grad():
        wanted, _ = embedder.embed(real, poses)
    got, valid = embedder.embed(painted, poses)
    apart = 1 - (got * wanted).sum(1)
    return (apart * valid).sum() / valid.sum().clamp(min=1)


def matte(soft_matte: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of mattes [B, 1, S, S]; before clamping, so that a pixel stuck at an end can leave."""
    return (soft_matte - wanted).abs().mean()


def gan_generator(logits: Tensor) -> Tensor:
    """Non-saturating loss of the generator: softplus(-logit), mean over any shape (arXiv 1406.2661, section 3)."""
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


class PathLength(nn.Module):
    """Path length regularisation (arXiv 1912.04958, section 3.2): how far the picture moves when z does should be the
    same everywhere.

    Keeps the moving average of the lengths, which is the aim, as a buffer, so that a checkpoint has it.
    """

    mean: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self._decay = decay

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        """Mean squared difference of the lengths |J^T y| from their average, y a random picture.

        images [B, 3, S, S] that came from z [B, latent], which requires a gradient. Moves the average.
        """
        noise = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
        (slope,) = torch.autograd.grad((images * noise).sum(), z, create_graph=True)
        lengths = slope.square().sum(1).sqrt()
        with torch.no_grad():
            self.mean.lerp_(lengths.mean().to(self.mean), self._decay)
        return (lengths - self.mean.detach()).square().mean()


class Compared(NamedTuple):
    """What a reconstruction loss may look at: what was painted of a batch, and the real photos."""

    painting: Painting
    batch: Batch
    painted: Tensor
    """The painted person over the batch's backgrounds [B, 3, S, S] in [-1, 1]."""
    real: Tensor
    """The real one over the same."""
    weight: Tensor
    """How much a pixel counts, by matte and `emphasis` [B, 1, S, S]."""
    distance: Any
    """`Distance` of the perceptual loss; None where that has weight 0."""
    embedder: Any
    """`Embedder` of the face loss; None where that has weight 0."""


RECONSTRUCTION: Mapping[str, Callable[[Compared], Tensor]] = {
    "l1": lambda of: l1(of.painting.person, of.batch.photos, of.weight),
    "detail": lambda of: detail(of.painted, of.real, of.weight),
    "matte": lambda of: matte(of.painting.soft_matte, of.batch.mattes),
    "perceptual": lambda of: perceptual(of.painted, of.real, of.batch.mattes, of.distance),
    "face": lambda of: face(of.painted, of.real, of.batch.poses, of.embedder),
}
"""The losses that compare with the real photo, each under the name of its weight in `LossWeights`: the trainer computes
those whose weight is not 0, and logs them by that name."""
