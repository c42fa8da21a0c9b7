"""The verb `compare`: runs side by side, and what of their differences is more than noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.core.errors import InputError
from pipelines.display import metric
from pipelines.home.folder import Home
from pipelines.results.differences import Difference, differences, same_data
from pipelines.results.files import RESULT_FILE
from pipelines.results.links import Links
from pipelines.results.records import FinishedRun, open_run

_LATEST = 5
_WORDS = {"better": "better", "worse": "worse", "same": "≈"}
_INTERVALS, _OTHER_PEOPLE = "*", "†"


@dataclass(frozen=True)
class Comparison:
    """Runs with their metrics, how each differs from the first, and the settings in which they differ.

    `differences[k]` are those of run k from the first by metric (empty for the first itself). `links` lead to the
    MLflow UI: the page that compares these runs, and the page of each. `notes` say what must be known first.
    """

    runs: list[str]
    metrics: dict[str, list[Any]]
    facts: dict[str, list[str]]
    settings: dict[str, list[str]]
    differences: list[dict[str, Difference]]
    notes: list[str]
    links: dict[str, Any]

    def rows(self) -> list[tuple[str, ...]]:
        """Table rows: facts, metrics with what differs from the first run, settings that differ."""
        rows: list[tuple[str, ...]] = [(name, *values) for name, values in self.facts.items()]
        for name, values in self.metrics.items():
            cells = [_cell(value) + said(found.get(name))
                     for value, found in zip(values, self.differences, strict=True)]
            rows.append((name, *cells))
        return rows + [(name, *values) for name, values in self.settings.items()]

    def legend(self) -> list[str]:
        """What the marks in `rows` mean, of those that are there."""
        every = [one for found in self.differences for one in found.values()]
        marks = {
            f"{_INTERVALS} by intervals, apart or not; the others pair by pair": any(
                one.method == "intervals" for one in every),
            f"{_OTHER_PEOPLE} judged on other people": any(
                one.verdict != "unknown" and not one.same_data for one in every),
        }
        return [text for text, used in marks.items() if used]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare_runs(home: Home, names: Sequence[str], model_name: str = "photoshoot",
                 ui: str | None = None) -> tuple[Comparison, list[FinishedRun]]:
    """Read finished runs (default: the last five of this home) and hold them against the first.

    `names` may be run names, MLflow run ids, versions (``v3``) and aliases (``@champion``) of `model_name`; `ui` is the
    address of an MLflow server for the links. Raises `InputError` when there is nothing to compare.
    """
    if not names:
        names = [path.parent.name for path in sorted(home.root.glob(f"runs/*/{RESULT_FILE}"))][-_LATEST:]
    if not names:
        raise InputError("no finished runs", path=home.root / "runs", remedy="`photoshoot run` makes one")
    runs = [open_run(home, name, model_name) for name in names]
    first, *others = [run.judged for run in runs]
    found = [{}, *(differences(other, first) for other in others)]
    metrics = list(dict.fromkeys(name for run in runs for name in run.judged.metrics))
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    return Comparison(
        runs=[run.name for run in runs],
        metrics={name: [run.judged.metrics.get(name) for run in runs] for name in metrics},
        facts=_facts(runs),
        settings={key: [json.dumps(run.settings.get(key)) for run in runs] for key in keys
                  if len({json.dumps(run.settings.get(key)) for run in runs}) > 1},
        differences=found, notes=_notes(runs, found), links=_links(Links.of(home, ui), runs),
    ), runs


def said(found: Difference | None) -> str:
    """A difference in a word, as it stands behind a value; nothing where there is nothing to say."""
    if found is None:
        return ""
    if found.other_network or found.other_size:
        return "  not comparable"
    if found.verdict == "unknown":
        return ""
    marks = _INTERVALS * (found.method == "intervals") + _OTHER_PEOPLE * (not found.same_data)
    return f"  {_WORDS[found.verdict]}{marks}"


def _cell(value: Any) -> str:
    """A value; why there is none is said in the run's own report."""
    return metric(value) if isinstance(value, Mapping) and value.get("value") is not None else "-"


def _facts(runs: Sequence[FinishedRun]) -> dict[str, list[str]]:
    facts = {
        "version": [str(run.result["model_version"]) for run in runs],
        "gate": [run.result["verdict"] for run in runs],
        "seconds": [f"{run.result['seconds']:.0f}" for run in runs],
        "cost": [run.result.get("cost", "") or "-" for run in runs],
    }
    return {name: values for name, values in facts.items() if any(value != "-" for value in values)}


def _notes(runs: Sequence[FinishedRun], found: Sequence[Mapping[str, Difference]]) -> list[str]:
    """What must be known before believing a difference."""
    first, notes = runs[0], []
    without = [run.name for run in runs if not run.judged.evaluation]
    if without:
        notes.append(f"{', '.join(without)}: kept no evaluation, so it is not known which people and networks their "
                     "metrics stand on: they are shown but not compared.")
    elsewhere = [run.name for run in runs[1:] if not same_data(run.judged, first.judged) and run.name not in without]
    if elsewhere and first.name not in without:
        notes.append(f"{', '.join(elsewhere)}: judged on other people than {first.name}. A difference may come "
                     "from the people and not from the model.")
    every = [one for each in found for one in each.values()]
    networks = sorted({one.why for one in every if one.other_network})
    notes += [f"Metrics of different networks are not compared ({names})." for names in networks]
    sizes = sorted({one.why for one in every if one.other_size})
    notes += [f"Metrics of pictures of different sizes are not compared ({size})." for size in sizes]
    notes += sorted({f"Differences pair by pair: {one.why}." for one in every if one.method == "paired" and one.why})
    compared = sum(one.method != "none" for one in every)
    if compared > 1:
        notes.append(f"{compared} metrics were compared, each at 95 %: about one in twenty differs by chance alone. "
                     "Metrics of one kind (SSIM, PSNR, perceptual) often move together.")
    return notes


def _links(links: Links, runs: Sequence[FinishedRun]) -> dict[str, Any]:
    return {
        "compare": links.compare([run.experiment_id for run in runs], [run.mlflow_run_id for run in runs]),
        "runs": {run.name: links.run(run.experiment_id, run.mlflow_run_id) for run in runs},
        "server": links.base,
    }
