"""The losses of a training, for a report to draw: kept in its checkpoints while it runs, in a file at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.artifacts.model import write_curves

Point = dict[str, Any]
"""``{"step": 20, "values": {"loss/l1": 0.5}}``."""


class Curves:
    """Logged metrics of one training, across interruptions. `points` are those of the checkpoint it goes on from."""

    def __init__(self, points: Sequence[Point] = ()) -> None:
        self.points = list(points)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the metrics logged after `step` steps."""
        self.points.append({"step": step, "values": dict(values)})

    def write(self, folder: Path) -> None:
        """Write ``folder/curves.json``: steps, and for each metric a value or null per step."""
        names = list(dict.fromkeys(name for point in self.points for name in point["values"]))
        write_curves(folder, [point["step"] for point in self.points],
                     {name: [_short(point["values"].get(name)) for point in self.points] for name in names})


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
