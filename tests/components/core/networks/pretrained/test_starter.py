"""The model that ships: whole, small, in half precision, and as its card says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import photoshoot
from components.core.errors import DataError
from components.core.networks.generator.reposer import Reposer
from components.core.networks.pretrained import weights
from components.core.networks.pretrained.starter import starter, starter_card

DATA = Path(weights.__file__).parents[2] / "data"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("starter.safetensors", "cards.json"):
        shutil.copy(DATA / name, folder)
    monkeypatch.setattr(weights, "folder", lambda: folder)
    return folder


def test_it_is_a_synthetic_model_in_half_precision_of_at_most_eight_megabytes() -> None:
    found, card = starter(), starter_card(weights.cards())
    assert found.generator.stat().st_size == card["bytes"] <= 8_000_000
    with safe_open(found.generator, framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
        assert json.loads(file.metadata()["lineage"]) == card["digests"]
    reposer = Reposer.load(found.generator)
    assert reposer.origin == "synthetic" and reposer.resolution == card["resolution"] == found.preprocess.resolution
    parameters = reposer.network.state_dict().values()
    assert {value.dtype for value in parameters} == {torch.float32}
    assert all(value.isfinite().all() for value in parameters)
    assert sum(value.numel() for value in parameters) == card["parameters"]
    assert card["licence"] == "Apache-2.0" and card["verdict"].startswith("passed") and card["gate"]["ssim"]


def test_python_loads_it_by_name() -> None:
    model = photoshoot.load("starter")
    assert model.origin == "synthetic" and model.preprocess.resolution == model.resolution
    assert model.digest == photoshoot.load(starter().generator).digest


def test_a_folder_of_its_name_is_still_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(photoshoot.InputError, match="no model here"):
        photoshoot.load(Path("starter"))


def test_a_changed_byte_is_found_and_the_file_named(copied: Path) -> None:
    content = bytearray((copied / "starter.safetensors").read_bytes())
    content[-1] ^= 1
    (copied / "starter.safetensors").write_bytes(content)
    for load in (starter, lambda: photoshoot.load("starter")):
        with pytest.raises(DataError, match=r"starter\.safetensors: sha256 .* the card says"):
            load()


def test_what_is_missing_is_named(copied: Path) -> None:
    (copied / "starter.safetensors").unlink()
    with pytest.raises(DataError, match=r"starter\.safetensors: the starter model is missing"):
        starter()
    document = json.loads((copied / "cards.json").read_text(encoding="utf-8"))
    (copied / "cards.json").write_text(json.dumps(document | {"models": {}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"cards\.json: no card for the starter"):
        starter()


def test_a_model_in_half_precision_paints_as_the_one_it_was_made_of(tmp_path: Path) -> None:
    """Of the shipped weights moved off what half precision holds, by less than it can tell."""
    found = starter()
    reposer = Reposer.load(found.generator)
    with torch.no_grad():
        for value in reposer.network.parameters():
            value.mul_(1 + 2**-12)
    reposer.save(tmp_path / "generator.safetensors")
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (160, 160, 3), dtype=np.uint8)
    pose = np.zeros((160, 160, 3), np.uint8)
    pose[30:150, 50:110] = (2, 128, 128)
    pose[10:30, 65:95] = (23, 128, 128)
    half, whole = (photoshoot.load(path).shoot(photoshoot.Photo(photo, pose), pose, size=128)
                   for path in (found.generator, tmp_path / "generator.safetensors"))
    assert np.abs(half.images.astype(int) - whole.images).max() <= 2
