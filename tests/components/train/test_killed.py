"""SIGKILL while it trains; the same command again; the same numbers as never interrupted."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from servers import gcs_bucket

from components.core.digest import file_digest
from components.core.record import tracking
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.train import train
from components.train.checkpoint import Checkpoints
from components.train.record import earlier_run

MakePeople = Callable[..., tuple[Path, Path]]
STEPS = 30
# The GAN begins in the middle and R1 and path length come every few steps, so that all of the state is at stake.
SETTINGS = TrainSettings.model_validate({
    "width": 4, "max_width": 16, "latent": 8, "batch": 3, "steps": STEPS, "gan_start": 0.3, "log_every": 1,
    "sample_every": STEPS, "checkpoint_every": 2, "device": "cpu",
    "weights": {"perceptual": 0, "face": 0, "r1_every": 3, "path": 1.0, "path_every": 4},
})  # fmt: skip
CHILD = """
import sys
from pathlib import Path
import torch
from components.core.settings import TrainSettings
from components.core.record.tracking import step_run
from components.train import train
from components.train.record import earlier_run

torch.set_num_threads(1)
people, identities, out = map(Path, sys.argv[1:4])
settings, state = TrainSettings.model_validate_json(sys.argv[4]), sys.argv[5]
with step_run("train", **earlier_run(people, identities, settings, state)) as recorder:
    train(people, identities, out, settings, state=state, recorder=recorder)
"""


class Trace(NoRecord):
    def __init__(self) -> None:
        self.losses: dict[int, dict[str, float]] = {}

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self.losses[step] = {name: value for name, value in values.items() if name.startswith("loss/")}


@pytest.fixture
def bucket() -> Iterator[str]:
    with gcs_bucket("state") as address:
        yield f"{address}/here"


def killed_at(step: int, arguments: list[str], progress: Path) -> None:
    """Start the training and kill it when it has made that many steps."""
    progress.unlink(missing_ok=True)
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=progress.parent, stderr=subprocess.DEVNULL,
                             env=os.environ | {"PYTHONPATH": str(root), "PHOTOSHOOT_PROGRESS": str(progress)})
    deadline = time.monotonic() + 150
    while not any(event["done"] >= step for event in events(progress) if event.get("label") == "train"):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()


def events(progress: Path) -> list[dict[str, Any]]:
    text = progress.read_text() if progress.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def uninterrupted(made: tuple[Path, Path], tmp_path: Path) -> tuple[Trace, dict[str, torch.Tensor]]:
    trace = Trace()
    train(*made, tmp_path / "whole" / "model", SETTINGS, recorder=trace)
    assert len(trace.losses) == STEPS and {"loss/path", "loss/r1", "loss/patch"} <= trace.losses[13].keys()
    return trace, load_file(tmp_path / "whole" / "model" / "generator.safetensors")


def saved(state: Path | str) -> int:
    (folder,) = Path(state).iterdir()
    with Checkpoints(folder, 2) as checkpoints:
        found = checkpoints.load()
    return found.step if found else 0


@pytest.mark.long
def test_a_killed_training_is_one_run_with_the_same_numbers(
        make_people: MakePeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, out, state = make_people(side=32), tmp_path / "cut" / "model", str(tmp_path / "cut" / "state")
    whole, model = uninterrupted(made, tmp_path)
    monkeypatch.chdir(tmp_path)  # MLflow keeps pictures below the working folder
    monkeypatch.setenv(tracking.TRACKING_URI, f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow = tracking.client()
    parent = mlflow.create_run("0").info.run_id
    monkeypatch.setenv(tracking.PARENT_RUN_ID, parent)
    arguments = [*map(str, made), str(out), SETTINGS.model_dump_json(), state]
    killed_at(random.randint(3, 20), arguments, tmp_path / "progress.jsonl")
    assert not out.exists() and saved(state) < STEPS
    before = saved(state)
    with tracking.step_run("train", **earlier_run(*made, SETTINGS, state)) as recorder:
        summary = train(*made, out, SETTINGS, state=state, recorder=recorder)
    assert summary.resumed_from == before > 0
    (run,) = mlflow.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert run.info.status == "FINISHED"
    told: dict[int, dict[str, float]] = {}
    for name in (name for name in run.data.metrics if name.startswith("loss/")):
        for metric in mlflow.get_metric_history(run.info.run_id, name):
            assert name not in told.setdefault(metric.step, {}), f"{name} twice at step {metric.step}"
            told[metric.step][name] = metric.value
    assert told == whole.losses  # number for number
    found = load_file(out / "generator.safetensors")
    assert all(torch.equal(found[name], weights) for name, weights in model.items())
    assert earlier_run(*made, SETTINGS, state) == {}  # it ended well: who trains again begins another


@pytest.mark.long
def test_a_training_killed_twice_on_other_machines_goes_on_here(
        make_people: MakePeople, tmp_path: Path, bucket: str) -> None:
    """The state is on gs://, and nothing else is left."""
    made = make_people(side=32)
    whole, model = uninterrupted(made, tmp_path)
    lost, first = tmp_path / "lost" / "model", random.randint(4, 10)
    for step in (first, first + random.randint(3, 12)):
        killed_at(step, [*map(str, made), str(lost), SETTINGS.model_dump_json(), bucket], tmp_path / "progress.jsonl")
        assert not lost.parent.exists()
    rest, out = Trace(), tmp_path / "found" / "model"
    summary = train(*made, out, SETTINGS, state=bucket, recorder=rest)
    assert 2 <= summary.resumed_from < STEPS and not (tmp_path / "found" / "state").exists()
    assert rest.losses == whole.losses  # those before the checkpoint are told to the new record, from the checkpoint
    found = load_file(out / "generator.safetensors")
    assert all(torch.equal(found[name], weights) for name, weights in model.items())


@pytest.mark.long
def test_the_same_training_in_two_processes_gives_the_same_bytes(make_people: MakePeople, tmp_path: Path) -> None:
    made, root = make_people(side=32), Path(__file__).resolve().parents[3]
    settings = SETTINGS.model_copy(update={"steps": 3, "sample_every": 3})
    digests = []
    for seed in ("1", "2"):
        out, state = tmp_path / seed / "model", tmp_path / seed / "state"
        subprocess.run([sys.executable, "-c", CHILD, *map(str, made), str(out), settings.model_dump_json(), str(state)],
                       check=True, env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed})
        files = [out / "generator.safetensors", *sorted(state.rglob("*.safetensors"))]
        digests.append([(file.name, file_digest(file)) for file in files])
    assert digests[0] == digests[1] and len(digests[0]) > 1
