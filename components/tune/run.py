"""The three tasks of tuning, by name of the study: make it, work on it, pick its winner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from optuna.study import Study

from components.core.artifacts.study import read_study, write_study
from components.core.atomic import atomic_folder
from components.core.digest import json_digest
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record import tracking
from components.core.record.recorder import Recorder
from components.core.settings import TrainSettings, TuneSettings
from components.core.settings.training import START
from components.core.stores.storage import address
from components.tune import study as studies
from components.tune.select import SelectSummary
from components.tune.select import select as write_winner
from components.tune.work import Worker, share_cores

_NOT_THE_STUDY = {"enabled", "study", "trials", "workers", "device_hours", "warm_start", "heartbeat"}
_NOT_THE_TRIAL = {"weights", "steps", "seed", "log_every", "sample_every", "checkpoint_every", "keep_checkpoints",
                  "device", *START}
RUN = "mlflow_run"
"""Study attribute: the MLflow run that its workers' runs are children of."""


@dataclass(frozen=True)
class PrepareSummary:
    """The study that was made, or opened again."""

    study: str
    trials: int
    done: int
    """Trials that earlier runs settled."""


@dataclass(frozen=True)
class WorkSummary:
    """What one worker did."""

    study: str
    begun: int
    """Trials that this worker began or took over."""
    seconds: float


@dataclass(frozen=True)
class TuneRun:
    """The MLflow run that `prepare` recorded in; keywords of `tracking.step_run` for the tasks that follow it."""

    study: Path
    worker: str = ""

    def as_child(self) -> dict[str, str]:
        """A worker's run is a child of it."""
        return {"name": f"worker {self.worker}", "parent": self._id()}

    def as_itself(self) -> dict[str, str]:
        """The winner and the plots go into it."""
        return {"run_id": self._id()}

    def _id(self) -> str:
        return str(_open(self.study).user_attrs.get(RUN, ""))


def prepare(people: Path, identities: Path, out: Path, training: TrainSettings, settings: TuneSettings,
            recorder: Recorder) -> PrepareSummary:
    """Create the study or open it again, with `settings.trials` slots; write its name to ``out/study.json``.

    Its name, when not given, comes from everything that decides a trial's score: data, training, objective, space.
    """
    dataset, who = PeopleDataset.open(people), Identities.open(identities)
    content = [settings.model_dump(mode="json", exclude=_NOT_THE_STUDY),
               training.model_dump(mode="json", exclude=_NOT_THE_TRIAL), dataset.digest, who.digest,
               *training.start_key()]
    digest = json_digest(content)
    name = settings.study or f"weights-{digest[:12]}"
    facts = {"people": dataset.digest, "identities": who.digest, "steps": settings.steps,
             "created_for": training.generator, RUN: getattr(recorder, "run_id", "")}
    database = studies.storage(studies.studies_url())
    study = studies.create(name, database, settings, training.weights, facts)
    recorder.params({"study": name})
    done = sum(any(map(studies.done, trials)) for trials in studies.slots(study).values())
    with atomic_folder(out) as folder:
        write_study(folder, name)
    return PrepareSummary(name, settings.trials, done)


def work(card: Path, people: Path, identities: Path, training: TrainSettings, settings: TuneSettings,
         state: Path | str, recorder: Recorder) -> WorkSummary:
    """Work on a study until nothing is left to do. Checkpoints of trials under way lie under `state`, a folder or
    gs:// address that all workers know."""
    began = time.monotonic()
    share_cores(settings.workers)
    study = _open(card, settings)
    worker = Worker(study, people, identities, training, settings, f"{address(state)}/trials",
                    lambda trial, run: tracking.nested_run(recorder, trial, run))
    begun = worker.run()
    return WorkSummary(study.study_name, begun, round(time.monotonic() - began, 1))


def select(card: Path, out: Path, settings: TuneSettings, recorder: Recorder) -> SelectSummary:
    """Write the winner of a study to `out`. Raises `InputError` when no trial has finished."""
    return write_winner(_open(card), out, settings, recorder)


def _open(folder: Path, settings: TuneSettings | None = None) -> Study:
    """The study that `prepare` named in `folder`; for a worker with its settings."""
    heartbeat = settings.heartbeat if settings else None
    return studies.load(read_study(folder), studies.storage(studies.studies_url(), heartbeat), settings)
