"""Train the re-posing model: `train` is the step's work, callable without KFP or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.record.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import TrainSettings
    from components.train.loop import Look, TrainSummary


def train(people: Path | str, identities: Path | str, out: Path, settings: TrainSettings, *,
          state: Path | str | None = None, recorder: Recorder | None = None, look: Look | None = None,
          look_every: int = 1) -> TrainSummary:
    """See `components.train.loop.train`, which is imported when it is called: it brings torch with it.

    More than one of `train.processes` are started by torchrun, more than one of `train.nodes` by a Kubeflow Trainer
    job: then `identities` may be on gs:// as `people` may. A training that is looked at runs in this process.
    """
    from components.train.processes.launch import launch, processes_wanted

    record = recorder or NoRecord()
    if look is None and settings.nodes > 1:
        from components.train.processes.nodes import train_on_nodes

        return train_on_nodes(str(people), str(identities), out, settings, state=state, recorder=record)
    processes = processes_wanted(settings) if look is None else 1
    if processes > 1:
        return launch(people, Path(identities), out, settings, state=state, recorder=record, processes=processes)
    from components.train.loop import train as work

    return work(people, Path(identities), out, settings, state=state, recorder=record, look=look, look_every=look_every)


__all__ = ["train"]
