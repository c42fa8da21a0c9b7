"""Slots: none lost, none done twice, whoever dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from components.core.errors import InputError
from components.core.settings import LossWeights, TuneSettings
from components.tune import study as studies


def _settings(**changes: object) -> TuneSettings:
    return TuneSettings.model_validate({"trials": 6, "heartbeat": 1} | changes)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def _make(url: str, name: str = "s", **changes: object) -> optuna.Study:
    return studies.create(name, studies.storage(url), _settings(**changes), LossWeights(), {"people": "p"})


def _finish(study: optuna.Study, value: float) -> None:
    trial = study.ask()
    for name in studies.SEARCHED:
        trial.suggest_float(name, 0.01, 20, log=True)
    study.tell(trial, value)


def test_a_study_begins_with_what_was_set_by_hand_and_has_its_slots_from_the_start(url: str) -> None:
    study = _make(url)
    assert sorted(studies.slots(study)) == list(range(6))
    names = [trials[0].user_attrs[studies.NAME] for _, trials in sorted(studies.slots(study).items())]
    assert names[:4] == [*studies.PUBLISHED, studies.CURRENT]
    _finish(study, 0.5)
    assert studies.finished(study)[0].params == studies.PUBLISHED["hand 1/1/1/1/1"]


def test_more_trials_later_are_more_slots_of_the_same_study(url: str) -> None:
    study = _make(url)
    _finish(study, 0.5)
    grown = _make(url, trials=9)
    assert sorted(studies.slots(grown)) == list(range(9))
    assert len(studies.finished(grown)) == 1


def test_a_slot_whose_worker_died_unnoticed_is_queued_again_with_its_weights(url: str) -> None:
    study = _make(url)
    trial = study.ask()
    for name in studies.SEARCHED:
        trial.suggest_float(name, 0.01, 20, log=True)
    study.tell(trial, state=TrialState.FAIL)  # by the machine: no reason is kept
    studies.revive(study)
    again = studies.slots(study)[0][-1]
    assert again.state is TrialState.WAITING
    assert again.system_attrs["fixed_params"] == studies.PUBLISHED["hand 1/1/1/1/1"]
    # A trial that failed by itself is settled.
    other = study.ask()
    slot = other.user_attrs[studies.SLOT]
    other.set_user_attr(studies.FAILURE, "the loss l1 is nan")
    study.tell(other, state=TrialState.FAIL)
    studies.revive(study)
    assert len(studies.slots(study)[slot]) == 1


_TAKE = """
import sys
from optuna.trial import TrialState
from components.core.settings import TuneSettings
from components.tune import study as studies
study = studies.load("s", studies.storage(sys.argv[1]), TuneSettings())
while any(trials[-1].state is TrialState.WAITING for trials in studies.slots(study).values()):
    trial = study.ask()
    if studies.SLOT in trial.user_attrs:
        print(trial.user_attrs[studies.SLOT])
    study.tell(trial, 0.0)
"""


def _each_once(url: str) -> None:
    _make(url, trials=12)
    workers = [subprocess.Popen([sys.executable, "-c", _TAKE, url], stdout=subprocess.PIPE, text=True)
               for _ in range(3)]
    slots = [int(line) for worker in workers for line in worker.communicate(timeout=100)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sorted(slots) == list(range(12))


def test_workers_share_slots_without_doing_one_twice(url: str) -> None:
    _each_once(url)


def test_workers_share_slots_on_postgresql(postgres: Callable[[str], str]) -> None:
    _each_once(postgres("slots"))


def test_the_winner_of_a_front_keeps_the_face(url: str) -> None:
    study = _make(url, objective="pareto")
    for identity, distance in ((0.98, 0.9), (1.0, 1.4), (0.99, 0.8), (0.7, 0.1)):
        trial = study.ask()
        for name in studies.SEARCHED:
            trial.suggest_float(name, 0.01, 20, log=True)
        study.tell(trial, (identity, distance))
    assert studies.best(study, keep_face=0.02).values == [0.99, 0.8]
    assert studies.best(study, keep_face=1.0).values == [0.7, 0.1]
    with pytest.raises(InputError, match="a different objective"):
        _make(url)


def test_a_new_study_starts_from_the_best_of_an_old_one(url: str) -> None:
    old = _make(url, "old")
    for value in (0.1, 0.9, 0.2):
        _finish(old, value)
    new = _make(url, "new", warm_start="old")
    last = studies.slots(new)[4][0]
    assert last.user_attrs[studies.NAME] == "best of old"
    assert last.system_attrs["fixed_params"] == studies.PUBLISHED["hand 7/7/7/1/1"]
    with pytest.raises(InputError, match=r"no study nobody.*studies here: .*old"):
        _make(url, "third", warm_start="nobody")
