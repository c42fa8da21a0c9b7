"""What is requested of a training step, and the MLflow run of one that was interrupted: one training is one run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.artifacts.loss_weights import read_weights
from components.core.documents import json_object
from components.core.errors import InputError
from components.core.record import tracking
from components.core.record.recorder import Recorder
from components.core.stores.storage import open_location

if TYPE_CHECKING:
    from components.core.settings import TrainSettings

_FILE = "run.json"


def requested(settings: str, weights: Path | None) -> tuple[TrainSettings, dict[str, object]]:
    """TrainSettings in JSON with the loss weights that a study found, if any, and what to record of the study.

    Raises `DataError` for a weights file that is torn.
    """
    from components.core.settings import TrainSettings

    wanted = TrainSettings.model_validate_json(settings)
    if weights is None:
        return wanted, {}
    found = read_weights(weights)
    wanted = wanted.model_copy(update={"weights": found.over(wanted.weights)})
    return wanted, {"study": found.study, "trial": found.trial, **found.weights}


def remember_run(place: str | Path, recorder: Recorder) -> None:
    """Note beside the checkpoints in which run the training records, if it does."""
    run_id = getattr(recorder, "run_id", None)
    if run_id:
        content = {"run": run_id, "parent": os.environ.get(tracking.PARENT_RUN_ID) or None}
        open_location(place).write_bytes(_FILE, (json.dumps(content) + "\n").encode())


def earlier_run(people: Path, identities: Path, settings: TrainSettings, state: str | Path) -> dict[str, str]:
    """The run of this training that an interruption left, as `step_run` takes it: ``{"run_id": ...}``, or ``{}``.

    Nothing where the environment names a run (it comes first), nothing is recorded, that run ended well, was deleted
    or belongs to another pipeline run.
    """
    if not os.environ.get(tracking.TRACKING_URI) or os.environ.get(tracking.RUN_ID):
        return {}
    from mlflow.exceptions import MlflowException

    from components.train.place import place_of

    try:
        kept = json_object(open_location(place_of(people, identities, settings, state)).read_bytes(_FILE))
        run = tracking.client().get_run(str(kept["run"]))
    except (InputError, ValueError, KeyError, TypeError, MlflowException):
        return {}
    mine = os.environ.get(tracking.PARENT_RUN_ID) or None
    gone = run.info.status == "FINISHED" or run.info.lifecycle_stage == "deleted"
    return {} if gone or kept.get("parent") != mine else {"run_id": str(kept["run"])}
