"""The end of a study: the winner as an artifact, the table of all trials, and plots."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from components.core.artifacts.loss_weights import TunedWeights, write_weights
from components.core.artifacts.study import TABLE, write_trials
from components.core.atomic import atomic_folder
from components.core.record.recorder import NoRecord, Recorder
from components.core.settings import TuneSettings
from components.tune import plots
from components.tune import study as studies
from components.tune.trials import TrialRow, score_of, table


@dataclass(frozen=True)
class SelectSummary:
    """What a study found."""

    study: str
    winner: str
    """Slot and name of the winning trial."""
    weights: dict[str, float]
    score: float
    parts: dict[str, float]
    """Of the winner: identity_recovered, frechet (as a multiple of the texture warp's), perceptual."""
    gained: dict[str, float | None]
    """By how much the winner's score is above that of each weighting set by hand; null: not finished."""
    trials: dict[str, int]
    """How many are finished, stopped early, failed, and never begun."""
    device_seconds: float
    plots: list[str]


def select(study: Study, out: Path, settings: TuneSettings, recorder: Recorder | None = None) -> SelectSummary:
    """Write ``loss_weights.json``, ``trials.json`` and the plots into `out`.

    Raises `InputError` when no trial has finished.
    """
    recorder = recorder or NoRecord()
    winner = studies.best(study, settings.keep_face)
    rows = table(study)
    weights = {name: float(winner.params[name]) for name in studies.SEARCHED}
    with atomic_folder(out) as folder:
        write_weights(folder, TunedWeights(weights, study.study_name, winner.number, score_of(winner),
                                           str(winner.user_attrs.get(studies.RUN) or "")))
        write_trials(folder, [asdict(row) for row in rows])
        drawn = plots.draw(study, rows, winner, folder)
    summary = _summary(study, winner, rows, weights, drawn)
    recorder.headline({"tune/score": summary.score, **{f"tune/{key}": value for key, value in summary.parts.items()}})
    recorder.metrics({f"gained over {name}": value for name, value in summary.gained.items() if value is not None})
    recorder.params({"winner": summary.winner, "weights": weights})
    for name in drawn:
        recorder.artifact(out / name, "study")
    recorder.artifact(out / TABLE, "study")
    return summary


def _summary(study: Study, winner: FrozenTrial, rows: list[TrialRow], weights: dict[str, float], drawn: list[str]
             ) -> SelectSummary:
    score = score_of(winner)
    by_hand: dict[str, float | None] = {
        row.name: None if row.score is None else score - row.score
        for row in rows if row.name in (*studies.PUBLISHED, studies.CURRENT)
    }
    states = [row.state for row in rows]
    slot = int(winner.user_attrs[studies.SLOT])
    parts: dict[str, Any] = {key: winner.user_attrs.get(key) for key in ("identity_recovered", "frechet", "perceptual")}
    return SelectSummary(
        study=study.study_name, winner=winner.user_attrs.get(studies.NAME) or f"trial {slot:03d}", weights=weights,
        score=score, parts={key: float(value) for key, value in parts.items() if value is not None}, gained=by_hand,
        trials={state: states.count(state) for state in ("finished", "stopped early", "failed", "waiting")},
        device_seconds=round(studies.spent(study), 1), plots=drawn,
    )
