"""Train the re-posing model: `train` is the step's work, callable without KFP or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import TrainSettings
    from components.train.loop import Look, TrainSummary


def train(people: Path, identities: Path, out: Path, settings: TrainSettings, *, state: Path | None = None,
          recorder: Recorder | None = None, look: Look | None = None, look_every: int = 1) -> TrainSummary:
    """See `components.train.loop.train`, which is imported when it is called: it brings torch with it."""
    from components.train.loop import train as work

    return work(people, identities, out, settings, state=state, recorder=recorder or NoRecord(), look=look,
                look_every=look_every)


__all__ = ["train"]
