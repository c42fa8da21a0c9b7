"""From folders of people to networks that ship, in miniature."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.core.errors import InputError, SettingsError
from components.core.networks.pretrained import weights
from pipelines.pretraining.photos import read_population
from pipelines.pretraining.pretrain import PretrainSettings, pretrain
from pipelines.pretraining.publish import readable

DrawPeople = Callable[..., Path]
TINY = PretrainSettings(face_steps=3, judge_steps=3, perceptual_steps=3, feature_steps=3, part_steps=3, finder_steps=3,
                        batch=48, measured_bodies=8)


@pytest.fixture(scope="module")
def populations(tmp_path_factory: pytest.TempPathFactory, draw_people: DrawPeople) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("people")
    return {
        "faces": draw_people(root / "faces", 16, 4),
        "judge": draw_people(root / "judge", 16, 4, first=100),
        "finder": draw_people(root / "finder", 16, 4, first=300),
        "held_out": draw_people(root / "held-out", 12, 4, first=200),
    }


@pytest.fixture(scope="module")
def trained(populations: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights")
    pretrain(**populations, out=out, settings=TINY, command="a test")
    return out


def test_what_was_trained_loads_as_what_ships(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "folder", lambda: trained)
    for name in weights.NETWORKS:
        _, metadata = weights.load_weights(name)
        assert metadata["command"] == "a test" and "16 synthetic people" in metadata["trained_on"]
    document = json.loads((trained / "cards.json").read_text(encoding="utf-8"))
    assert (trained / "README.md").read_text(encoding="utf-8") == readable(document)
    metrics = document["networks"]["builtin-face"]["metrics"]
    assert metrics["people"] == 12 and 0 <= metrics["auc"] <= 1
    assert document["networks"]["builtin-perceptual"]["metrics"]["unrelated"] == pytest.approx(1, abs=0.5)


def test_the_shipped_readme_shows_the_shipped_cards() -> None:
    data = Path(weights.__file__).parents[2] / "data"
    document = json.loads((data / "cards.json").read_text(encoding="utf-8"))
    assert (data / "README.md").read_text(encoding="utf-8") == readable(document)


def test_the_same_seed_gives_the_same_file_and_the_other_cards_stay(
    trained: Path, populations: dict[str, Path]
) -> None:
    before = json.loads((trained / "cards.json").read_text(encoding="utf-8"))
    content = (trained / "builtin-judge.safetensors").read_bytes()
    pretrain(**populations, out=trained, settings=TINY, only=["builtin-judge"], command="a test")
    assert (trained / "builtin-judge.safetensors").read_bytes() == content
    assert json.loads((trained / "cards.json").read_text(encoding="utf-8")) == before


def test_people_may_not_be_both_taught_and_measured(populations: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="p0000 is also in"):
        pretrain(populations["faces"], populations["judge"], populations["finder"], populations["faces"],
                 tmp_path / "out", TINY)
    assert not (tmp_path / "out").exists()


def test_the_judge_may_not_be_taught_by_the_people_of_the_loss(populations: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="p0000 is also in"):
        pretrain(populations["faces"], populations["faces"], populations["finder"], populations["held_out"],
                 tmp_path / "out", TINY)


def test_unknown_networks_and_bad_settings_are_refused(populations: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown network vgg"):
        pretrain(**populations, out=tmp_path, settings=TINY, only=["vgg"])
    with pytest.raises(SettingsError, match="face_steps = 0"):
        PretrainSettings(face_steps=0)
    with pytest.raises(SettingsError, match="batch = 8"):
        PretrainSettings(batch=8)


def test_the_command_prints_one_line_for_a_folder_it_cannot_use(tmp_path: Path) -> None:
    folders = (argument for name in ("faces", "judge", "finder", "held-out") for argument in (f"--{name}", tmp_path))
    there = [*folders, "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.pretraining", *map(str, there)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "no labels.csv" in done.stderr and str(tmp_path) in done.stderr


def test_population_numbers_people_and_cuts_faces_and_bodies(populations: dict[str, Path]) -> None:
    people = read_population(populations["faces"])
    assert len(people.names) == 16 and people.names[0] == "p0000"
    assert people.faces.shape == (64, 3, 64, 64) and people.faces.dtype == torch.uint8
    assert people.bodies.shape == (64, 3, 128, 128) and people.parts.shape == (64, 128, 128)
    assert set(people.parts.unique().tolist()) == {0, 2, 23, 24}
    assert torch.equal(people.face_identity, torch.arange(16).repeat_interleave(4))
    fewer = read_population(populations["faces"], most_bodies=20)
    assert len(fewer.bodies) == 16 and len(fewer.faces) == 64


def test_a_label_without_its_photo_or_pose_map_is_named(tmp_path: Path, draw_people: DrawPeople) -> None:
    folder = draw_people(tmp_path / "people", 2, 1)
    (folder / "iuv" / "p0001-0.png").unlink()
    with pytest.raises(InputError, match=r"p0001-0\.png: the photo has no pose map"):
        read_population(folder)
    (folder / "photos" / "p0001-0.png").unlink()
    with pytest.raises(InputError, match=r"labels\.csv: line 3 names the photo p0001-0\.png"):
        read_population(folder)
