"""The weights that ship: whole, small, checked, and described as they are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from components.core.errors import DataError, SettingsError
from components.core.networks.pretrained import weights
from components.core.networks.pretrained.builtin import FaceNet, FeatureNet, JudgeNet, PerceptualNet, folded
from components.core.networks.pretrained.weights import FORMAT, NETWORKS, load_network, load_weights, weights_card

DATA = Path(weights.__file__).parents[2] / "data"


@pytest.fixture
def copied_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped folder, copied to where a test may spoil it."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder)
    monkeypatch.setattr(weights, "folder", lambda: folder)
    return folder


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_ships_and_loads(name: str) -> None:
    tensors, metadata = load_weights(name)
    assert metadata["format"] == FORMAT
    assert metadata["architecture"] == NETWORKS[name].__name__
    assert metadata["trained_on"] and metadata["command"]
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in tensors.values())
    network = load_network(name)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_all_that_ships_is_at_most_sixteen_megabytes_and_the_small_networks_five() -> None:
    sizes = {file.name: file.stat().st_size for file in DATA.rglob("*") if file.is_file()}
    assert sum(sizes.values()) <= 16_000_000
    assert sum(size for name, size in sizes.items() if name != "starter.safetensors") <= 5_000_000


def test_cards_describe_the_files() -> None:
    document = json.loads((DATA / "cards.json").read_text(encoding="utf-8"))
    assert set(document["networks"]) == set(NETWORKS)
    described = [*document["networks"].values(), *document["models"].values()]
    assert {file.name for file in DATA.glob("*.safetensors")} == {card["file"] for card in described}
    for name in NETWORKS:
        card = weights_card(name)
        content = (DATA / card["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == card["sha256"] and len(content) == card["bytes"]
        assert card["licence"] == "Apache-2.0" and card["metrics"]


def test_the_judge_is_another_network_taught_by_other_people() -> None:
    face, judge = weights_card("builtin-face"), weights_card("builtin-judge")
    assert face["architecture"] != judge["architecture"]
    first, last = (re.findall(r"person(\d+)", card["trained_on"]) for card in (face, judge))
    assert max(map(int, first)) < min(map(int, last)) or max(map(int, last)) < min(map(int, first))


@pytest.mark.parametrize(
    ("name", "near"), [("builtin-fase", "builtin-face"), ("judge", "builtin-judge"), ("zzz", "builtin-features")]
)
def test_an_unknown_name_is_refused_and_the_nearest_named(name: str, near: str) -> None:
    with pytest.raises(SettingsError, match=near):
        load_weights(name)


def test_a_changed_byte_is_found_and_the_file_named(copied_data: Path) -> None:
    file = copied_data / "builtin-face.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"builtin-face\.safetensors: sha256"):
        load_weights("builtin-face")
    load_weights("builtin-judge")


def test_a_missing_file_and_missing_cards_are_named(copied_data: Path) -> None:
    (copied_data / "builtin-judge.safetensors").unlink()
    with pytest.raises(DataError, match=r"builtin-judge\.safetensors"):
        load_weights("builtin-judge")
    (copied_data / "cards.json").unlink()
    with pytest.raises(DataError, match=r"cards\.json"):
        load_weights("builtin-face")


def test_a_file_that_is_no_safetensors_is_refused_even_with_the_right_digest(copied_data: Path) -> None:
    content = b"\x08\x00\x00\x00\x00\x00\x00\x00not json"
    (copied_data / "builtin-face.safetensors").write_bytes(content)
    _change_card(copied_data, "builtin-face", sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DataError, match="not a safetensors file"):
        load_weights("builtin-face")


def test_cards_of_another_format_are_refused_by_name(copied_data: Path) -> None:
    (copied_data / "cards.json").write_text('{"format": "photoshoot.cards/9", "networks": {}}', encoding="utf-8")
    with pytest.raises(DataError, match=r"photoshoot\.cards/9"):
        load_weights("builtin-face")


def _change_card(folder: Path, name: str, **values: str) -> None:
    document = json.loads((folder / "cards.json").read_text(encoding="utf-8"))
    document["networks"][name].update(values)
    (folder / "cards.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("network_class", [FaceNet, JudgeNet, PerceptualNet, FeatureNet])
def test_folding_normalisation_changes_nothing_that_comes_out(network_class: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    trainable = network_class(norm=True)
    side = int(getattr(trainable, "size", 32))
    trainable(torch.rand(8, 3, side, side) * 2 - 1)  # gives the normalisations statistics that are not 0 and 1
    for module in trainable.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    plain = network_class()
    plain.load_state_dict(folded(trainable))
    pictures = torch.rand(2, 3, side, side) * 2 - 1
    with torch.no_grad():
        for expected, found in zip(_flat(trainable.eval()(pictures)), _flat(plain(pictures)), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        # The plain form has no mode: a loss network inside a model in training mode computes the same.
        for training, found in zip(_flat(plain.train()(pictures)), _flat(plain.eval()(pictures)), strict=True):
            torch.testing.assert_close(training, found)


def _flat(output: torch.Tensor | list[torch.Tensor]) -> list[torch.Tensor]:
    return output if isinstance(output, list) else [output]
