"""Distances between pictures: nought for the same, growing with what is wrong, and usable as a loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from components.core.errors import SettingsError
from components.core.networks.pretrained.features import Features, PerceptualDistance
from components.core.settings import SynthesizeSettings
from components.synthesize import photos_of

DISTANCE = PerceptualDistance()
FEATURES = Features()


def _figures(count: int, side: int = 64, seed: int = 0) -> Tensor:
    """Crude portraits [count, 3, side, side]: a striped body, a head, eyes, on a graded background."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    random = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(count):
        c = torch.rand(8, 3, 1, 1, generator=random) * 2 - 1
        at, wide, stripes = torch.rand(3, generator=random).tolist()
        picture = c[0] * 0.5 + 0.3 * y * c[1]
        body = (y > 0.1) & ((x - at + 0.5).abs() < 0.25 + 0.3 * wide)
        picture = torch.where(body, c[2] * (0.7 + 0.3 * torch.sign(torch.sin((6 + 20 * stripes) * (x + y)))), picture)
        head = ((x - at + 0.5) / 0.22).square() + ((y + 0.25) / 0.33).square() < 1
        picture = torch.where(head, 0.4 + 0.4 * c[3], picture)
        for side_of_face in (-0.09, 0.09):
            eye = (x - at + 0.5 - side_of_face).square() + (y + 0.3).square() < 0.0016
            picture = torch.where(eye, c[4], picture)
        drawn.append(picture.clamp(-1, 1).expand(3, side, side))
    return torch.stack(drawn)


def _blurred(images: Tensor, strength: int) -> Tensor:
    for _ in range(strength):
        images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return images


def _noisy(images: Tensor, strength: int) -> Tensor:
    grain = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + 0.04 * strength * grain).clamp(-1, 1)


def _shifted(images: Tensor, strength: int) -> Tensor:
    return F.pad(images, (strength, 0, 0, 0), mode="replicate")[..., : images.shape[-1]]


def _tinted(images: Tensor, strength: int) -> Tensor:
    return (images + 0.06 * strength * torch.tensor([1.0, 0.0, -1.0])[:, None, None]).clamp(-1, 1)


HARMS = {"blur": _blurred, "noise": _noisy, "shift": _shifted, "tint": _tinted}


@pytest.mark.parametrize("harm", list(HARMS))
@pytest.mark.parametrize("side", [64, 128])
def test_perceptual_distance_grows_with_every_harm(harm: str, side: int) -> None:
    images = _figures(8, side)
    curve = torch.stack([DISTANCE(images, HARMS[harm](images, strength)) for strength in (0, 1, 2, 4, 8)])
    assert torch.all(curve[0].abs() < 1e-6)
    assert torch.all(curve[1:].mean(1) > curve[:-1].mean(1))
    assert (curve[1:] > curve[:-1]).float().mean() > 0.95


def test_other_people_are_further_than_small_harm() -> None:
    images = _figures(12)
    others = DISTANCE(images, images.roll(1, 0))
    for harm in HARMS.values():
        assert torch.all(DISTANCE(images, harm(images, 1)) < others.min())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(16, 70), width=st.integers(16, 70))
def test_perceptual_distance_is_symmetric_and_not_negative_at_any_size(seed: int, height: int, width: int) -> None:
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(2, 3, height, width, generator=random) * 2 - 1 for _ in range(2))
    forth, back = DISTANCE(x, y), DISTANCE(y, x)
    assert forth.shape == (2,)
    assert torch.all(forth > 0)
    torch.testing.assert_close(forth, back)


def test_the_mask_says_where_to_look() -> None:
    x = _figures(2)
    y = x.clone()
    y[..., :32] = -y[..., :32]
    left, right = torch.zeros(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    left[..., :32], right[..., 48:] = 1, 1
    everywhere = DISTANCE(x, y)
    assert torch.all(DISTANCE(x, y, left) > everywhere)
    assert torch.all(DISTANCE(x, y, right) < 0.2 * everywhere)
    assert torch.all(DISTANCE(x, y, torch.zeros(2, 1, 64, 64)) == 0)
    torch.testing.assert_close(DISTANCE(x, y, torch.ones(2, 1, 64, 64)), everywhere)


def test_what_several_are_compared_with_is_looked_at_once() -> None:
    pictures, known = _figures(4), _figures(2, seed=1)
    of = torch.tensor([1, 0, 1, 1])
    torch.testing.assert_close(DISTANCE(pictures, known, None, of), DISTANCE(pictures, known[of]))


def test_perceptual_distance_is_a_loss_that_leads_back_to_the_picture() -> None:
    truth = _figures(2)
    painted = _blurred(truth, 4).requires_grad_()
    optimiser = torch.optim.Adam([painted], lr=0.02)
    first = DISTANCE(painted, truth).mean()
    for _ in range(25):
        optimiser.zero_grad()
        DISTANCE(painted, truth).sum().backward()
        optimiser.step()
    assert DISTANCE(painted, truth).mean() < 0.5 * first
    assert all(parameter.grad is None for parameter in DISTANCE.parameters())


def test_neither_changes_in_training_mode() -> None:
    images, others = _figures(2), _figures(2, seed=1)
    before, described = DISTANCE(images, others), FEATURES(images)
    DISTANCE.train()
    FEATURES.train()
    torch.testing.assert_close(DISTANCE(images, others), before)
    torch.testing.assert_close(FEATURES(images), described)


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_features_take_any_size(side: int) -> None:
    assert FEATURES.name == "builtin-features"
    assert FEATURES(_figures(3, side)).shape == (3, FEATURES.dim)


def test_features_of_a_picture_do_not_depend_on_its_batch() -> None:
    images = _figures(5)
    together = FEATURES(images)
    alone = torch.cat([FEATURES(image[None]) for image in images])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """Rendered photos [160, 3, 128, 128] of 40 people, head and shoulders first, in random order."""
    shots = SynthesizeSettings(people=40, photos_per_person=4, height=172, first_person=900_000)
    people = range(shots.first_person, shots.first_person + shots.people)
    pictures = np.stack([photo.rgb[:128, :128] for person in people for _, _, photo in photos_of(shots, person)])
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)[order].float() / 127.5 - 1


@pytest.mark.parametrize("harm", ["blur", "noise", "tint"])
def test_frechet_distance_of_features_grows_with_harm_and_is_small_between_halves(harm: str, photos: Tensor) -> None:
    reference, others = _described(photos[:80]), photos[80:]
    halves = _frechet(reference, _described(others))
    weak, strong = (_frechet(reference, _described(HARMS[harm](others, strength))) for strength in (4, 12))
    assert halves < weak < strong
    assert 2 * halves < strong


def _described(images: Tensor) -> Tensor:
    return torch.cat([FEATURES(images[start : start + 20]) for start in range(0, len(images), 20)])


def _frechet(one: Tensor, other: Tensor) -> float:
    a, b = one.double().numpy(), other.double().numpy()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    overlap = np.sqrt(np.linalg.eigvals(first @ second).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * overlap)


@pytest.mark.parametrize("kind", [PerceptualDistance, Features])
def test_a_network_that_does_not_ship_is_refused(kind: type[torch.nn.Module]) -> None:
    with pytest.raises(SettingsError, match="unknown network vgg"):
        kind("vgg")
