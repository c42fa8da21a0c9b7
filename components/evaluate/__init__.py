"""Judge a model on people it was never trained on: `evaluate(model, people, identities, out, settings)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.record.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.core.settings import EvaluateSettings, GateSettings
    from components.evaluate.run import EvaluateSummary


def evaluate(model: Path, people: Path, identities: Path, out: Path, settings: EvaluateSettings,
             recorder: Recorder | None = None, gate: GateSettings | None = None,
             cache: Path | None = None) -> EvaluateSummary:
    """Judge the model folder `model` on the held-out identities of a people data set.

    Writes into `out`, as a whole or not at all: `metrics.json` (format "photoshoot.evaluation/2"), `pairs.jsonl`
    (metrics of each pair), `contact_sheet.png`, `samples/`, `memorisation/` (pictures that prove it), `report.html`.
    The same model, data and settings give the same metrics. With too few held-out people for a metric, the metric is
    null and says why. Controls are judged by the thresholds `gate` (None: the defaults); where one does not behave,
    everything is written, `valid` is false, and the gate fails. In the folder `cache` what real photos measure is kept,
    by content digest.

    Raises `InputError` for a missing folder, `DataError` for artifacts that do not belong together.
    """
    from components.core.settings import GateSettings
    from components.evaluate.run import run  # torch is imported here, not by everyone who reads the pipeline

    return run(model, people, identities, out, settings, recorder or NoRecord(), gate or GateSettings(), cache)
