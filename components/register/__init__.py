"""Hold an evaluation against the gate and register the model, and move the champion.

`register(model, evaluation, people, identities, out, settings)`; `components.register.promotion` has `promote` and
`rollback`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.record.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import RegisterSettings
    from components.register.run import RegisterSummary


def register(model: Path, evaluation: Path, people: Path, identities: Path, out: Path, settings: RegisterSettings,
             recorder: Recorder | None = None, *, comparison: Path | None = None,
             tracking_uri: str | None = None) -> RegisterSummary:
    """Register the model folder `model` as a new version, whatever the gate says, and say what it says.

    The gate holds the evaluation against thresholds and, where there is a champion, the comparison with it
    (`comparison`, the folder that `components.evaluate.challenge` wrote) against margins: without a
    comparison it fails. The version is loaded and tried on one pair in a fresh process before any alias points to it.
    Then `challenger` moves to it; `champion` too as `settings.auto_promote` says. Writes into `out`: `verdict.json`,
    `model_card.md`, `report.html` (the evaluation's, with the verdict), `try.png`, and `comparison.json` if there was
    a comparison.

    `tracking_uri` is MLflow's (default: ``MLFLOW_TRACKING_URI``). Raises `InputError` for missing folders or evidence
    about another model, `DataError` when the version does not work in a fresh process (no alias moves),
    `MachineError` when MLflow cannot be reached.
    """
    from components.register.evidence import VersionEvidence  # MLflow is imported here, not by everyone who reads
    from components.register.run import run  # the pipeline

    evidence = VersionEvidence.open(Path(model), Path(evaluation), Path(people), Path(identities),
                                    None if comparison is None else Path(comparison))
    return run(evidence, Path(out), settings, recorder or NoRecord(), tracking_uri)
