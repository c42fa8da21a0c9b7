"""A study as a table: a row per slot."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from components.tune import study as studies


@dataclass(frozen=True)
class TrialRow:
    """One slot of the study, for tables."""

    slot: int
    name: str
    state: str
    weights: dict[str, float]
    score: float | None
    identity_recovered: float | None
    frechet: float | None
    perceptual: float | None
    device_seconds: float
    workers_lost: int
    failure: str
    mlflow_run: str


def score_of(trial: FrozenTrial) -> float:
    """The one number of a finished trial: its value, or on a front the difference of its two."""
    return float(trial.values[0] if len(trial.values) == 1 else trial.values[0] - trial.values[1])


def table(study: Study) -> list[TrialRow]:
    """A row per slot, in order: its finished trial, else its newest."""
    rows = []
    for slot, trials in sorted(studies.slots(study).items()):
        trial = next((t for t in trials if studies.done(t)), trials[-1])
        attributes = trial.user_attrs
        complete = trial.state is TrialState.COMPLETE
        rows.append(TrialRow(
            slot=slot, name=attributes.get(studies.NAME) or f"trial {slot:03d}", state=_state(trial),
            weights={name: float(trial.params[name]) for name in studies.SEARCHED if name in trial.params},
            score=score_of(trial) if complete else None,
            identity_recovered=attributes.get("identity_recovered"), frechet=attributes.get("frechet"),
            perceptual=attributes.get("perceptual"),
            device_seconds=round(float(attributes.get(studies.SECONDS, 0.0)), 1),
            workers_lost=len(trials) - 1, failure=attributes.get(studies.FAILURE, ""),
            mlflow_run=str(attributes.get(studies.RUN) or ""),
        ))
    return rows


def _state(trial: FrozenTrial) -> str:
    return {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed",
            TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}[trial.state]
