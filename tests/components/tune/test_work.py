"""Workers on a small world: killed ones lose nothing, weights that lead nowhere fail alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState
from servers import gcs_bucket

from components.core.artifacts.loss_weights import read_weights
from components.core.settings import LossWeights, TrainSettings, TuneSettings
from components.core.stores.storage import open_location
from components.train import losses
from components.tune import prepare, select, work
from components.tune import study as studies

Folk = tuple[Path, Path]
TRAINING = TrainSettings.model_validate(
    {"batch": 2, "width": 8, "max_width": 16, "latent": 16, "gan_start": 0.5, "log_every": 1})
SETTINGS = TuneSettings.model_validate(
    {"study": "s", "trials": 5, "workers": 2, "steps": 6, "looks": 3, "pairs": 8, "heartbeat": 1, "pruner": "none"})
_WORKER = """
import sys
from pathlib import Path
from components.core.settings import TrainSettings, TuneSettings
from components.tune import work
study, people, identities, state, training, settings = sys.argv[1:]
work(Path(study), Path(people), Path(identities), TrainSettings.model_validate_json(training),
     TuneSettings.model_validate_json(settings), state)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    if request.param == "postgresql":
        make: Callable[[str], str] = request.getfixturevalue("postgres")
        url = make("deaths")
    monkeypatch.setenv(studies.STUDIES, url)
    return url


@pytest.fixture
def state(url: str, tmp_path: Path) -> Iterator[str]:
    """Where checkpoints are kept: a folder beside SQLite, a bucket beside PostgreSQL, as on a cluster."""
    if url.startswith("sqlite"):
        yield str(tmp_path / "state")
        return
    with gcs_bucket("studies") as bucket:
        yield f"{bucket}/state"


def _start(study: Path, folk: Folk, state: str, settings: TuneSettings) -> subprocess.Popen[bytes]:
    arguments = [str(study), *map(str, folk), state, TRAINING.model_dump_json(), settings.model_dump_json()]
    return subprocess.Popen([sys.executable, "-c", _WORKER, *arguments], stdout=subprocess.DEVNULL)


@pytest.mark.long
def test_a_killed_workers_trial_is_finished_by_another_from_its_checkpoint(url: str, state: str, folk: Folk,
                                                                           tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"trials": 4})
    prepare(*folk, tmp_path / "study", TRAINING, settings)
    first = _start(tmp_path / "study", folk, state, settings)
    try:
        _wait_for_a_checkpoint(state, first)
        os.kill(first.pid, signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
    study = studies.load("s", studies.storage(url))
    slot = next(slot for slot, trials in studies.slots(study).items() if trials[-1].state is TrialState.RUNNING)
    kept = _steps(state)
    work(tmp_path / "study", *folk, TRAINING, settings, state)
    slots = studies.slots(study)
    assert sorted(slots) == [0, 1, 2, 3]
    assert all([trial.state for trial in trials].count(TrialState.COMPLETE) == 1 for trials in slots.values())
    lost, finished = slots[slot]
    assert (lost.state, finished.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert lost.params == finished.params
    # It did not begin again: what the first worker reported before its last checkpoint was not reported twice.
    assert kept and min(kept) >= 2
    assert len([trial for trials in slots.values() for trial in trials]) == 5
    assert not _steps(state), "checkpoints of trials that are done are no use to anybody"


def _steps(state: str) -> list[int]:
    place = open_location(state)
    notes = [name for name in place.list() if name.rpartition("/")[2].startswith("step-") and name.endswith(".json")]
    return [json.loads(place.read_bytes(name))["step"] for name in notes]


def _wait_for_a_checkpoint(state: str, worker: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not _steps(state):
        assert worker.poll() is None, "the worker ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert worker.poll() is None


@pytest.fixture
def studies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(studies.STUDIES, f"sqlite:///{tmp_path / 'studies.db'}")


def test_weights_that_lead_nowhere_fail_alone_and_the_winner_flows_on(
        studies_here: None, folk: Folk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the largest weight the gradients overflow, and the losses of the next step are not numbers.
    plain = losses.RECONSTRUCTION["l1"]
    monkeypatch.setitem(losses.RECONSTRUCTION, "l1", lambda of: 3e32 * plain(of))
    wild = TRAINING.model_copy(update={"weights": LossWeights(l1=1e6, perceptual=1, face=1, gan=1, patch=1)})
    settings = SETTINGS.model_copy(update={
        "trials": 4, "looks": 1, "steps": 3,
        "space": SETTINGS.space.model_copy(update={"l1": (0.5, 1e6)})})
    prepare(*folk, tmp_path / "study", wild, settings)
    summary = work(tmp_path / "study", *folk, wild, settings, tmp_path / "state")
    found = select(tmp_path / "study", tmp_path / "out", settings)
    assert summary.begun == 4
    assert (found.trials["failed"], found.trials["finished"]) == (1, 3)
    rows = json.loads((tmp_path / "out" / "trials.json").read_text())
    assert [row["slot"] for row in rows] == [0, 1, 2, 3]
    best = max((row for row in rows if row["score"] is not None), key=lambda row: row["score"])
    assert (found.winner, found.score) == (best["name"], best["score"])
    assert all(difference is None or difference >= 0 for difference in found.gained.values())
    tuned = read_weights(tmp_path / "out")
    assert tuned.over(LossWeights(matte=9.0)).model_dump() == LossWeights(matte=9.0).model_dump() | found.weights
    for name in found.plots:
        assert (tmp_path / "out" / name).stat().st_size > 5000


def test_no_trial_begins_once_the_budget_is_spent_and_a_larger_one_goes_on(studies_here: None, folk: Folk,
                                                                          tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"trials": 4, "steps": 2, "looks": 1, "device_hours": 1e-6})
    prepare(*folk, tmp_path / "study", TRAINING, settings)
    assert work(tmp_path / "study", *folk, TRAINING, settings, tmp_path / "state").begun == 1
    assert select(tmp_path / "study", tmp_path / "out", settings).trials["waiting"] == 3
    larger = settings.model_copy(update={"device_hours": 1.0})
    assert work(tmp_path / "study", *folk, TRAINING, larger, tmp_path / "state").begun == 3


def test_what_trials_start_from_is_part_of_the_study_and_not_where_it_lies(folk: Folk, tmp_path: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(studies.STUDIES, f"sqlite:///{tmp_path / 'studies.db'}")
    settings = SETTINGS.model_copy(update={"study": None})
    starts = ((None, None), ("/here/model.safetensors", "1"), ("gs://there/model.safetensors", "1"), ("starter", "2"))
    names = [prepare(*folk, tmp_path / "study", TRAINING.model_copy(update={"from_": where, "from_digest": digest}),
                     settings).study for where, digest in starts]
    assert names[1] == names[2] and len(set(names)) == 3
