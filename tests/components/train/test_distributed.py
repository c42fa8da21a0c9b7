"""Several processes on one training, started by torchrun over gloo."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.core.errors import MachineError, PhotoshootError, SettingsError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.train import train
from components.train.checkpoint import Checkpoints
from components.train.data.batches import Batches
from components.train.distributed import Group, Share, cut
from components.train.processes import launch

MakePeople = Callable[..., tuple[Path, Path]]
TOLERANCE = 1e-5
"""Relative. Measured: no difference at all with two processes, whose two gradients have one order of summing only."""
TINY: dict[str, Any] = {
    "width": 4, "max_width": 16, "latent": 8, "batch": 4, "steps": 6, "gan_start": 0.3, "log_every": 1,
    "sample_every": 6, "checkpoint_every": 3, "device": "cpu",
    "weights": {"perceptual": 0, "face": 0, "r1_every": 2},
}  # fmt: skip


def tiny(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate(TINY | changes)


def losses(state: Path) -> list[dict[str, float]]:
    (folder,) = state.iterdir()
    with Checkpoints(folder, 2) as checkpoints:
        saved = checkpoints.load()
    assert saved is not None
    return [point["values"] for point in saved.points]


def test_two_processes_do_what_one_does_with_the_same_batch(make_people: MakePeople, tmp_path: Path) -> None:
    made = make_people(side=32)
    one = train(*made, tmp_path / "one" / "model", tiny(accumulate=2))
    two = train(*made, tmp_path / "two" / "model", tiny(processes=2))
    assert (one.steps, one.photos) == (two.steps, two.photos)
    alone, together = losses(tmp_path / "one" / "state"), losses(tmp_path / "two" / "state")
    assert len(alone) == len(together) == 6 and "loss/r1" in together[-2] and "loss/patch" in together[-1]
    for mine, theirs in zip(alone, together, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            assert theirs[name] == pytest.approx(value, rel=TOLERANCE, abs=1e-6), name
    models = [load_file(tmp_path / name / "model" / "generator.safetensors") for name in ("one", "two")]
    for name, weights in models[0].items():
        assert torch.allclose(weights, models[1][name], atol=1e-3), name
    again = train(*made, tmp_path / "two" / "model", tiny(processes=1))  # how many work on it does not name a training
    assert again.seconds == 0


def workers(job: str) -> dict[int, int]:
    """Rank -> process id of the processes that were started for the job file whose name holds `job`."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and job in (folder / "cmdline").read_text():
                variables = dict(pair.partition("=")[::2] for pair in (folder / "environ").read_text().split("\0"))
                found[int(variables.get("RANK", "-1"))] = int(folder.name)
        except (OSError, UnicodeDecodeError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_end_of_one_process_ends_all(make_people: MakePeople, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    made, out = make_people(side=32), tmp_path / "model"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caught: list[BaseException] = []

    def work() -> None:
        try:
            launch.launch(*made, out, tiny(steps=100_000, checkpoint_every=2, log_every=1000), state=None,
                          recorder=NoRecord(), processes=2)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("state/*/step-*.json")):
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.1)
    mine = workers(str(tmp_path))
    assert mine.keys() >= {0, 1}
    os.kill(mine[1], signal.SIGKILL)
    thread.join(100)
    assert not thread.is_alive()
    (error,) = caught
    assert isinstance(error, PhotoshootError) and not out.exists()
    while workers(str(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_a_process_says_when_it_fails_is_what_the_step_says(make_people: MakePeople, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="batch = 3 cannot be divided by 2 processes"):
        train(*make_people(side=32), tmp_path / "model", tiny(batch=3, processes=2))


def test_processes_are_as_many_as_gpus_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core.devices import Devices

    monkeypatch.setattr("components.core.devices.find", lambda: Devices("A GPU", 4))
    wanted = [launch.processes_wanted(tiny(**changes)) for changes in (
        {"device": "auto"}, {"device": "auto", "processes": 2}, {"device": "cpu"}, {"device": "cuda:1"})]
    assert wanted == [4, 2, 1, 1]
    monkeypatch.setattr("components.core.devices.find", lambda: Devices("cpu", 1))
    assert launch.processes_wanted(tiny(device="auto")) == 1


def test_shares_and_parts_make_the_batch(make_people: MakePeople) -> None:
    people, identities = make_people(side=32)
    dataset = PeopleDataset.open(people)
    groups = list(Identities.open(identities).members(dataset, "train").values())
    batches = Batches(dataset, groups, batch=6, reconstruction=0.25, seed=0)
    whole = batches[3]
    shares = [Share(batches, 6, 1, Group(rank, 3, rank))[3] for rank in range(3)]
    for pieces in (shares, cut(whole, 4)):
        assert [len(piece.leaks) for piece in pieces] == [2, 2, 2]
        assert torch.equal(torch.cat([piece.textures for piece in pieces]), whole.textures)
        for field in ("face", "clothes", "target"):
            for plane in range(3):
                got = torch.cat([getattr(piece, field)[plane] for piece in pieces])
                assert torch.equal(got, getattr(whole, field)[plane])
    with pytest.raises(SettingsError, match=r"3 processes times train.accumulate = 4"):
        Share(batches, 6, 4, Group(0, 3, 0))


def test_a_report_without_a_reason_is_still_an_error(tmp_path: Path) -> None:
    from components.train.processes.worker import first_failure

    assert first_failure(str(tmp_path)) is None
    for rank, when in ((0, 2.0), (1, 1.0)):
        told = MachineError(f"process {rank}").to_json()
        (tmp_path / f"failure-{rank}.json").write_text(json.dumps([when, told]))
    assert str(first_failure(str(tmp_path))) == "process 1"
