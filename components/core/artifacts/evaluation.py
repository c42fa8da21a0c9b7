"""An evaluation: metrics with intervals and counts, the metrics of each pair, pictures, and the report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.artifacts.files import read_json, read_lines, write_json, write_lines
from components.core.errors import DataError, InputError

FORMAT = "photoshoot.evaluation/2"
METRICS = "metrics.json"
PAIRS = "pairs.jsonl"
REPORT = "report.html"
SHEET = "contact_sheet.png"
SAMPLES, SAMPLES_CARD = "samples", "samples.json"
"""Folder with the sheet's rows as strips, and in it the file that says what they show."""
MEMORISATION = "memorisation"
"""Folder with the worst pairs of the tests of memorisation as strips."""
SOURCES = {"given": "files that were brought", "landmarks": "landmarks", "densepose": "DensePose", "grabcut": "GrabCut",
           "silhouette": "the pose map's outline"}
"""Where pose maps and mattes come from, as `PersonRecord` names it, for people to read."""
_RENAMED = {"plain warp": "texture warp"}
"""What 0.1 wrote over a column of the sheet -> its name."""
_COMMAND = "photoshoot evaluate"


def write_metrics(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the metrics: everything that is said of the model."""
    write_json(folder / METRICS, {"format": FORMAT, **content}, allow_nan=False)


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics. Raises `InputError` where there are none, `DataError` for a torn file or another format."""
    return read_json(folder / METRICS, FORMAT, "evaluation", _COMMAND)


def write_pairs(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a line for each pair: kind, identity, source, target, and the metrics."""
    write_lines(folder / PAIRS, lines)


def read_pairs(folder: Path) -> list[dict[str, Any]]:
    """The lines of all pairs. Raises `InputError` where there is no such file, `DataError` for a torn one."""
    path = folder / PAIRS
    try:
        return read_lines(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("no evaluation here", path=path, remedy=f"make one with `{_COMMAND}`") from None
    except ValueError:
        raise DataError("damaged evaluation", path=path, remedy=f"`{_COMMAND}` again") from None


def write_samples(folder: Path, columns: Sequence[str], gap: int, rows: Sequence[Mapping[str, str]]) -> None:
    """Write into the folder of samples what they show: of each row its {file, caption, key}."""
    write_json(folder / SAMPLES_CARD, {"columns": list(columns), "gap": gap, "rows": list(rows)})


def read_samples(evaluation: Path) -> dict[str, Any]:
    """What `write_samples` wrote; no rows where none were kept."""
    path = evaluation / SAMPLES / SAMPLES_CARD
    if not path.is_file():
        return {"columns": [], "gap": 0, "rows": []}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {**found, "columns": [_RENAMED.get(name, name) for name in found["columns"]]}
