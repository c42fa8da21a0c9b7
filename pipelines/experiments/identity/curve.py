"""How a training gets better with time, kept in a file: an experiment that was interrupted keeps its beginning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.core.atomic import atomic_path

Point = tuple[int, float, float]


@dataclass
class Curve:
    """Held-out perceptual distance during a training: (step, seconds of training until then, distance)."""

    points: list[Point] = field(default_factory=list)
    path: Path | None = None
    """Where `add` writes the points."""
    training: str = ""
    """The training they belong to."""

    @staticmethod
    def open(path: Path, training: str) -> Curve:
        """The points of this training that `path` has; none where it has another's, or is broken or not there."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            points = [(int(step), float(seconds), float(distance)) for step, seconds, distance in content["points"]]
            if content["training"] != training:
                points = []
        except (OSError, ValueError, KeyError, TypeError):
            points = []
        return Curve(points, path, training)

    @property
    def seconds(self) -> float:
        """Of training until the last look; 0 before the first."""
        return self.points[-1][1] if self.points else 0.0

    def before(self, step: int) -> Sequence[Point]:
        """The looks at earlier steps."""
        return [point for point in self.points if point[0] < step]

    def add(self, step: int, seconds: float, distance: float) -> None:
        """Keep what a look found, and forget what an interrupted try found at this step or later."""
        self.points = [*self.before(step), (step, seconds, distance)]
        if self.path is not None:
            with atomic_path(self.path) as partial:
                partial.write_text(json.dumps({"training": self.training, "points": self.points}) + "\n",
                                   encoding="utf-8")

    def seconds_to(self, distance: float) -> float | None:
        """Seconds until the distance was first reached; None where it never was."""
        return next((seconds for _, seconds, found in self.points if found <= distance), None)
