import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from components.evaluate.measuring import quality


def pictures(seed: int, count: int = 3, side: int = 40) -> np.ndarray:
    random = np.random.default_rng(seed)
    smooth = random.normal(size=(count, side, side, 3)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 6 * smooth, 0, 255).astype(np.uint8)


def masks(seed: int, count: int = 3, side: int = 40) -> np.ndarray:
    mask = np.zeros((count, side, side), np.uint8)
    mask[:, 8:30, 10:28] = np.random.default_rng(seed).integers(1, 256, (count, 22, 18))
    return mask


class Flat(torch.nn.Module):
    """A feature network for torchmetrics: pictures of one pixel are their features."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).double()


def features(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 12)) @ np.random.default_rng(9).normal(size=(12, 12)) + shift


def as_pictures(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows).reshape(len(rows), 12, 1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_ssim_agrees_with_torchmetrics(seed: int) -> None:
    first, second = pictures(seed), np.clip(pictures(seed) + pictures(seed + 10) * 0.5 - 60, 0, 255).astype(np.uint8)
    ours = quality.ssim(first, second)
    theirs = structural_similarity_index_measure(
        *(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64)) for x in (first, second)),
        data_range=255.0, reduction="none")
    assert ours == pytest.approx(theirs.numpy(), rel=1e-3)
    assert 0 < ours.min() < ours.max() < 0.99


def test_psnr_agrees_with_torchmetrics_and_has_an_end() -> None:
    first, second = pictures(0), pictures(1)
    everything = np.full((3, 40, 40), 255, np.uint8)
    theirs = [float(peak_signal_noise_ratio(torch.from_numpy(a.astype(np.float64)), torch.from_numpy(
        b.astype(np.float64)), data_range=255.0)) for a, b in zip(first, second, strict=True)]
    assert quality.psnr(first, second, everything) == pytest.approx(theirs, rel=1e-3)
    assert quality.psnr(first, first, everything) == pytest.approx([58.92] * 3, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_agrees_with_torchmetrics_and_with_a_matrix_square_root(seed: int) -> None:
    first, second = features(seed, 60), features(seed + 20, 45, 0.7)
    metric = FrechetInceptionDistance(feature=Flat(), normalize=False)
    metric.update(as_pictures(first), real=True)
    metric.update(as_pictures(second), real=False)
    ours = quality.frechet(first, second)
    assert ours == pytest.approx(float(metric.compute()), rel=1e-3)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    apart = first.mean(axis=0) - second.mean(axis=0)
    assert ours == pytest.approx(apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_kernel_distance_agrees_with_torchmetrics(seed: int) -> None:
    first, second = features(seed, 40), features(seed + 20, 40, 0.5)
    metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=40)
    metric.update(as_pictures(first), real=True)
    metric.update(as_pictures(second), real=False)
    assert quality.KernelDistance(first, second)()[0] == pytest.approx(float(metric.compute()[0]), rel=1e-3)


def test_weights_are_multiplicities() -> None:
    first, second = features(0, 20), features(1, 25, 0.5)
    times = np.random.default_rng(3).integers(0, 4, 20).astype(float)
    repeated = np.repeat(first, times.astype(int), axis=0)
    assert quality.frechet(first, second, times) == pytest.approx(quality.frechet(repeated, second), rel=1e-6)
    ones = np.ones((1, 20)), np.ones((1, 25))
    distance = quality.KernelDistance(first, second)
    assert distance(*ones)[0] == pytest.approx(distance()[0])


def test_a_frechet_distance_of_few_images_is_finite_and_symmetric() -> None:
    first, second = features(0, 5), features(1, 7)
    assert quality.frechet(first, second) == pytest.approx(quality.frechet(second, first), rel=1e-5)
    assert quality.frechet(first, first) == pytest.approx(0, abs=1e-5 * np.trace(np.cov(first, rowvar=False)))


def test_the_kernel_distance_is_unbiased() -> None:
    draws = [quality.KernelDistance(features(k, 15), features(1000 + k, 15))()[0] for k in range(200)]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_what_lies_outside_the_person_does_not_count(seed: int) -> None:
    first, second, mask = pictures(seed), pictures(seed + 1), masks(seed)
    elsewhere = first.copy()
    elsewhere[mask == 0] = np.random.default_rng(seed).integers(0, 256, 3)
    for measure in (quality.absolute, quality.psnr):
        assert np.array_equal(measure(first, second, mask), measure(elsewhere, second, mask))


def test_the_same_picture_is_the_same_and_nobody_is_no_figure() -> None:
    first, mask = pictures(0), masks(0)
    assert quality.absolute(first, first, mask) == pytest.approx(0)
    assert quality.ssim(first, first, mask) == pytest.approx(1)
    nobody = np.zeros_like(mask)
    for measure in (quality.absolute, quality.psnr, quality.ssim):
        assert np.isnan(measure(first, first, nobody)).all()
    assert np.isnan(quality.matte_iou(nobody, nobody)).all()


def test_matte_overlap_counts_pixels() -> None:
    left, both = np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8)
    left[:, :, :2], both[:, :, 1:3] = 255, 200
    assert quality.matte_iou(left, both) == pytest.approx([4 / 12])


def test_over_puts_the_person_before_the_background() -> None:
    photo, mask = pictures(0), masks(0)
    out = quality.over(photo, mask, 77)
    assert (out[mask == 0] == 77).all()
    assert np.array_equal(quality.over(photo, np.full_like(mask, 255), 77), photo)
