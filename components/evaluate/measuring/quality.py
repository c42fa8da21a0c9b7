"""How good the pictures are: distances between sets of images and between an image and its truth.

Images are uint8 RGB [B, S, S, 3], all over the same plain background; masks are uint8 mattes [B, S, S].

- Fréchet distance: Heusel et al. 2017 (arXiv 1706.08500), section 2, on any feature network.
- Kernel distance: Binkowski et al. 2018 (arXiv 1801.01401), section 4: unbiased squared MMD with the cubic kernel.
- SSIM: Wang et al. 2004, 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, colour channels averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

PLAIN = 128
"""Grey level of the background behind every person that is measured: it helps nobody."""

_WINDOW, _SIGMA = 11, 1.5


def over(photos: Images, mattes: Images, backgrounds: Images | int = PLAIN) -> Images:
    """The person over a background: photos [..., S, S, 3] and mattes [..., S, S] -> uint8 [..., S, S, 3]."""
    alpha = mattes[..., None].astype(np.float32) / 255
    blended = photos * alpha + np.asarray(backgrounds, np.float32) * (1 - alpha)
    picture: Images = np.rint(blended).astype(np.uint8)
    return picture


def to_torch(images: Images) -> Tensor:
    """uint8 [B, S, S, 3] -> float32 [B, 3, S, S] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(127.5).sub_(1)


def absolute(images: Images, truths: Images, masks: Images) -> Floats:
    """Mean absolute difference inside the mask, 0..1 -> [B]; NaN for an empty mask."""
    return _inside(np.abs(images.astype(np.float64) - truths).mean(axis=3) / 255, masks)


def psnr(images: Images, truths: Images, masks: Images) -> Floats:
    """Peak signal-to-noise ratio inside the mask in dB -> [B].

    At most 59 dB, the ratio of rounding to 8 bits: so that one exact pair does not make a mean infinite.
    """
    squared = _inside(np.square((images.astype(np.float64) - truths) / 255).mean(axis=3), masks)
    decibels: Floats = -10 * np.log10(np.maximum(squared, 1 / (12 * 255**2)))
    return decibels


def ssim(images: Images, truths: Images, masks: Images | None = None) -> Floats:
    """Structural similarity -> [B], averaged over the mask, or over all pixels when there is none.

    Windows at the border see the image mirrored, as in torchmetrics.
    """
    per_pixel = np.stack([_ssim_map(a, b) for a, b in zip(images, truths, strict=True)])
    return _inside(per_pixel, np.full(per_pixel.shape, 255, np.uint8) if masks is None else masks)


def _ssim_map(image: Images, truth: Images) -> Floats:
    first, second = image.astype(np.float64), truth.astype(np.float64)

    def blur(x: Floats) -> Floats:
        return np.asarray(cv2.GaussianBlur(x, (_WINDOW, _WINDOW), _SIGMA), np.float64)

    mean_a, mean_b = blur(first), blur(second)
    var_a, var_b = blur(first * first) - mean_a**2, blur(second * second) - mean_b**2
    both = blur(first * second) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    averaged: Floats = similar.mean(axis=2)
    return averaged


def matte_iou(mattes: Images, truths: Images) -> Floats:
    """Overlap of two mattes at half opacity: intersection over union -> [B]; NaN when both are empty."""
    first, second = mattes > 127, truths > 127
    union = (first | second).sum(axis=(1, 2)).astype(np.float64)
    both = (first & second).sum(axis=(1, 2))
    share: Floats = np.divide(both, union, out=np.full(len(union), np.nan), where=union > 0)
    return share


class Compared(NamedTuple):
    """Outputs and the truths beside them, n of each, over the plain background."""

    images: Images
    truths: Images
    mattes: Images
    """Of the outputs."""
    true_mattes: Images


OF_PAIRS: Mapping[str, Callable[[Compared], Floats]] = {
    "ssim": lambda of: ssim(of.images, of.truths, of.true_mattes),
    "psnr": lambda of: psnr(of.images, of.truths, of.true_mattes),
    "l1": lambda of: absolute(of.images, of.truths, of.true_mattes),
    "matte_iou": lambda of: matte_iou(of.mattes, of.true_mattes),
}
"""Metrics of single pairs, [n] each, by the names that metrics.json, pairs.jsonl and MLflow have for them. How they are
shown and which way is better: `components.evaluate.report.page.METRICS`."""


def frechet(first: Floats, second: Floats, first_weights: Floats | None = None,
            second_weights: Floats | None = None) -> float:
    """Fréchet distance of two sets of features [n, d] and [m, d]; weights are multiplicities of the rows.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` with unbiased covariances. The trace of the square root is taken
    from the eigenvalues of the symmetric ``C1^(1/2) C2 C1^(1/2)``, which are those of ``C1 C2`` and cannot turn
    complex when a covariance is singular.
    """
    mean_a, cov_a = _moments(first, first_weights)
    mean_b, cov_b = _moments(second, second_weights)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    crossed = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * crossed)


class KernelDistance:
    """Squared MMD of two sets of features [n, d] and [m, d], for many weightings of their rows."""

    def __init__(self, first: Floats, second: Floats) -> None:
        self._aa, self._bb, self._ab = _kernel(first, first), _kernel(second, second), _kernel(first, second)

    def __call__(self, first_weights: Floats | None = None, second_weights: Floats | None = None) -> Floats:
        """Weights [resamples, n] and [resamples, m] -> [resamples]; without weights, the estimate itself as [1].

        Pairs of a row with itself are left out, copies of it included, which keeps resampled estimates unbiased.
        """
        a = np.ones((1, len(self._aa))) if first_weights is None else first_weights
        b = np.ones((1, len(self._bb))) if second_weights is None else second_weights
        count = a.sum(axis=1) * b.sum(axis=1)
        cross = np.divide(((a @ self._ab) * b).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)
        result: Floats = _off_diagonal(self._aa, a) + _off_diagonal(self._bb, b) - 2 * cross
        return result


def _off_diagonal(kernel: Floats, weights: Floats) -> Floats:
    total = ((weights @ kernel) * weights).sum(axis=1) - weights**2 @ np.diag(kernel)
    count = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean


def _kernel(first: Floats, second: Floats) -> Floats:
    product: Floats = (first @ second.T / first.shape[1] + 1) ** 3
    return product


def _moments(features: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    times = np.ones(len(features)) if weights is None else weights
    total = times.sum()
    mean = times @ features / total
    centred = features - mean
    return mean, (centred * times[:, None]).T @ centred / (total - 1)


def _inside(per_pixel: npt.NDArray[Any], masks: Images) -> Floats:
    weights = masks.astype(np.float64) / 255
    total = weights.sum(axis=(1, 2))
    sums = (per_pixel * weights).sum(axis=(1, 2))
    mean: Floats = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return mean
