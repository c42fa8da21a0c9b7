import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from components.core.networks.generator.reposer import Generator, source_tensors
from components.core.networks.generator.warp import SourceView
from components.core.settings import LossWeights, TrainSettings
from components.train import losses


class Means(nn.Module):
    """Stands in for a face network: the unit vector of an image's mean colours; the first picture has no face."""

    def embed(self, images: Tensor, iuv: Tensor) -> tuple[Tensor, Tensor]:
        valid = torch.arange(len(images)) > 0
        return nn.functional.normalize(images.mean((2, 3)), dim=1) * valid[:, None], valid


def squared(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    assert mask is not None
    return ((x - y).square() * mask).mean((1, 2, 3))


def test_l1_is_the_mean_inside_the_person_whatever_its_size() -> None:
    photo = torch.zeros(1, 3, 8, 8)
    for side in (2, 6):
        matte = torch.zeros(1, 1, 8, 8)
        matte[..., :side, :side] = 1
        assert losses.l1(photo + 0.5 * matte, photo, matte).item() == pytest.approx(0.5)
        assert losses.l1(photo + 9 * (1 - matte), photo, matte).item() == 0
    assert losses.l1(photo + 1, photo, torch.zeros(1, 1, 8, 8)).item() == 0


def test_l1_pulls_towards_the_photo_and_inside_only() -> None:
    person = torch.zeros(1, 3, 4, 4, requires_grad=True)
    matte = torch.zeros(1, 1, 4, 4)
    matte[..., 0, 0] = 1
    losses.l1(person, torch.ones(1, 3, 4, 4), matte).backward()
    assert person.grad is not None
    assert person.grad[0, :, 0, 0].tolist() == pytest.approx([-1 / 3] * 3)
    assert person.grad.count_nonzero() == 3


def test_the_head_weighs_more_and_the_hair_with_it() -> None:
    poses = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    poses[:, 0, 20:40, 20:40] = 24
    poses[:, 0, 40:60, 10:50] = 2
    weight = losses.emphasis(poses, 3.0)
    assert weight.shape == (1, 1, 64, 64)
    assert (weight[0, 0, 18:42, 18:42] == 3).all() and (weight[0, 0, 45:] == 1).all() and (weight[0, 0, :16] == 1).all()
    assert torch.equal(losses.emphasis(poses, 1.0), torch.ones(1, 1, 64, 64))


def test_detail_is_about_how_crisp_not_where() -> None:
    torch.manual_seed(0)
    real, matte = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    blurred = nn.functional.avg_pool2d(real, 3, stride=1, padding=1).requires_grad_()
    value = losses.detail(blurred, real, matte)
    assert losses.detail(real.roll(1, 3), real, matte).item() < 0.2 * value.item()
    assert losses.detail(real + 0.3, real, matte).item() == pytest.approx(0, abs=1e-5)
    value.backward()
    assert blurred.grad is not None and blurred.grad.isfinite().all()
    crisper = (blurred - 20 * blurred.grad).detach()
    assert losses.detail(crisper, real, matte).item() < value.item()
    assert losses.detail(blurred, real, torch.zeros(1, 1, 64, 64)).item() == 0


def test_detail_tells_steps_from_a_slope_and_weighs_them() -> None:
    """A staircase rises by as much as a ramp: only how it bends is different."""
    across = torch.arange(64.0)
    ramp, stairs = ((2 * rise / 64 - 1).expand(1, 3, 64, 64) for rise in (across, 4 * (across // 4)))
    everywhere, above = torch.ones(1, 1, 64, 64), torch.ones(1, 1, 64, 64)
    above[..., 32:, :] = 0
    assert losses.detail(stairs, ramp, everywhere).item() > 0.01
    half = torch.cat((stairs[..., :32, :], ramp[..., 32:, :]), 2)
    assert losses.detail(half, ramp, above).item() == pytest.approx(losses.detail(stairs, ramp, everywhere).item(),
                                                                     rel=0.1)
    assert losses.detail(half, ramp, 1 - above).item() < 0.005


def test_perceptual_looks_at_the_person_and_a_little_around() -> None:
    matte = torch.zeros(1, 1, 32, 32)
    matte[..., 10:20, 10:20] = 1
    real = torch.zeros(1, 3, 32, 32)
    near, far = real.clone(), real.clone()
    near[..., 20, 20] = 1
    far[..., 25, 25] = 1
    near.requires_grad_()
    value = losses.perceptual(near, real, matte, squared)
    assert value.item() == pytest.approx(1 / 1024)
    value.backward()
    assert near.grad is not None and near.grad[0, 0, 20, 20] > 0
    assert losses.perceptual(far, real, matte, squared).item() == 0
    assert losses.perceptual(real, real, matte, squared).item() == 0


def test_face_is_one_minus_cosine_where_a_face_is_seen() -> None:
    real = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])[:, :, None, None].expand(-1, -1, 4, 4)
    painted = torch.tensor([[0, 1.0, 0], [1.0, 0, 0], [1.0, 0, 0]])[:, :, None, None].repeat(1, 1, 4, 4)
    painted.requires_grad_()
    poses = torch.zeros(3, 3, 4, 4, dtype=torch.uint8)
    value = losses.face(painted, real, poses, Means())
    assert value.item() == pytest.approx(0.5)  # right, wrong by a right angle; the first is not counted
    value.backward()
    assert painted.grad is not None
    assert not painted.grad[0].any() and painted.grad[2].abs().max() > 0
    assert losses.face(painted[:1], real[:1], poses[:1], Means()).item() == 0


@pytest.mark.parametrize("generator", ["paper", "warp"])
def test_the_face_loss_reaches_every_network(generator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project before this one detached the painted face: the loss was there and taught nothing."""
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"generator": generator, "width": 4, "max_width": 16, "latent": 8})
    network = Generator(settings, 64, 8)
    poses = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    poses[:, 0, 10:50, 20:44] = 23
    poses[:, 1, 10:50, 20:44] = torch.arange(24, dtype=torch.uint8) * 10
    poses[:, 2, 10:50, 20:44] = (torch.arange(40, dtype=torch.uint8) * 6).flip(0)[:, None]
    photo = SourceView(torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64), poses)
    seen = torch.rand(2, 24, 8, 8) < 0.5
    source = source_tensors(torch.randint(0, 256, (2, 24, 8, 8, 3), dtype=torch.uint8), seen, photo, photo)
    painting = network(source, poses)
    losses.face(painting.over(torch.zeros(2, 3, 64, 64)), photo.images, poses, Means()).backward()
    for part in (network.anet, network.pnet, network.gnet):
        gradients = [p.grad.abs().max().item() for p in part.parameters() if p.grad is not None]
        assert max(gradients) > 0


def test_matte_has_a_gradient_at_both_ends() -> None:
    soft = torch.tensor([-0.01, 1.01, 0.5]).reshape(1, 1, 1, 3).requires_grad_()
    value = losses.matte(soft, torch.tensor([1.0, 0.0, 0.5]).reshape(1, 1, 1, 3))
    assert value.item() == pytest.approx(2.02 / 3)
    value.backward()
    assert soft.grad is not None
    assert soft.grad.flatten().tolist() == pytest.approx([-1 / 3, 1 / 3, 0])


def test_gan_losses_are_logistic() -> None:
    logits = torch.tensor([0.0, 2.0], requires_grad=True)
    value = losses.gan_generator(logits)
    assert value.item() == pytest.approx((math.log(2) + math.log1p(math.exp(-2))) / 2)
    value.backward()
    assert logits.grad is not None and (logits.grad < 0).all()
    real, painted = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    value = losses.gan_discriminator(real, painted)
    assert value.item() == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.exp(1)))
    value.backward()
    assert real.grad is not None and painted.grad is not None
    assert real.grad.item() < 0 < painted.grad.item()


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 5, 3, 4, 4)])
def test_r1_is_half_the_squared_slope(shape: tuple[int, ...]) -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    images = torch.randn(shape, requires_grad=True)
    logits = (weight * images).flatten(1).sum(1)
    value = losses.r1(logits, images)
    assert value.item() == pytest.approx(0.25 * images[0].numel() / 2)
    value.backward()
    assert weight.grad is not None and weight.grad.item() == pytest.approx(0.5 * images[0].numel())


def test_r1_is_not_the_distance_of_the_norm_from_one() -> None:
    steep: Callable[[Tensor], Tensor] = lambda x: 3 * x.flatten(1).sum(1)  # noqa: E731
    images = torch.randn(1, 3, 4, 4, requires_grad=True)
    assert losses.r1(steep(images), images).item() == pytest.approx(9 * 48 / 2)


def test_every_loss_of_the_table_has_a_weight_and_is_computed_where_it_is_not_0() -> None:
    assert set(losses.RECONSTRUCTION) <= set(LossWeights.model_fields)
