import hashlib
import json
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from servers import gcs_emulator
from torch import nn

from components.core.errors import MachineError
from components.core.stores.storage import LocalLocation, open_location
from components.train.checkpoint import Checkpoints, set_state, state_tensors

State = tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]
POINTS = [{"step": 1, "values": {"loss/l1": 0.1 + 0.2}}]


def trained(steps: int) -> State:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    adam = torch.optim.Adam(network.parameters(), betas=(0.0, 0.99))
    for _ in range(steps):
        adam.zero_grad()
        network(torch.ones(1, 3)).square().sum().backward()
        adam.step()
    return {"net": network}, {"adam": adam}


def same(one: State, other: State) -> bool:
    weights = [torch.equal(a, b) for a, b in zip(one[0]["net"].parameters(), other[0]["net"].parameters(), strict=True)]
    states = [state[1]["adam"].state_dict()["state"] for state in (one, other)]
    moments = [torch.equal(states[0][k][name], states[1][k][name]) for k in states[0] for name in states[0][k]]
    return states[0].keys() == states[1].keys() and all(weights + moments)


def test_optimisers_go_on_from_what_version_0_1_called_them() -> None:
    networks, optimisers = trained(3)
    written = state_tensors(networks, {"adam_judges": optimisers["adam"]})
    fresh = trained(0)
    set_state(written, fresh[0], {"discriminator_optimiser": fresh[1]["adam"]})
    assert same(fresh, (networks, optimisers))


def restore(checkpoints: Checkpoints, into: State) -> int:
    saved = checkpoints.load()
    if saved is None:
        return 0
    set_state(saved.tensors, *into)
    return saved.step


def save(place: str | Path, *steps: int, keep: int = 2) -> None:
    with Checkpoints(place, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, *trained(step), POINTS)


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with gcs_emulator("state") as url:
        yield url


@pytest.fixture(params=["folder", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same tests for both kinds."""
    if request.param == "folder":
        return str(tmp_path / "there")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("emulator"))
    return f"gs://state/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"


def test_a_checkpoint_brings_back_networks_moments_and_curves(place: str) -> None:
    save(place, 5)
    after = trained(1)
    assert not same(trained(5), after)
    with Checkpoints(place, 2) as checkpoints:
        assert restore(checkpoints, after) == 5
        found = checkpoints.load()
    assert same(trained(5), after)
    assert found is not None and found.points == POINTS  # number for number


def test_nothing_to_restore(place: str) -> None:
    with Checkpoints(place, 2) as checkpoints:
        assert checkpoints.load() is None and checkpoints.last_good() is None


def test_the_newest_few_are_kept(place: str) -> None:
    save(place, 1, 2, 3, 10)
    with Checkpoints(place, 2) as checkpoints:
        assert checkpoints.steps() == [3, 10]
    assert len(open_location(place).list()) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "no weights", "cut note", "other format"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(place: str, damage: str) -> None:
    save(place, 1, 2, keep=3)
    location, weights, note = open_location(place), "step-00000002.safetensors", "step-00000002.json"
    content = bytearray(location.read_bytes(weights))
    if damage == "cut":
        location.write_bytes(weights, bytes(content[:-8]))
    elif damage == "flipped":
        content[-3] ^= 1
        location.write_bytes(weights, bytes(content))
    elif damage == "no weights":
        location.remove(weights)
    elif damage == "cut note":
        location.write_bytes(note, location.read_bytes(note)[:20])
    else:
        other = json.loads(location.read_bytes(note)) | {"format": "photoshoot.checkpoint/0"}
        location.write_bytes(note, json.dumps(other).encode())
    after = trained(0)
    with Checkpoints(place, 3) as checkpoints:
        assert restore(checkpoints, after) == 1
        assert checkpoints.last_good() == f"{place}/step-00000001.safetensors"
    assert same(trained(1), after)


def test_weights_without_a_note_do_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "step-00000002.safetensors").write_bytes(b"half")
    (tmp_path / ".step-00000003.partial-77.safetensors").write_bytes(b"of a killed process")
    with Checkpoints(tmp_path, 3) as checkpoints:
        assert checkpoints.steps() == [1] and checkpoints.load() is not None
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("honest_note", [True, False])
def test_a_hostile_pickle_is_not_run(tmp_path: Path, honest_note: bool) -> None:
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {marker}",)

    content = pickle.dumps({"net.weight": torch.ones(2, 3), "trap": Hostile()})
    pickle.loads(content)
    assert marker.exists()  # the trap works where a pickle is trusted
    marker.unlink()
    (tmp_path / "step-00000001.safetensors").write_bytes(content)
    note = {"format": "photoshoot.checkpoint/2", "step": 1, "bytes": len(content), "points": [],
            "sha256": hashlib.sha256(content).hexdigest() if honest_note else "0"}
    (tmp_path / "step-00000001.json").write_text(json.dumps(note))
    with Checkpoints(tmp_path, 2) as checkpoints:
        assert checkpoints.load() is None
    assert not marker.exists()


class Slow:
    """Holds the writer's hand until told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, plain = threading.Event(), LocalLocation.write_bytes

        def write(place: LocalLocation, name: str, data: bytes) -> None:
            assert self.go.wait(30)
            plain(place, name, data)

        monkeypatch.setattr(LocalLocation, "write_bytes", write)


def test_training_goes_on_while_it_is_written_and_does_not_change_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, state = Slow(monkeypatch), trained(3)
    with Checkpoints(tmp_path, 2) as checkpoints:
        checkpoints.save(3, *state)
        checkpoints.check()
        assert checkpoints.steps() == []
        with torch.no_grad():
            state[0]["net"].weight.zero_()  # type: ignore[operator]
        slow.go.set()
    after = trained(0)
    with Checkpoints(tmp_path, 2) as checkpoints:  # leaving the block before waited
        assert restore(checkpoints, after) == 3
    assert same(trained(3), after)


def test_a_disk_that_refuses_is_named_at_the_next_step_and_costs_nothing_that_was_there(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("components.core.atomic.os.fsync", full)
    with Checkpoints(tmp_path, 2) as checkpoints:
        checkpoints.save(2, *trained(2))
        with pytest.raises(MachineError, match="no space left"):
            for _ in range(10_000):
                checkpoints.check()
                threading.Event().wait(0.01)
        checkpoints.save(3, *trained(3))
        with pytest.raises(MachineError, match="no space left"):
            checkpoints.save(4, *trained(4))
        assert checkpoints.last_good() == f"{tmp_path}/step-00000001.safetensors"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_ended_the_training_is_not_hidden_by_a_checkpoint_that_failed_too(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("components.core.atomic.os.fsync", full)
    with pytest.raises(KeyError), Checkpoints(tmp_path, 2) as checkpoints:
        checkpoints.save(2, *trained(2))
        raise KeyError
    with pytest.raises(MachineError, match="no space left"), Checkpoints(tmp_path, 2) as checkpoints:
        checkpoints.save(2, *trained(2))


def test_a_service_that_does_not_answer_is_an_error_not_a_fresh_start(
        emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    save("gs://state/away", 1)
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.5)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match="does not answer"), Checkpoints("gs://state/away", 2) as checkpoints:
        checkpoints.load()
