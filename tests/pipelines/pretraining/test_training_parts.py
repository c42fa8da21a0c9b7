"""The pieces of the training: distortions, losses, metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.pretraining import parts, pictures, score
from pipelines.pretraining.distort import DISTORTIONS, distorted, gaussian, nudged, vary_faces
from pipelines.pretraining.identity import contrastive_loss, margin_loss
from pipelines.pretraining.optimise import Schedule


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pictures(count: int = 8, side: int = 64) -> torch.Tensor:
    return gaussian(torch.rand(count, 3, side, side, generator=_random()) * 2 - 1, 1.0)


@pytest.mark.parametrize("name", list(DISTORTIONS))
def test_distortions_do_little_at_little_strength_and_more_at_more(name: str) -> None:
    images = _pictures()
    changes = []
    for strength in (0.1, 0.4, 1.0):
        changed = DISTORTIONS[name](images, strength, _random(1))
        assert changed.shape == images.shape and changed.isfinite().all() and changed.abs().max() <= 1 + 1e-5
        changes.append(float((changed - images).abs().mean()))
    assert 0 < changes[0] < changes[1] < changes[2]


def test_distorted_batches_tell_what_was_done() -> None:
    images = _pictures(16)
    changed, strengths = distorted(images, _random(3))
    assert strengths.shape == (16, len(DISTORTIONS))
    untouched = strengths.sum(1) == 0
    assert torch.equal(changed[untouched], images[untouched]) and untouched.sum() == 4
    assert torch.all((strengths > 0).sum(1) <= 1)
    assert torch.all((changed[~untouched] - images[~untouched]).abs().mean((1, 2, 3)) > 0)


def test_a_nudge_moves_two_thirds_of_a_batch_by_less_than_a_pixel() -> None:
    images = _pictures(9)
    moved = nudged(images, _random(1))
    still = (moved == images).flatten(1).all(1)
    assert still.sum() == 3
    assert (moved - images).abs().mean() < (images.roll(1, -1) - images).abs().mean()


def test_redundancy_is_one_for_copies_and_small_for_different_features() -> None:
    values = torch.randn(500, 8, generator=_random())
    assert pictures.redundancy(values[:, :1].expand(-1, 8)) == pytest.approx(1, abs=1e-3)
    assert pictures.redundancy(values) < 0.02


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=st.sampled_from([48, 56]))
def test_varied_faces_have_the_size_and_range_that_networks_take(seed: int, size: int) -> None:
    faces = vary_faces(_pictures(6), size, _random(seed))
    assert faces.shape == (6, 3, size, size)
    assert faces.isfinite().all() and faces.abs().max() <= 1


def test_margin_loss_wants_more_than_the_nearest_centre() -> None:
    centres = torch.eye(3)
    right, who = torch.eye(3) * 5, torch.arange(3)
    assert margin_loss(right, centres, who) < margin_loss(right, centres, who.roll(1))
    assert margin_loss(right, centres, who, warm=1) > margin_loss(right, centres, who, warm=0)


def test_contrastive_loss_is_least_when_people_stand_together() -> None:
    who = torch.tensor([0, 0, 1, 1])
    together = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    mixed = together[[0, 2, 1, 3]]
    assert contrastive_loss(together, who) < contrastive_loss(mixed, who)


def test_schedule_goes_down_the_loss_and_stops_at_the_end() -> None:
    at = torch.nn.Parameter(torch.tensor([3.0]))
    schedule = Schedule([at], 400, rate=0.05)
    for _ in range(400):
        schedule.step((at - 1).square().sum())
    assert schedule.done == 1
    assert at.item() == pytest.approx(1, abs=0.05)


def test_part_places_are_shares_of_fields() -> None:
    parts = torch.zeros(1, 64, 64, dtype=torch.uint8)
    parts[:, :16, :16] = 23
    parts[:, 48:, 48:56] = 2
    places = pictures.part_places(parts)
    assert places.shape == (1, 24, 4, 4)
    assert places[0, 22, 0, 0] == 1 and places[0, 1, 3, 3] == pytest.approx(0.5**0.5)
    assert places.sum() == pytest.approx(1 + 0.5**0.5)


def test_verification_of_perfect_and_of_meaningless_embeddings() -> None:
    who = np.repeat(np.arange(10), 4)
    perfect = score.verification(np.eye(10)[who], who)
    assert perfect["auc"] == 1 and perfect["tar_at_far_1e-2"] == 1
    noise = np.random.default_rng(0).standard_normal((400, 64))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    metrics = score.verification(noise, np.repeat(np.arange(100), 4))
    assert metrics["auc"] == pytest.approx(0.5, abs=0.05)
    assert metrics["tar_at_far_1e-2"] < 0.05


def test_clustering_is_one_for_separate_people_and_less_for_two_who_are_mixed() -> None:
    who = np.repeat(np.arange(5), 6)
    places = np.eye(5)[who] + 0.01 * np.random.default_rng(0).standard_normal((30, 5))
    assert score.clustering(places, who, 0) == pytest.approx(1)
    assert score.clustering(places, who[::-1].copy() % 3 * 2 + np.arange(30) % 2, 0) < 0.8


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.floats(0, 3))
def test_frechet_distance_knows_a_shift_exactly(seed: int, shift: float) -> None:
    points = np.random.default_rng(seed).standard_normal((50, 6))
    assert score.frechet(points, points) == pytest.approx(0, abs=1e-6)
    assert score.frechet(points, points + shift) == pytest.approx(6 * shift**2, abs=1e-6)


def test_a_plain_background_leaves_the_body_and_a_rim() -> None:
    images, labels = _pictures(64, 32), torch.zeros(64, 32, 32, dtype=torch.uint8)
    labels[:, 10:20, 12:18] = 2
    changed = parts._before_grey(images, labels, _random())
    assert torch.equal(changed[..., 10:20, 12:18], images[..., 10:20, 12:18])
    greyed = (changed[..., 0, 0] != images[..., 0, 0]).all(1)
    assert 16 < int(greyed.sum()) < 48
    assert changed[greyed][..., 0].std((1, 2)).max() < 1e-6


def test_rare_parts_weigh_more_and_the_mean_weight_is_one() -> None:
    labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
    labels[:, :4, :4] = 3
    weights = parts._weights(labels)
    assert weights.mean() == pytest.approx(1) and weights[3] > 2 * weights[0]
