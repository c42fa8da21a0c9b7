"""A worker: takes slots of the study until there are none, and trains and scores each."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
import torch
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import Trial, TrialState

from components.core import progress
from components.core.artifacts.model import GENERATOR
from components.core.errors import MachineError, PhotoshootError
from components.core.networks.generator.reposer import Reposer
from components.core.record.recorder import Recorder
from components.core.settings import TrainSettings, TuneSettings
from components.core.stores.kept import remove_all
from components.core.stores.storage import is_remote
from components.train import train
from components.tune import study as studies
from components.tune.score import Score, Scorer

TrialRecorder = Callable[[str, str | None], AbstractContextManager[Recorder]]
_WAIT_S = 1.0


class _Surplus(Exception):
    """A trial beyond the study's slots: another worker was faster."""


class _Failed(Exception):
    """A trial that failed by itself: its weights lead nowhere."""


class Worker:
    """One of several that share a study.

    `recorder_for` opens the recorder of a trial by its name and the run that an earlier attempt recorded in, if any;
    `state`, a folder or gs:// address, keeps checkpoints of trials under way, where any worker of the study finds them.
    """

    def __init__(self, study: Study, people: Path, identities: Path, training: TrainSettings, settings: TuneSettings,
                 state: str, recorder_for: TrialRecorder) -> None:
        self._study, self._people, self._identities = study, people, identities
        self._training, self._settings, self._state = training, settings, state
        self._recorder_for = recorder_for
        self._scorer = Scorer(people, identities, settings)
        for key, value in self._scorer.facts.items():
            study.set_user_attr(key, value)

    def run(self) -> int:
        """Work until every slot is done or the budget is spent; return how many trials this worker began."""
        begun, over = 0, 0
        studies.revive(self._study)
        with progress.task("trials", self._settings.trials) as shown, warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            while True:
                waiting, running, done = self._count()
                shown.advance(done - over)
                over = done
                if self._spent() or not waiting + running:
                    return begun
                if waiting:
                    self._study.optimize(self._objective, n_trials=1, catch=(_Surplus, _Failed))
                    begun += 1
                else:
                    # The worker of a running trial may have died: wait until it is done or queued again.
                    time.sleep(_WAIT_S)
                    optuna.storages.fail_stale_trials(self._study)

    def _count(self) -> tuple[int, int, int]:
        """Slots waiting, running, done."""
        newest = [trials[-1] for trials in studies.slots(self._study).values()]
        states = [trial.state for trial in newest]
        return (states.count(TrialState.WAITING), states.count(TrialState.RUNNING),
                sum(studies.done(trial) for trial in newest))

    def _spent(self) -> bool:
        limit = self._settings.device_hours
        return limit is not None and studies.spent(self._study) >= limit * 3600

    def _objective(self, trial: Trial) -> float | tuple[float, float]:
        if studies.SLOT not in trial.user_attrs:
            raise _Surplus
        slot = int(trial.user_attrs[studies.SLOT])
        label = trial.user_attrs.get(studies.NAME)
        name = f"trial {slot:03d}" + (f": {label}" if label else "")
        place = f"{self._state}/{self._study.study_name}/{slot:04d}"
        score: Score | optuna.TrialPruned
        before, began = float(trial.user_attrs.get(studies.SECONDS, 0.0)), time.monotonic()
        with self._recorder_for(name, trial.user_attrs.get(studies.RUN)) as recorder:
            trial.set_user_attr(studies.RUN, getattr(recorder, "run_id", None))
            try:
                score = self._train_and_score(trial, place, recorder)
            except optuna.TrialPruned as stopped:
                score = stopped  # no failure: its run ends well
            except MachineError:
                raise  # not the weights' fault: the slot is tried again
            except PhotoshootError as error:
                trial.set_user_attr(studies.FAILURE, str(error))
                raise _Failed(str(error)) from error
            finally:
                trial.set_user_attr(studies.SECONDS, before + time.monotonic() - began)
        if is_remote(place):
            remove_all(place)
        else:
            shutil.rmtree(place, ignore_errors=True)
        if isinstance(score, optuna.TrialPruned):
            raise score
        return score.value if studies.maximised(self._study) else (score.identity_recovered, score.frechet)

    def _training_of(self, trial: Trial) -> TrainSettings:
        space = self._settings.space
        weights = {name: trial.suggest_float(name, *getattr(space, name), log=True) for name in studies.SEARCHED}
        every = max(self._settings.steps // self._settings.looks, 1)
        return self._training.model_copy(update={
            "weights": self._training.weights.model_copy(update=weights), "steps": self._settings.steps,
            "seed": self._settings.seed, "checkpoint_every": every, "sample_every": self._settings.steps,
            "log_every": max(every // 2, 1), "keep_checkpoints": 1,
        })

    def _train_and_score(self, trial: Trial, place: str, recorder: Recorder) -> Score:
        training = self._training_of(trial)
        recorder.params({"weights": training.weights.model_dump(include=set(studies.SEARCHED))})
        scores: dict[int, Score] = {}

        def look(step: int, reposer: Reposer) -> None:
            score = scores[step] = self._scorer(reposer)
            recorder.metrics({f"score/{key}": value for key, value in score.parts().items()}, step)
            if not studies.maximised(self._study):
                return
            trial.report(score.value, step)
            # What was set by hand is what the others are compared with: it is always trained to its end.
            named = bool(trial.user_attrs.get(studies.NAME))
            if step < training.steps and not named and trial.should_prune():
                recorder.metrics({"stopped_at": float(step)})
                raise optuna.TrialPruned(f"stopped after {step} of {training.steps} steps")

        every = max(self._settings.steps // self._settings.looks, 1)
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            train(self._people, self._identities, model, training, state=f"{place}/state", recorder=recorder,
                  look=look, look_every=every)
            if training.steps not in scores:  # it was finished by a worker that died before it could say so
                look(training.steps, Reposer.load(model / GENERATOR))
        final = scores[training.steps]
        for key, value in final.parts().items():
            trial.set_user_attr(key, value)
        return final


def share_cores(workers: int) -> None:
    """Leave the other workers of this machine their cores; where there is a GPU each has its own machine."""
    if not torch.cuda.is_available():
        torch.set_num_threads(max((os.cpu_count() or 1) // workers, 1))
