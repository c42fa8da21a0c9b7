"""The gate: does a model reach what a version must reach? Pure: figures and thresholds in, a verdict out.

It fails closed: a figure that is missing, null or not a number fails its line, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.core.settings import GateSettings

Comparison = Literal[">=", "<="]


@dataclass(frozen=True)
class Line:
    """One requirement: the figure, its bound, whether it is kept, and in words why or why not."""

    name: str
    value: float | None
    bound: float
    comparison: Comparison
    passed: bool
    reason: str

    def __str__(self) -> str:
        figure = "no figure" if self.value is None else f"{self.value:.4g}"
        mark = "pass" if self.passed else "FAIL"
        why = f": {self.reason}" if self.reason else ""
        return f"{mark}  {self.name} {figure} {self.comparison} {self.bound:g}{why}"


@dataclass(frozen=True)
class Verdict:
    """Passed when every line did; there is no verdict without lines."""

    passed: bool
    lines: tuple[Line, ...]

    @property
    def failed_lines(self) -> tuple[str, ...]:
        """Names of the lines that failed."""
        return tuple(line.name for line in self.lines if not line.passed)

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        if self.passed:
            return f"passed all {len(self.lines)} requirements"
        return f"failed {len(self.failed_lines)} of {len(self.lines)} requirements: {', '.join(self.failed_lines)}"


_FIGURES: tuple[tuple[str, Comparison], ...] = (
    ("ssim", ">="), ("perceptual", "<="), ("over_warp", "<="), ("matte_iou", ">="), ("identity_recovered", ">="),
    ("frechet_ratio", "<="),
)


def gate(evaluation: Mapping[str, Any], settings: GateSettings) -> Verdict:
    """Hold an evaluation (the content of metrics.json) against thresholds; a line for each of them, always."""
    counts, metrics = evaluation.get("counts"), evaluation.get("metrics")
    lines = [_line("pairs", {"value": counts.get("pairs")} if isinstance(counts, Mapping) else None,
                   settings.min_pairs, ">=")]
    for name, comparison in _FIGURES:
        figure = metrics.get(name) if isinstance(metrics, Mapping) else None
        lines.append(_line(name, figure, getattr(settings, name), comparison))
    return Verdict(all(line.passed for line in lines), tuple(lines))


def _line(name: str, figure: Any, bound: float, comparison: Comparison) -> Line:
    if not isinstance(figure, Mapping):
        return Line(name, None, bound, comparison, False, "not in the evaluation")
    value = figure.get("value")
    # bool is an int in Python; "true pairs" is no figure.
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return Line(name, None, bound, comparison, False, str(figure.get("reason") or f"{value} is no figure"))
    passed = value >= bound if comparison == ">=" else value <= bound
    low, high = figure.get("low"), figure.get("high")
    interval = f"95 % interval {low:.4g} to {high:.4g}" if low is not None and high is not None else ""
    return Line(name, float(value), bound, comparison, passed, interval)
