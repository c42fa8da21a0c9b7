"""Trainings that start from a model, as steps do it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from components.core.artifacts.start import Start, read_start
from components.core.artifacts.version import LINEAGE, trained_on
from components.core.digest import file_digest
from components.core.errors import DataError, SettingsError
from components.core.networks.pretrained.starter import starter
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.train import train

MakePeople = Callable[..., tuple[Path, Path]]
Made = tuple[Path, Path]
TINY: dict[str, Any] = {
    "width": 4, "max_width": 16, "latent": 8, "batch": 3, "steps": 8, "gan_start": 0.5, "log_every": 1,
    "checkpoint_every": 3, "weights": {"perceptual": 0, "face": 0, "detail": 0, "r1_every": 2},
}  # fmt: skip


class Interrupted(Exception):
    pass


class Trace(NoRecord):
    """Keeps the losses; is interrupted at a step, if one is given."""

    def __init__(self, at: int | None = None) -> None:
        self.losses: dict[int | None, dict[str, float]] = {}
        self._at = at

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        if step is not None and step == self._at:
            raise Interrupted
        self.losses[step] = {name: value for name, value in values.items() if name.startswith("loss/")}


def tiny(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate(TINY | changes)


@pytest.fixture
def made(make_people: MakePeople) -> Made:
    return make_people()


@pytest.fixture
def first(made: Made, tmp_path: Path) -> Path:
    """A model's file, and beside it what it was trained on."""
    train(*made, tmp_path / "first", tiny(steps=3, gan_start=1))
    return tmp_path / "first" / "generator.safetensors"


def distance(one: Path, other: Path) -> float:
    these, those = load_file(one), load_file(other)
    return max(float((these[name].float() - those[name].float()).abs().max()) for name in these)


def test_it_starts_from_those_weights_and_says_so(made: Made, first: Path, tmp_path: Path) -> None:
    still = {"steps": 1, "gan_start": 1, "learning_rate": 1e-9, "seed": 5}
    near = train(*made, tmp_path / "near", tiny(**still, **{"from": str(first)}))
    far = train(*made, tmp_path / "far", tiny(**still))
    assert distance(Path(near.model), first) < 1e-6 < 0.01 < distance(Path(far.model), first)
    assert near.start == file_digest(first) and not far.start and near.digest != far.digest
    assert read_start(tmp_path / "near") == Start(near.start, True) and read_start(tmp_path / "far") is None
    header = json.loads(_header(Path(near.model))["settings"])
    assert header["from_digest"] == near.start and header["from"] is None  # a path of this machine is of no use


def test_a_pull_keeps_the_weights_near_those_that_it_started_from(made: Made, first: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"steps": 6, "gan_start": 1, "from": str(first)}
    drifts = []
    for pull in (0.0, 100.0):
        train(*made, tmp_path / str(pull) / "model", tiny(**asked, from_pull=pull))
        start, trained = load_file(first), load_file(tmp_path / str(pull) / "model" / first.name)
        drifts.append(sum(float((trained[name] - start[name]).square().sum()) for name in start))
    assert drifts[1] < 0.5 * drifts[0]


def test_where_the_model_lies_is_not_what_names_a_training(made: Made, first: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "model.safetensors"
    moved.parent.mkdir()
    moved.write_bytes(first.read_bytes())
    one, other = (train(*made, tmp_path / name, tiny(steps=1, gan_start=1, **{"from": str(path)}))
                  for name, path in (("one", first), ("other", moved)))
    assert one.digest == other.digest
    assert read_start(tmp_path / "other") == Start(one.start, False)  # nothing beside it says on what it was trained


def test_an_interrupted_one_goes_on_from_its_own_checkpoint(made: Made, first: Path, tmp_path: Path) -> None:
    settings, whole, before, after = tiny(**{"from": str(first)}), Trace(), Trace(at=5), Trace()
    train(*made, tmp_path / "whole" / "model", settings, recorder=whole)
    with pytest.raises(Interrupted):
        train(*made, tmp_path / "cut" / "model", settings, recorder=before)
    assert train(*made, tmp_path / "cut" / "model", settings, recorder=after).resumed_from == 3
    assert before.losses | after.losses == whole.losses
    assert distance(tmp_path / "whole" / "model" / first.name, tmp_path / "cut" / "model" / first.name) == 0


def test_whom_it_has_seen_is_handed_on(made: Made, first: Path, tmp_path: Path) -> None:
    own = trained_on(first.parent)
    assert own == {f"p{person}-{photo}" for person, count in enumerate((4, 2, 1)) for photo in range(count)}
    lineage = json.loads((first.parent / LINEAGE).read_text())
    (first.parent / LINEAGE).write_text(json.dumps(lineage | {"training_photos": ["somebody", *own]}))
    train(*made, tmp_path / "second", tiny(steps=1, gan_start=1, **{"from": str(first)}))
    assert trained_on(tmp_path / "second") == own | {"somebody"}


def test_a_model_that_was_trained_on_who_is_held_out_is_refused(made: Made, first: Path, tmp_path: Path) -> None:
    lineage = json.loads((first.parent / LINEAGE).read_text())
    (first.parent / LINEAGE).write_text(json.dumps(lineage | {"training_photos": ["p3-1"]}))
    with pytest.raises(DataError, match=r"trained on 1 of the 2 photos of the test split .*cluster.previous"):
        train(*made, tmp_path / "second", tiny(**{"from": str(first)}))


@pytest.mark.parametrize(("changes", "said"), [
    ({"width": 8}, r"made with train.width=4; asked is train.width=8 -- --set train.width=4, or another"),
    ({"latent": 16, "generator": "paper"}, "train.generator=warp train.latent=8; asked is train.generator=paper, tr"),
    ({"from_digest": "0" * 64}, "sha256 is .* asked for was 000000000000"),
    ({"from": "champion"}, "train.from=champion: only the command line looks into the registry"),
])
def test_what_does_not_fit_is_refused_in_one_line(made: Made, first: Path, tmp_path: Path, changes: dict[str, Any],
                                                  said: str) -> None:
    with pytest.raises((SettingsError, DataError), match=said) as caught:
        train(*made, tmp_path / "second", tiny(**({"from": str(first)} | changes)))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "second").exists()


def test_other_crops_are_refused(make_people: MakePeople, first: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"made with preprocess.resolution=64; asked is preprocess.resolution=32"):
        train(*make_people(side=32), tmp_path / "second", tiny(**{"from": str(first)}))


def test_the_starter_starts_a_training_of_photos_of_its_size(make_people: MakePeople, tmp_path: Path) -> None:
    made = make_people(side=128, texel=32, counts=(2, 2))
    settings = TrainSettings.model_validate({"from": "starter", "steps": 1, "batch": 1, "learning_rate": 1e-9})
    summary = train(*made, tmp_path / "model", settings)
    header = json.loads(_header(Path(summary.model))["settings"])
    assert (header["from"], header["from_digest"]) == ("starter", summary.start)
    assert distance(Path(summary.model), starter().generator) < 1e-3  # float32 of half precision


def _header(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return dict(file.metadata())
