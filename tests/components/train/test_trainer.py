"""Options of a training step, each by its effect."""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from components.core.errors import SettingsError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import TrainSettings
from components.train import losses
from components.train.data.augment import Batch, prepare
from components.train.data.batches import Batches
from components.train.data.diff_augment import diff_augment
from components.train.trainer import Trainer

MakePeople = Callable[..., tuple[Path, Path]]
CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "width": 4, "max_width": 16, "latent": 8, "batch": 4, "steps": 8, "gan_start": 0.0,
    "weights": {"perceptual": 0, "face": 0},
}  # fmt: skip


def trainer(**changes: Any) -> Trainer:
    weights = TINY["weights"] | changes.pop("weights", {})
    settings = TrainSettings.model_validate(TINY | changes | {"weights": weights})
    return Trainer(settings, 64, 8, CPU, perceptual=None, embedder=None)


@pytest.fixture
def batch(make_people: MakePeople) -> Batch:
    people, identities = make_people()
    dataset = PeopleDataset.open(people)
    groups = list(Identities.open(identities).members(dataset, "train").values())
    torch.manual_seed(0)
    return prepare(Batches(dataset, groups, batch=4, reconstruction=0.0, seed=0)[0], CPU, augment=False)


def test_a_batch_comes_apart_in_order(batch: Batch) -> None:
    parts = batch.parts(3)
    assert [len(part.poses) for part in parts] == [2, 2]
    assert torch.equal(torch.cat([part.photos for part in parts]), batch.photos)
    assert torch.equal(torch.cat([part.source.face.images for part in parts]), batch.source.face.images)
    assert torch.equal(torch.cat([part.source.textures for part in parts]), batch.source.textures)
    assert len(batch.parts(9)) == 4


def test_accumulated_parts_add_up_to_the_whole_batch(batch: Batch) -> None:
    """Twice the same two examples: each part's losses are the whole's, and so must the gradients be."""
    one = batch.parts(2)[0]
    twice = Batch(*(torch.cat((plane, plane)) if isinstance(plane, torch.Tensor) else plane for plane in one))
    source = one.source.__class__(
        torch.cat((one.source.textures,) * 2), torch.cat((one.source.seen,) * 2),
        *(photo.__class__(*(torch.cat((plane, plane)) for plane in (photo.images, photo.mattes, photo.poses)))
          for photo in (one.source.face, one.source.clothes)))  # fmt: skip
    twice = twice._replace(source=source)
    weights = {"gan": 0.0, "patch": 0.0}
    whole, cut = trainer(weights=weights), trainer(weights=weights, accumulate=2)
    terms, parts = whole.step(0, twice), cut.step(0, twice)
    assert terms.keys() == parts.keys()
    for name, term in terms.items():
        assert parts[name].item() == pytest.approx(term.item(), rel=1e-4)
    others = dict(cut.generator.named_parameters())
    for name, parameter in whole.generator.named_parameters():
        if parameter.grad is not None and not name.endswith("noise"):  # which are drawn for each part anew
            apart = (parameter.grad - others[name].grad).norm()  # type: ignore[operator]
            # A difference that rounding turns over, where a loss is an absolute one, moves a gradient a little.
            assert apart <= 1e-2 * parameter.grad.norm() + 1e-5, name


def test_accumulation_holds_for_the_judges_too(batch: Batch) -> None:
    cut = trainer(accumulate=2)
    before = [parameter.clone() for parameter in cut.discriminator.parameters()]
    terms = cut.step(0, batch)
    assert {"gan", "patch", "discriminator", "patch_discriminator", "r1", "patch_r1"} <= terms.keys()
    assert all(math.isfinite(term.item()) for term in terms.values())
    assert any(not torch.equal(was, now) for was, now in zip(before, cut.discriminator.parameters(), strict=True))


def test_a_first_beta_carries_the_generator_on(batch: Batch) -> None:
    with_it, without = trainer(beta1=0.9), trainer(beta1=0.0)

    def alike(network: str) -> bool:
        pairs = zip(with_it.networks[network].parameters(), without.networks[network].parameters(), strict=True)
        return all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)

    for one in (with_it, without):
        one.step(0, batch)
    assert alike("generator") and alike("discriminator")  # a first step has nothing to carry on
    for one in (with_it, without):
        one.step(1, batch)
    assert not alike("generator")


@pytest.mark.parametrize("generator", ["paper", "warp"])
def test_path_length_comes_every_few_steps_and_reaches_the_generator(generator: str, batch: Batch) -> None:
    weights = {"path": 2.0, "path_every": 2, "l1": 0, "matte": 0, "detail": 0, "gan": 0, "patch": 0}
    mine = trainer(generator=generator, weights=weights)
    before = mine.generator.gnet.up[0].conv0.conv.weight.clone()
    assert "path" in mine.step(0, batch)
    assert not torch.equal(before, mine.generator.gnet.up[0].conv0.conv.weight)
    assert mine.networks["path_length"].state_dict()["mean"] > 0


def test_path_length_is_absent_between_and_when_switched_off(batch: Batch) -> None:
    assert "path" not in trainer(weights={"path": 2.0, "path_every": 2}).step(1, batch)
    off = trainer()
    assert "path" not in off.step(0, batch) and "path_length" not in off.networks


def test_path_length_of_a_linear_map() -> None:
    """x = a z with one number per picture: the slope is a times the noise, so its length is near |a|."""
    torch.manual_seed(0)
    a = torch.tensor(3.0, requires_grad=True)
    z = torch.ones(64, 1, requires_grad=True)
    path = losses.PathLength(decay=1.0)
    images = (a * z)[:, :, None, None] * torch.ones(64, 1, 16, 16) / 16
    value = path(images, z)
    # Lengths are |a n| with n the mean of 256 normals times 16: a half-normal of scale a / 16.
    assert path.mean.item() == pytest.approx(3 / 16 * math.sqrt(2 / math.pi), rel=0.25)
    assert value.item() == pytest.approx((3 / 16) ** 2 * (1 - 2 / math.pi), rel=0.4)
    value.backward()
    assert a.grad is not None and a.grad.item() > 0


def test_what_the_discriminator_sees_is_changed_and_keeps_its_gradient() -> None:
    torch.manual_seed(0)
    images = (torch.rand(6, 3, 32, 32) * 2 - 1).requires_grad_()
    poses = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    poses[..., 8:24, 8:24] = 7
    changed, moved = diff_augment(images, poses)
    assert changed.shape == images.shape and moved.shape == poses.shape and moved.dtype == torch.uint8
    assert not torch.equal(changed, images)
    centres = [torch.nonzero(one[0]).float().mean(0) for one in moved]
    assert max((centre - 15.5).abs().max().item() for centre in centres) > 1  # somebody moved, nobody by more than 1/8
    assert all((centre - 15.5).abs().max().item() <= 4 for centre in centres)
    assert ((changed == 0).all(1).flatten(1).float().mean(1) > 0.05).all()  # a hole in each
    changed.square().sum().backward()
    assert images.grad is not None and (images.grad.abs().flatten(1).sum(1) > 0).all()


def test_pose_and_picture_move_together() -> None:
    torch.manual_seed(1)
    poses = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    poses[..., 10:22, 10:22] = 9
    images = torch.where(poses[:, :1] > 0, 1.0, -1.0).expand(-1, 3, -1, -1)
    changed, moved = diff_augment(images, poses)
    for picture, pose in zip(changed, moved, strict=True):
        shown = (picture != 0).all(0)
        bright = picture.mean(0) > picture[:, shown].mean()
        assert torch.equal(bright & shown, (pose[0] > 0) & shown)


def test_diff_augment_changes_the_logits_only_when_asked(batch: Batch) -> None:
    for on in (False, True):
        mine = trainer(diff_augment=on)
        torch.manual_seed(3)
        one = mine._logits(batch.photos, batch.poses)
        torch.manual_seed(4)
        assert torch.equal(one, mine._logits(batch.photos, batch.poses)) is not on


@pytest.fixture
def _traced_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile as it is, up to the C++ it would write: that takes a minute."""
    plain = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: plain(module, backend="aot_eager"))
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_traced_only")
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
def test_compiled_networks_give_the_same_losses(batch: Batch) -> None:
    weights = {"gan": 0, "patch": 0}
    plain, compiled = trainer(weights=weights), trainer(weights=weights, compile=True)
    torch.manual_seed(0)
    wanted = plain.step(0, batch)
    torch.manual_seed(0)
    got = compiled.step(0, batch)
    assert {name: term.item() for name, term in got.items()} == pytest.approx(
        {name: term.item() for name, term in wanted.items()}, rel=0.02)
    assert compiled.generator.state_dict().keys() == plain.generator.state_dict().keys()
    counters = torch._dynamo.utils.counters["stats"]
    assert counters["unique_graphs"] >= 2


def test_compiling_is_refused_where_it_cannot_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="cannot be used together"):
        trainer(compile=True, weights={"path": 2.0})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SettingsError, match=r"C\+\+ compiler"):
        trainer(compile=True)
