"""The study: what all workers share, in a database.

The number of trials is kept by *slots*: a study of 20 trials is 20 waiting slots from the start, and a worker takes
one at a time, which the database does atomically. So workers that start, die and come back can neither lose a trial
nor do one twice: a slot is done when one of its trials is. A trial whose worker went silent is queued again by
Optuna's heartbeats, in the same slot, and goes on from the slot's checkpoint.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from components.core.errors import InputError, MachineError
from components.core.record.step import STUDIES
from components.core.settings import LossWeights, TuneSettings

SLOT, NAME, SECONDS, FAILURE, RUN = "slot", "name", "device_seconds", "failure", "mlflow_run"
SEARCHED = ("l1", "perceptual", "face", "gan", "patch")

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    # L1 / perceptual / face / GAN / patch, as set by hand for StylePoseGAN re-posing in 2021.
    "hand 1/1/1/1/1": dict(zip(SEARCHED, (1.0, 1.0, 1.0, 1.0, 1.0), strict=True)),
    "hand 7/7/7/1/1": dict(zip(SEARCHED, (7.0, 7.0, 7.0, 1.0, 1.0), strict=True)),
    "hand 5/5/10/1/1": dict(zip(SEARCHED, (5.0, 5.0, 10.0, 1.0, 1.0), strict=True)),
}
CURRENT = "current settings"
_RETRIES = 5


def studies_url() -> str:
    """Where studies are kept. Raises `InputError` when the environment does not say."""
    url = os.environ.get(STUDIES)
    if not url:
        raise InputError("no database for studies is set", remedy=f"set {STUDIES}, e.g. to sqlite:///studies.db")
    return url


def storage(url: str, heartbeat: int | None = None) -> RDBStorage:
    """The database; with `heartbeat` (seconds), trials of workers that went silent are queued again.

    Raises `MachineError` when it cannot be reached; the message does not show the URL, which may hold a password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    arguments: dict[str, Any] = {}
    if heartbeat:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            retry = RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES, inherit_intermediate_values=True)
        arguments = {"heartbeat_interval": heartbeat, "grace_period": 3 * heartbeat,
                     "heartbeat_stale_trial_callback": retry}
    if url.startswith("sqlite"):
        # Two workers write at once: wait for the other instead of failing.
        arguments["engine_kwargs"] = {"connect_args": {"timeout": 60}}
    else:
        arguments["engine_kwargs"] = {"pool_pre_ping": True}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            database = RDBStorage(url, **arguments)
            if url.startswith("sqlite"):
                _serialise(database.engine)
            return database
    except (SQLAlchemyError, ImportError) as error:
        raise MachineError(f"the database of the studies cannot be used: {type(error).__name__}",
                           remedy=f"check {STUDIES} and that its server is up") from None


def _serialise(engine: Engine) -> None:
    """Let one process at a time read and then write. SQLite's driver begins a transaction only at the first write, so
    two workers can both find the same trial waiting and both take it."""

    @event.listens_for(engine, "connect")
    def _no_implicit_begin(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def create(name: str, database: RDBStorage, settings: TuneSettings, current: LossWeights, facts: Mapping[str, Any]
           ) -> Study:
    """Create the study or open it again, and fill up its slots to `settings.trials`.

    To be called by one process before any worker starts (two first connections to an empty PostgreSQL collide).
    Raises `InputError` when a study to start from does not exist, or this one has a different objective.
    """
    directions = [StudyDirection.MAXIMIZE]
    if settings.objective == "pareto":
        directions.append(StudyDirection.MINIMIZE)
    study = optuna.create_study(study_name=name, storage=database, directions=directions, load_if_exists=True)
    if len(study.directions) != len(directions):
        raise InputError(f"study {name} has a different objective", remedy="give tune.study another name")
    for key, value in facts.items():
        study.set_user_attr(key, value)
    first = list(_first_trials(settings, current, database).items())
    taken = slots(study)
    for slot in range(settings.trials):
        if slot not in taken:
            label, weights = first[slot] if slot < len(first) else ("", {})
            study.enqueue_trial(dict(weights), user_attrs={SLOT: slot, NAME: label})
    revive(study)
    return study


def load(name: str, database: RDBStorage, settings: TuneSettings | None = None) -> Study:
    """Open a study, with the sampler and pruner of `settings` for a worker. Raises `InputError` when there is none."""
    try:
        return optuna.load_study(study_name=name, storage=database, sampler=_sampler(settings),
                                 pruner=_pruner(settings))
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(database)) or "none yet"
        raise InputError(f"no study {name}", remedy=f"studies here: {known}") from None


def revive(study: Study) -> None:
    """Queue slots again all of whose trials ended without a result: their workers failed for the machine's reasons, or
    died before heartbeats could notice."""
    for trials in slots(study).values():
        if not any(_lives(trial) for trial in trials):
            last = trials[-1]
            kept = {key: last.user_attrs[key] for key in (SLOT, NAME, RUN) if key in last.user_attrs}
            study.enqueue_trial(last.params, user_attrs=kept)


def slots(study: Study) -> dict[int, list[FrozenTrial]]:
    """Trials by slot, oldest first; a slot has several when workers died."""
    found: dict[int, list[FrozenTrial]] = {}
    for trial in study.get_trials(deepcopy=False):
        if SLOT in trial.user_attrs:
            found.setdefault(int(trial.user_attrs[SLOT]), []).append(trial)
    return found


def done(trial: FrozenTrial) -> bool:
    """Whether a trial settles its slot: finished, stopped early, or failed by itself (not by its worker's death)."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
        trial.state is TrialState.FAIL and FAILURE in trial.user_attrs)


def finished(study: Study) -> list[FrozenTrial]:
    """The trials with a final score, one per slot."""
    return [trial for trials in slots(study).values()
            for trial in [next((t for t in trials if t.state is TrialState.COMPLETE), None)] if trial is not None]


def spent(study: Study) -> float:
    """Device-seconds of all trials so far."""
    return sum(float(trial.user_attrs.get(SECONDS, 0.0)) for trial in study.get_trials(deepcopy=False))


def best(study: Study, keep_face: float) -> FrozenTrial:
    """The winner: the highest score; of a front, the lowest Fréchet distance among those that keep the face.

    Raises `InputError` when no trial has finished.
    """
    complete = finished(study)
    if not complete:
        raise InputError(f"study {study.study_name}: no trial has finished", remedy="run it again to continue")
    if len(study.directions) == 1:
        return max(complete, key=lambda trial: (trial.values[0], -trial.number))
    top = max(trial.values[0] for trial in complete)
    return min((trial for trial in complete if trial.values[0] >= top - keep_face),
               key=lambda trial: (trial.values[1], trial.number))


def maximised(study: Study) -> bool:
    """Whether the study has one objective."""
    return study.directions == [StudyDirection.MAXIMIZE]


def _lives(trial: FrozenTrial) -> bool:
    return done(trial) or trial.state in (TrialState.WAITING, TrialState.RUNNING)


def _first_trials(settings: TuneSettings, current: LossWeights, database: RDBStorage) -> dict[str, Mapping[str, float]]:
    """What every study tries first: what was set by hand, what is set now, what another study found best."""
    first: dict[str, Mapping[str, float]] = dict(PUBLISHED)
    now = {name: float(getattr(current, name)) for name in SEARCHED}
    if all(value > 0 for value in now.values()):
        first[CURRENT] = now
    if settings.warm_start:
        older = best(load(settings.warm_start, database), settings.keep_face)
        first[f"best of {settings.warm_start}"] = {name: older.params[name] for name in SEARCHED}
    return first


def _sampler(settings: TuneSettings | None) -> optuna.samplers.BaseSampler | None:
    if settings is None:
        return None
    # Workers must not draw the same points: the process is part of the seed.
    seed = settings.seed * 1_000_003 + os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed % 2**31, multivariate=True, constant_liar=True, n_startup_trials=8)


def _pruner(settings: TuneSettings | None) -> optuna.pruners.BasePruner | None:
    if settings is None:
        return None
    kinds: dict[str, optuna.pruners.BasePruner] = {
        "asha": optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        "median": optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0),
        "none": optuna.pruners.NopPruner(),
    }
    return kinds[settings.pruner]
