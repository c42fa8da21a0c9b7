"""The page of compared runs: one HTML file, the same contact sheet's rows with each run's output beside the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from components.core.atomic import atomic_path
from components.evaluate.report import charts, sheet
from components.evaluate.report import page as report
from pipelines.home.folder import Home
from pipelines.results.compare import Comparison
from pipelines.results.differences import part_differences
from pipelines.results.records import FinishedRun

PAGES = Path(__file__).parent
_OUTPUT = "output"
_BEFORE, _AFTER = ("source", "target pose"), ("truth",)
_BADGES = {"better": ("good", "better"), "worse": ("bad", "worse"), "same": ("", "no difference")}


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures under common heads. `marked` are the columns that are runs' outputs."""

    columns: list[str]
    marked: list[str]
    strips: list[report.Strip]


def default_path(home: Home, runs: Sequence[FinishedRun]) -> Path:
    """Where the page of these runs goes when nobody says: the same runs, the same file."""
    digest = hashlib.sha256("\n".join(run.mlflow_run_id for run in runs).encode()).hexdigest()[:8]
    return home.root / "compared" / f"{runs[0].name}-and-{len(runs) - 1}-more-{digest}.html"


def write_page(comparison: Comparison, runs: Sequence[FinishedRun], path: Path) -> Path:
    """Write the page. Raises `MachineError` where it cannot be written."""
    labels = [f"run {number}" for number in range(1, len(runs) + 1)]
    curves = {label: found for label, run in zip(labels, runs, strict=True) if (found := run.curves)}
    html = report.environment(PAGES).get_template("compare.html").render(
        c=comparison, labels=labels, sheets=sheets(runs, labels), metrics=_metrics(comparison),
        parts=_parts(runs, labels), tests=_tests(runs), lines=_lines(runs),
        curves=report.curve_charts(curves), curve_names=list(curves),
        data=[_data(run) for run in runs], badges=_BADGES,
    )
    with atomic_path(path) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


def sheets(runs: Sequence[FinishedRun], labels: Sequence[str]) -> list[Sheet]:
    """The rows that all runs have, side by side; rows of runs evaluated on other pairs stand by themselves."""
    kept = [{row["key"]: row for row in run.samples["rows"] if row["key"]} for run in runs]
    shared = [key for key in kept[0] if all(key in rows for rows in kept)] if all(kept) else []
    if shared:
        columns = [*_BEFORE, *labels, *_AFTER]
        strips = [_side_by_side(key, columns, runs, labels, kept) for key in shared]
        return [Sheet(columns, list(labels), strips)]
    alone = []
    for run, label, rows in zip(runs, labels, kept, strict=True):
        columns = [label if name == _OUTPUT else name for name in run.samples["columns"]]
        if rows:
            alone.append(Sheet(columns, [label], [_as_it_is(run, row, columns) for row in rows.values()]))
    return alone


def _side_by_side(key: str, columns: Sequence[str], runs: Sequence[FinishedRun], labels: Sequence[str],
                  kept: Sequence[Mapping[str, Any]]) -> report.Strip:
    cells = [_cells(run, rows[key]) for run, rows in zip(runs, kept, strict=True)]
    caption = kept[0][key]["caption"]
    found = {name: cells[0][name] for name in (*_BEFORE, *_AFTER)}
    found |= {label: row[_OUTPUT] for label, row in zip(labels, cells, strict=True)}
    return report.Strip(tuple(report.encode(found[name], f"{name} of {caption}") for name in columns), caption)


def _as_it_is(run: FinishedRun, row: Mapping[str, Any], columns: Sequence[str]) -> report.Strip:
    pictures = tuple(report.encode(picture, f"{name} of {row['caption']}")
                     for name, picture in zip(columns, _cells(run, row).values(), strict=True))
    return report.Strip(pictures, row["caption"])


def _cells(run: FinishedRun, row: Mapping[str, Any]) -> dict[str, Image.Image]:
    samples = run.samples
    with Image.open(run.samples_folder / row["file"]) as picture:
        return dict(zip(samples["columns"], sheet.cells(picture, len(samples["columns"]), samples["gap"]), strict=True))


def _metrics(comparison: Comparison) -> list[tuple[report.Legend, list[Any], list[Any]]]:
    """Of each metric: how it is shown, the runs' metrics, their differences from the first."""
    return [(legend, [value or {"value": None, "reason": "not measured"} for value in comparison.metrics[legend.key]],
             [found.get(legend.key) for found in comparison.differences])
            for legend in report.METRICS if legend.key in comparison.metrics]


def _parts(runs: Sequence[FinishedRun], labels: Sequence[str]) -> dict[str, Any] | None:
    """Body parts with each run's error, placed on one axis."""
    found = {label: report.part_metrics(run.judged.evaluation) for label, run in zip(labels, runs, strict=True)
             if run.judged.evaluation.get("parts")}
    names = list(dict.fromkeys(name for parts in found.values() for name in parts))
    if not names:
        return None
    rows = [{label: parts[name]["model"] for label, parts in found.items() if name in parts} for name in names]
    apart = {label: part_differences(run.judged, runs[0].judged) for label, run in zip(labels[1:], runs[1:],
                                                                                       strict=True)}
    placed, ticks = charts.dots(rows)
    titles = [report.PARTS.get(name, name) for name in names]
    return {"plotted": list(zip(titles, placed, strict=True)), "rows": list(zip(titles, rows, strict=True)),
            "apart": [{label: differences.get(name) for label, differences in apart.items()} for name in names],
            "ticks": ticks, "labels": list(found)}


def _tests(runs: Sequence[FinishedRun]) -> list[tuple[str, list[Any]]]:
    """Memorisation tests, each with the runs' outcomes (None where a run has none)."""
    found = [run.judged.evaluation.get("memorisation") or {} for run in runs]
    names = list(dict.fromkeys(name for tests in found for name in tests))
    return [(report.MEMORISATION.get(name, name), [tests.get(name) for tests in found]) for name in names]


def _lines(runs: Sequence[FinishedRun]) -> list[tuple[str, list[Any]]]:
    """The gate's lines, each with the runs' outcomes."""
    found = [{line["name"]: line for line in run.result.get("gate", [])} for run in runs]
    names = list(dict.fromkeys(name for lines in found for name in lines))
    return [(name, [lines.get(name) for lines in found]) for name in names]


def _data(run: FinishedRun) -> dict[str, str]:
    """What a run's metrics rest on, in short."""
    evaluation = run.judged.evaluation
    if not evaluation:
        return {"People": "not kept"}
    counts = evaluation["counts"]
    return {
        "Model": evaluation["model"]["digest"][:12],
        "People": f"{evaluation['people']['digest'][:12]}, {evaluation['people']['accepted']} accepted",
        "Identities": evaluation["identities"]["digest"][:12],
        "Judged on": f"{counts['identities']} people, {counts['pairs']} pairs ({evaluation['settings']['split']})",
        "Networks": ", ".join(dict.fromkeys([*evaluation["networks"].values(), evaluation["judge"]["embedder"]])),
    }
