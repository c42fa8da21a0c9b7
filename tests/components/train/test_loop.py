from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.core import presets
from components.core.digest import json_digest
from components.core.errors import DataError, InputError, PhotoshootError, SettingsError
from components.core.networks.generator.reposer import Reposer, SourceBatch
from components.core.people.dataset import PeopleDataset
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.train import train
from components.train.loop import choose_device
from components.train.place import _DOES_NOT_MATTER, training_digest
from components.train.trainer import Trainer, decay

MakePeople = Callable[..., tuple[Path, Path]]
# The GAN begins in the middle and R1 comes every other step, so that all of the state is at stake.
TINY: dict[str, Any] = {
    "width": 4, "max_width": 16, "latent": 8, "batch": 3, "steps": 8, "gan_start": 0.5, "log_every": 1,
    "sample_every": 5, "checkpoint_every": 3,
    "weights": {"perceptual": 0, "face": 0, "detail": 0, "r1_every": 2},
}  # fmt: skip


class Trace(NoRecord):
    def __init__(self) -> None:
        self.losses: dict[int, dict[str, float]] = {}
        self.images: dict[int, np.ndarray] = {}

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self.losses[step] = {name: value for name, value in values.items() if name.startswith("loss/")}
        assert values.get("speed/images_per_second", 1) > 0

    def image(self, key: str, image: np.ndarray, step: int | None = None) -> None:
        assert key == "samples" and step is not None
        self.images[step] = image


class Interrupted(Exception):
    pass


class Interrupting(Trace):
    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step == self._at:
            raise Interrupted
        super().metrics(values, step)


def tiny(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate(TINY | changes)


def test_a_training_ends_with_a_model_that_loads_by_itself(make_people: MakePeople, tmp_path: Path) -> None:
    people, identities = make_people()
    trace = Trace()
    summary = train(people, identities, tmp_path / "model", tiny(), recorder=trace)
    assert (summary.steps, summary.identities, summary.photos, summary.pairs) == (8, 3, 7, 14)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "curves.json", "generator.safetensors", "lineage.json", "model.json"]
    assert list(trace.losses) == list(range(1, 9)) and sorted(trace.images) == [5, 8]
    assert trace.losses[4].keys() == {"loss/l1", "loss/matte"}
    assert trace.losses[5].keys() - trace.losses[4].keys() == {
        "loss/gan", "loss/patch", "loss/discriminator", "loss/patch_discriminator", "loss/r1", "loss/patch_r1"}
    assert "loss/r1" not in trace.losses[6] and "loss/gan" in trace.losses[6]
    assert trace.images[8].shape == (6 * 64, 4 * 64, 3) and trace.images[8].dtype == np.uint8
    model = Reposer.load(tmp_path / "model" / "generator.safetensors")
    assert (model.resolution, model.texel, model.origin) == (64, 8, "synthetic")
    person = PeopleDataset.open(people)[0]
    source = SourceBatch(person.texture[None], person.seen[None], person.photo[None], person.matte[None],
                         person.iuv[None])
    assert model.repose(source, person.iuv[None], person.photo[None]).images.shape == (1, 64, 64, 3)


def test_a_finished_training_returns_at_once_until_something_changes(make_people: MakePeople, tmp_path: Path) -> None:
    made, out = make_people(), tmp_path / "model"
    first = train(*made, out, tiny())
    trace = Trace()
    again = train(*made, out, tiny(log_every=2), recorder=trace)
    assert not trace.losses and not trace.images
    assert again.digest == first.digest and again.losses == first.losses and again.seconds == 0
    (out / "generator.safetensors").write_bytes(b"torn")
    mended = train(*made, out, tiny(), recorder=trace)
    assert mended.resumed_from == 8 and not trace.images  # from the last checkpoint, without a step
    assert list(trace.losses) == list(range(1, 9))  # a record that has nothing is told what was logged before
    Reposer.load(out / "generator.safetensors")
    assert train(*made, out, tiny(seed=1)).resumed_from == 0


@pytest.mark.parametrize("at", [2, 5, 7])
def test_an_interrupted_training_goes_on_to_the_same_losses(make_people: MakePeople, tmp_path: Path, at: int) -> None:
    made = make_people()
    whole = Trace()
    train(*made, tmp_path / "whole" / "model", tiny(), recorder=whole)
    first, second = Interrupting(at), Trace()
    with pytest.raises(Interrupted):
        train(*made, tmp_path / "cut" / "model", tiny(), recorder=first)
    summary = train(*made, tmp_path / "cut" / "model", tiny(), recorder=second)
    assert summary.resumed_from == (at - 1) // 3 * 3
    assert first.losses | second.losses == whole.losses  # number for number
    one, other = (load_file(tmp_path / name / "model" / "generator.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_torn_checkpoint_costs_the_steps_since_the_one_before(make_people: MakePeople, tmp_path: Path) -> None:
    made, out = make_people(), tmp_path / "model"
    with pytest.raises(Interrupted):
        train(*made, out, tiny(), recorder=Interrupting(7))
    newest = max((tmp_path / "state").glob("*/*.safetensors"))
    assert newest.name == "step-00000006.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert train(*made, out, tiny()).resumed_from == 3


@pytest.mark.parametrize("term", ["l1", "gan"])
def test_a_loss_that_is_not_finite_stops_with_step_term_and_checkpoint(
        make_people: MakePeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    made = make_people()
    plain = Trainer.step

    def poisoned(self: Trainer, step: int, batch: Any) -> dict[str, torch.Tensor]:
        terms = plain(self, step, batch)
        return terms | {term: torch.tensor(float("nan"))} if step == 5 else terms

    monkeypatch.setattr(Trainer, "step", poisoned)
    with pytest.raises(PhotoshootError, match=rf"step 5: the loss {term} is nan; .*step-00000003.safetensors"):
        train(*made, tmp_path / "model", tiny())
    assert not (tmp_path / "model").exists()


def test_artifacts_that_do_not_fit_are_refused(make_people: MakePeople, tmp_path: Path) -> None:
    people, _ = make_people()
    _, others = make_people(side=32)
    with pytest.raises(DataError, match="another people data set"):
        train(people, others, tmp_path / "model", tiny())
    with pytest.raises(InputError, match="no identities here"):
        train(people, tmp_path / "nowhere", tmp_path / "model", tiny())


def test_one_photo_people_alone_can_be_trained_on(make_people: MakePeople, tmp_path: Path) -> None:
    made = make_people(counts=(1, 1, 1))
    summary = train(*made, tmp_path / "model", tiny(steps=2))
    assert summary.pairs == 0 and summary.losses["loss/l1"] > 0


def test_the_digest_is_about_what_decides_the_result() -> None:
    plain = training_digest(tiny(), "a", "b")
    assert plain == training_digest(tiny(log_every=7, checkpoint_every=1, device="cpu"), "a", "b")
    said = tiny().model_dump(mode="json", exclude=_DOES_NOT_MATTER)
    said["momentum"] = said.pop("beta1")  # version 0.1: a training that it began goes on
    assert plain == json_digest([said, "a", "b"])
    changed = [training_digest(tiny(steps=9), "a", "b"), training_digest(tiny(), "c", "b"),
               training_digest(tiny(), "a", "c"), training_digest(tiny(weights={"l1": 1}), "a", "b")]
    assert len({plain, *changed}) == 5


def test_devices_are_checked_before_work_begins() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(SettingsError, match=f"train.device = {name}"):
            choose_device(name)


def test_the_learning_rate_falls_along_a_cosine() -> None:
    settings = tiny(steps=101, learning_rate_end=0.1)
    assert [decay(step, settings) for step in (0, 50, 100)] == pytest.approx([1.0, 0.55, 0.1])


def test_learning_makes_the_losses_fall(make_people: MakePeople, tmp_path: Path) -> None:
    trace = Trace()
    settings = tiny(generator="paper", steps=40, width=8, batch=4, learning_rate=0.005, gan_start=1.0, augment=False)
    train(*make_people(), tmp_path / "model", settings, recorder=trace)
    for name in ("loss/l1", "loss/matte"):
        first, last = (np.mean([trace.losses[step][name] for step in steps]) for steps in (range(1, 6), range(36, 41)))
        assert last < 0.75 * first


@pytest.mark.parametrize(("name", "generator"), [*((name, "warp") for name in presets.names()), ("smoke", "paper"),
                                                 ("demo", "paper")])
def test_every_preset_trains_two_steps_at_its_resolution(name: str, generator: str, make_people: MakePeople,
                                                         tmp_path: Path) -> None:
    """Real resolution, texels, loss weights and schedule; batch and width cut down to what a test may cost."""
    chosen = presets.preset(name)
    made = make_people(chosen.preprocess.resolution, chosen.preprocess.texel, (2, 1))
    small = {"generator": generator, "steps": 2, "batch": 1, "gan_start": 0.0, "latent": 32,
             "width": min(chosen.train.width, 4), "max_width": min(chosen.train.max_width, 32)}
    settings = TrainSettings.model_validate(chosen.train.model_dump() | small)
    trace = Trace()
    train(*made, tmp_path / "model", settings, recorder=trace)
    assert trace.losses[2].keys() >= {"loss/l1", "loss/detail", "loss/perceptual", "loss/matte", "loss/face",
                                      "loss/gan", "loss/patch", "loss/r1", "loss/patch_r1"}
    assert Reposer.load(tmp_path / "model" / "generator.safetensors").resolution == chosen.preprocess.resolution
