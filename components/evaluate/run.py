"""The evaluation: render, measure, write. `components.evaluate.evaluate` is its public face."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.artifacts.evaluation import METRICS, PAIRS, REPORT, SHEET, write_metrics, write_pairs
from components.core.artifacts.model import read_curves
from components.core.atomic import atomic_folder
from components.core.errors import machine_errors
from components.core.record.recorder import Recorder
from components.core.settings import EvaluateSettings, GateSettings
from components.evaluate.evaluated import EvaluatedModel, open_evaluated
from components.evaluate.judge import Measurements, judge
from components.evaluate.report import page as report
from components.evaluate.report import sheet
from components.evaluate.report.content import compose, pair_lines
from components.evaluate.report.pictures import COLUMNS, write_pictures, write_proof

PARENT_METRICS = ("perceptual", "over_warp", "ssim", "psnr", "face_similarity", "identity_recovered", "frechet",
                  "kernel", "frechet_ratio", "matte_iou")


@dataclass(frozen=True)
class EvaluateSummary:
    """What came out. `metrics` are the headline metrics as {value, low, high, n} or {value: None, reason}; `valid` is
    false where a control did not behave: then no value is to be believed, and the gate fails."""

    metrics: dict[str, dict[str, Any]]
    counts: dict[str, int]
    valid: bool
    notes: list[str]
    report: str
    contact_sheet: str
    seconds: float


def run(model: Path, people: Path, identities: Path, out: Path, settings: EvaluateSettings, recorder: Recorder,
        gate: GateSettings, cache: Path | None) -> EvaluateSummary:
    """See `components.evaluate.evaluate`."""
    started = time.monotonic()
    evaluated = open_evaluated(Path(model), Path(people), Path(identities), settings, gate, cache)
    recorder.dataset("people", str(people), evaluated.people.digest, "evaluation")
    measurements = judge(evaluated)
    content = compose(evaluated, measurements)
    with atomic_folder(out) as folder:
        for name, pictures in write_proof(evaluated, measurements.findings, folder).items():
            content["memorisation"][name]["pictures"] = pictures
        rows = write_pictures(evaluated, measurements, folder)
        _write(evaluated, measurements, content, rows, folder)
    out = Path(out)
    _record(content, out, recorder)
    headline = {name: content["metrics"][name] for name in PARENT_METRICS}
    return EvaluateSummary(headline, content["counts"], content["valid"], content["notes"], str(out / REPORT),
                           str(out / SHEET), round(time.monotonic() - started, 1))


def _write(model: EvaluatedModel, measurements: Measurements, content: dict[str, Any],
           rows: dict[str, list[sheet.Row]], folder: Path) -> None:
    with machine_errors(folder):
        write_metrics(folder, content)
        write_pairs(folder, pair_lines(model, measurements))
        html = report.render(content, rows, COLUMNS, curves=read_curves(model.folder), folder=folder)
        (folder / REPORT).write_text(html, encoding="utf-8")


def _record(content: dict[str, Any], out: Path, recorder: Recorder) -> None:
    values = _values(content["metrics"])
    recorder.headline({name: value for name, value in values.items() if name in PARENT_METRICS})
    every = {f"evaluate/{name}": value for name, value in values.items()}
    every |= {f"evaluate/{part}_error": value for part, found in content["parts"].items()
              for value in _values(found).values()}
    every |= {f"evaluate/memorisation/{name}": value for name, value in _values(content["memorisation"]).items()}
    for baseline, found in content["baselines"].items():
        every |= {f"evaluate/{baseline}/{name}": value for name, value in _values(found).items()}
    every |= {f"evaluate/repose/{name}": value for name, value in _values(content["repose"]["metrics"]).items()}
    every |= {"evaluate/valid": float(content["valid"])}
    recorder.metrics(every | {f"evaluate/{name}": float(value) for name, value in content["counts"].items()})
    for name in (METRICS, PAIRS, SHEET, REPORT):
        recorder.artifact(out / name)


def _values(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics that have a value."""
    return {name: metric["value"] for name, metric in metrics.items() if metric.get("value") is not None}
