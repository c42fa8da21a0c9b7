"""Search for the loss weights: a study that several workers share, and its winner.

`prepare` makes the study, `work` is one worker of it, `select` picks the winner; each is callable without KFP.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.record.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import TrainSettings, TuneSettings
    from components.tune.run import PrepareSummary, TuneRun, WorkSummary
    from components.tune.select import SelectSummary


def prepare(people: Path, identities: Path, out: Path, training: TrainSettings, settings: TuneSettings,
            recorder: Recorder | None = None) -> PrepareSummary:
    """See `components.tune.run.prepare`."""
    from components.tune.run import prepare as run

    return run(people, identities, out, training, settings, recorder or NoRecord())


def work(study: Path, people: Path, identities: Path, training: TrainSettings, settings: TuneSettings,
         state: Path | str, recorder: Recorder | None = None) -> WorkSummary:
    """See `components.tune.run.work`."""
    from components.tune.run import work as run

    return run(study, people, identities, training, settings, state, recorder or NoRecord())


def select(study: Path, out: Path, settings: TuneSettings, recorder: Recorder | None = None) -> SelectSummary:
    """See `components.tune.select.select`."""
    from components.tune.run import select as run

    return run(study, out, settings, recorder or NoRecord())


def recorded_under(study: Path, worker: str = "") -> TuneRun:
    """See `components.tune.run.TuneRun`."""
    from components.tune.run import TuneRun

    return TuneRun(study, worker)


__all__ = ["prepare", "recorded_under", "select", "work"]
