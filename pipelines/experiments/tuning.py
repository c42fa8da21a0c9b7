"""Does the search for loss weights pay? A study on validation people, then a tuned and an untuned run on test people.

The study predicts from validation people which weights are better, and in what; the two runs, equal but for the
weights, are judged on people that neither training nor study has seen. The page says where the prediction held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.study import FRONT, HISTORY, TABLE
from components.core.atomic import atomic_path
from components.core.settings import Settings
from pipelines.home.folder import Home
from pipelines.local.execution import OUTPUTS_FILE
from pipelines.local.run import TuningResult, run_pipeline, run_tuning
from pipelines.results.differences import Difference, differences
from pipelines.results.files import RunResult
from pipelines.results.records import open_run
from pipelines.results.studies import with_weights_of

PAGE, PICTURE = "tuning.md", "tuning.webp"
_WIDTH = 1400
_PARTS = {"value": "score", "identity_recovered": "identity recovered", "frechet": "Fréchet / texture warp's"}
"""Parts of a trial's score, and how the page calls them."""


@dataclass(frozen=True)
class Findings:
    """What the study found, and the two runs with what became of its predictions."""

    study: TuningResult
    trials: list[Mapping[str, Any]]
    untuned: RunResult
    tuned: RunResult
    tested: tuple[Mapping[str, float], Mapping[str, float]]
    """Parts of the score of untuned and tuned, taken on test people as the study takes them on validation people."""
    differences: dict[str, Difference]
    """Metrics of their evaluations on test people, tuned less untuned, pair by pair."""
    settings: Settings

    def predicted(self, part: str) -> float | None:
        """The winner's part of the score less that of the weights of the settings, on validation people."""
        by_name = {trial["name"]: trial for trial in self.trials}
        now, won = (by_name.get(name, {}).get("score" if part == "value" else part)
                    for name in ("current settings", self.study.winner))
        return None if now is None or won is None else won - now


def run(settings: Settings, home: Home) -> Findings:
    """Search, then train with the weights of the settings and with those found. What was done before is reused."""
    study = run_tuning(settings, None, home)
    trials = json.loads((Path(study.folder) / TABLE).read_text(encoding="utf-8"))
    untuned = run_pipeline(settings, None, home)
    tuned = run_pipeline(with_weights_of(settings, home, study.study), None, home)
    first, second = (open_run(home, result.run_id, settings.register_.model_name).judged for result in (untuned, tuned))
    tested = [_tested(settings, home, result) for result in (untuned, tuned)]
    return Findings(study, trials, untuned, tuned, (tested[0], tested[1]), differences(second, first), settings)


def _tested(settings: Settings, home: Home, result: RunResult) -> dict[str, float]:
    """The score of a run's model on its test people."""
    from components.core.networks.generator.reposer import Reposer
    from components.tune.score import Scorer

    outputs = json.loads((home.root / "runs" / result.run_id / OUTPUTS_FILE).read_text(encoding="utf-8"))
    scorer = Scorer(Path(outputs["people"]), Path(outputs["identities"]), settings.tune, "test")
    return scorer(Reposer.load(Path(outputs["model"]) / GENERATOR)).parts()


def write(findings: Findings, out: Path) -> Path:
    """Write the page and its picture into a folder; the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    plots = [Image.open(Path(findings.study.folder) / name).convert("RGB") for name in (HISTORY, FRONT)]
    height = min(plot.height for plot in plots)
    plots = [plot.resize((plot.width * height // plot.height, height)) for plot in plots]
    sheet = Image.new("RGB", (sum(plot.width for plot in plots), height), "white")
    for plot, left in zip(plots, (0, plots[0].width), strict=True):
        sheet.paste(plot, (left, 0))
    sheet.thumbnail((_WIDTH, _WIDTH))
    with atomic_path(out / PICTURE) as partial:
        sheet.save(partial, "WEBP", quality=80)
    with atomic_path(out / PAGE) as partial:
        partial.write_text(markdown(findings), encoding="utf-8")
    return out / PAGE


def markdown(findings: Findings) -> str:
    """The page."""
    study, settings = findings.study, findings.settings
    counts = ", ".join(f"{count} {state}" for state, count in study.trials.items() if count)
    gains = [gain for name, gain in study.gained.items() if name.startswith("hand ") and gain is not None]
    lines = [
        "# The search for loss weights", "", _result(findings), "",
        "Made by `photoshoot experiment tuning`. A trial trains for "
        f"{settings.tune.steps} steps at {settings.preprocess.resolution} px on synthetic people and is scored on "
        "validation people: identity recovered less the Fréchet distance as a multiple of the texture warp's.", "",
        f"{counts}. **{study.winner}** does best, at {study.score:.3f}: "
        + (f"{min(gains):+.3f} to {max(gains):+.3f} over the three weightings set by hand in 2021."
           if gains else "no weighting set by hand has finished."), "",
        f"![Score by trial, and its two parts against each other]({PICTURE})", "",
        *_trials(findings.trials, study.winner), "",
        "## On people the study has never seen", "",
        "Two runs, equal but for the weights. Predicted: the winner less the weights of the settings, on validation "
        "people.", "",
        *_outcome(findings),
    ]
    return "\n".join(lines) + "\n"


def _result(findings: Findings) -> str:
    """The answer in one sentence."""
    before, after = (parts["value"] for parts in findings.tested)
    predicted = findings.predicted("value")
    of = "" if predicted is None else f", where validation people had promised {predicted:+.3f}"
    return (f"**On people the study has never seen, the weights it found score {after:.3f} and those of the settings "
            f"{before:.3f}: {after - before:+.3f}{of}.**")


def _trials(trials: Sequence[Mapping[str, Any]], winner: str) -> list[str]:
    names = ("l1", "perceptual", "face", "gan", "patch")
    ranked = sorted(trials, key=lambda trial: -(trial["score"] if trial["score"] is not None else -1e9))
    lines = ["| trial | score | identity recovered | Fréchet / warp's | " + " | ".join(names) + " |",
             "|---" * (4 + len(names)) + "|"]
    for trial in ranked:
        name = f"**{trial['name']}**" if trial["name"] == winner else trial["name"]
        cells = [name, trial["state"] if trial["score"] is None else f"{trial['score']:.3f}",
                 *("–" if trial[part] is None else f"{trial[part]:.3f}" for part in ("identity_recovered", "frechet")),
                 *(f"{trial['weights'][weight]:.3g}" if weight in trial["weights"] else "–" for weight in names)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _outcome(findings: Findings) -> list[str]:
    lines = ["| part of the score | untuned | tuned | difference | predicted | direction |",
             "|---|---|---|---|---|---|"]
    for part, name in _PARTS.items():
        before, after = (parts[part] for parts in findings.tested)
        predicted, gap = findings.predicted(part), after - before
        if predicted is not None:
            agrees = "as predicted" if gap * predicted > 0 else "not as predicted"
            lines.append(f"| {name} | {before:.3f} | {after:.3f} | {gap:+.3f} | {predicted:+.3f} | {agrees} |")
    lines += ["", "What is best on validation people is partly luck, so less of it is left on others. "
              "As `photoshoot compare` sees the two runs, pair by pair where a metric has pairs:", ""]
    lines += ["| metric | untuned | tuned | difference [95 %] | |", "|---|---|---|---|---|"]
    for metric, found in findings.differences.items():
        before, after = (result.metrics.get(metric, {}).get("value") for result in (findings.untuned, findings.tuned))
        if before is not None and after is not None and found.value is not None and found.low is not None:
            lines.append(f"| {metric} | {before:.3f} | {after:.3f} | {found.value:+.3f} [{found.low:+.3f}, "
                         f"{found.high:+.3f}] | {found.verdict} |")
    return lines
