"""The losses of a training, kept so that a report can draw them: a line per log while it runs, one file at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.atomic import atomic_path
from components.core.errors import machine_errors

FORMAT = "photoshoot.curves/1"
FILE = "curves.json"
_NOTES = "curves.jsonl"


class Curves:
    """Logged figures of one training, across interruptions.

    `folder` is where the training keeps its checkpoints; `first` the step it goes on from: what an earlier process
    logged after that step is forgotten, for those steps are made again.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._notes = folder / _NOTES
        self._points = [point for point in _read(self._notes) if point["step"] <= first]
        text = "".join(json.dumps(point) + "\n" for point in self._points)
        with atomic_path(self._notes) as partial:
            partial.write_text(text, encoding="utf-8")

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the figures logged after `step` steps. Raises `MachineError` where the disk is full."""
        point = {"step": step, "values": {name: float(f"{value:.6g}") for name, value in values.items()}}
        self._points.append(point)
        with machine_errors(self._notes), open(self._notes, "a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")

    def write(self, folder: Path) -> None:
        """Write ``folder/curves.json``: steps, and for each figure a value or null per step."""
        names = list(dict.fromkeys(name for point in self._points for name in point["values"]))
        content = {"format": FORMAT, "steps": [point["step"] for point in self._points],
                   "series": {name: [point["values"].get(name) for point in self._points] for name in names}}
        with atomic_path(folder / FILE) as partial:
            partial.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _read(notes: Path) -> list[dict[str, Any]]:
    """The points in a notes file; a last line that was cut short by a crash is left out."""
    points = []
    try:
        lines = notes.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    for line in lines:
        try:
            points.append(dict(json.loads(line)))
        except ValueError:
            break
    return points
