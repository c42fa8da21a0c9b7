"""Hold an evaluation against the gate and register the model: `register(model, evaluation, people, out, settings)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import RegisterSettings
    from components.register.run import RegisterSummary


def register(model: Path, evaluation: Path, people: Path, out: Path, settings: RegisterSettings,
             recorder: Recorder | None = None, *, tracking_uri: str | None = None) -> RegisterSummary:
    """Register the model folder `model` as a new version, whatever the gate says, and say what it says.

    The version is loaded and tried on one pair in a fresh process before any alias points to it. Then `challenger`
    moves to it; `champion` too when the gate passed and there is none. Writes into `out`: `verdict.json`,
    `model_card.md`, `report.html` (the evaluation's, with the verdict), `try.png`.

    `tracking_uri` is MLflow's (default: ``MLFLOW_TRACKING_URI``). Raises `InputError` for missing folders or an
    evaluation of another model, `DataError` when the version does not work in a fresh process (no alias moves),
    `MachineError` when MLflow cannot be reached.
    """
    from components.register.run import run  # MLflow is imported here, not by everyone who reads the pipeline

    return run(model, evaluation, people, out, settings, recorder or NoRecord(), tracking_uri)
