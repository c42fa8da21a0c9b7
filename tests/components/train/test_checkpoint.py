import json
from pathlib import Path

import pytest
import torch
from torch import nn

from components.core.errors import MachineError
from components.train.checkpoint import Checkpoints


def trained(steps: int) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    adam = torch.optim.Adam(network.parameters(), betas=(0.0, 0.99))
    for _ in range(steps):
        adam.zero_grad()
        network(torch.ones(1, 3)).square().sum().backward()
        adam.step()
    return {"net": network}, {"adam": adam}


def same(one: tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]],
         other: tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]) -> bool:
    weights = [torch.equal(a, b) for a, b in zip(one[0]["net"].parameters(), other[0]["net"].parameters(), strict=True)]
    states = [state[1]["adam"].state_dict()["state"] for state in (one, other)]
    moments = [torch.equal(states[0][k][name], states[1][k][name]) for k in states[0] for name in states[0][k]]
    return states[0].keys() == states[1].keys() and all(weights + moments)


def test_a_checkpoint_brings_back_networks_and_moments(tmp_path: Path) -> None:
    before = trained(5)
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(5, *before)
    after = trained(1)
    assert not same(before, after)
    assert Checkpoints(tmp_path, 2).restore(*after) == 5
    assert same(before, after)


def test_nothing_to_restore_is_step_0(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", 2).restore(*trained(0)) == 0
    assert Checkpoints(tmp_path / "none", 2).last_good() is None


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2)
    for step in (1, 2, 3, 10):
        checkpoints.save(step, *trained(step))
    assert checkpoints.steps() == [3, 10]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "no weights", "cut note", "other format"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    good = trained(1)
    checkpoints.save(1, *good)
    checkpoints.save(2, *trained(2))
    weights, note = tmp_path / "step-00000002.safetensors", tmp_path / "step-00000002.json"
    content = bytearray(weights.read_bytes())
    if damage == "cut":
        weights.write_bytes(content[:-8])
    elif damage == "flipped":
        content[-3] ^= 1
        weights.write_bytes(content)
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut note":
        note.write_text(note.read_text()[:20])
    else:
        note.write_text(json.dumps(json.loads(note.read_text()) | {"format": "photoshoot.checkpoint/0"}))
    after = trained(0)
    assert checkpoints.restore(*after) == 1
    assert same(good, after)
    assert checkpoints.last_good() == tmp_path / "step-00000001.safetensors"


def test_weights_without_a_note_do_not_count(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    checkpoints.save(1, *trained(1))
    (tmp_path / "step-00000002.safetensors").write_bytes(b"half")
    assert checkpoints.steps() == [1]


def test_a_hostile_pickle_is_not_run(tmp_path: Path) -> None:
    import hashlib

    marker = tmp_path / "ran"
    content = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    (tmp_path / "step-00000001.safetensors").write_bytes(content)
    note = {"format": "photoshoot.checkpoint/1", "step": 1, "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "step-00000001.json").write_text(json.dumps(note))
    assert Checkpoints(tmp_path, 2).restore(*trained(0)) == 0
    assert not marker.exists()


def test_a_disk_that_refuses_is_named_and_costs_nothing_that_was_there(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(1, *trained(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("components.train.checkpoint.save_file", full)
    with pytest.raises(MachineError, match="no space left"):
        checkpoints.save(2, *trained(2))
    assert checkpoints.last_good() == tmp_path / "step-00000001.safetensors"
    assert len(list(tmp_path.iterdir())) == 2
