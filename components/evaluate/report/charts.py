"""Charts as inline SVG and positions for CSS: they follow the page's colours, light or dark, and need no script.

Matplotlib could draw them, but not in the reader's colours, nor with text that stays readable at two widths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 320, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 8, 24
_NOTHING = 1e-12
COLOURS = 6
"""Series have the page's colours --c0 to --c5, then from the start again."""


@dataclass(frozen=True)
class Series:
    """A line: `x` ascending, `y` as long, None where there is no value."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True)
class Dot:
    """A metric in a dot plot: its place and the ends of its interval in percent of the axis; None without a value."""

    name: str
    at: float | None
    low: float | None
    high: float | None
    value: float | None


def lines(title: str, series: Sequence[Series]) -> Markup:
    """A line chart of one or more series over the same axis, which starts at 0. Values that are not finite are gaps,
    but time goes on: charts of one training have one axis."""
    points = [[(x, y) for x, y in zip(one.x, one.y, strict=True) if y is not None and math.isfinite(y)]
              for one in series]
    every = [point for line in points for point in line]
    if not every:
        return Markup("")
    across = _Axis.over([0.0, *(x for one in series for x in one.x)], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.over([y for _, y in every], _HEIGHT - _BOTTOM, _TOP)
    parts = [f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up.at(tick):.1f}" y2="{up.at(tick):.1f}"/>'
             f'<text x="{_LEFT - 6}" y="{up.at(tick) + 3.5:.1f}" text-anchor="end">{_tick(tick)}</text>'
             for tick in up.ticks()]
    parts += [f'<text x="{across.at(tick):.1f}" y="{_HEIGHT - 7}" text-anchor="middle">{_tick(tick)}</text>'
              for tick in across.ticks(5)]
    for number, line in enumerate(points):
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        if len(line) == 1:
            parts.append(f'<circle class="c{number % COLOURS}" cx="{across.at(line[0][0]):.1f}" '
                         f'cy="{up.at(line[0][1]):.1f}" r="2.5"/>')
        elif line:
            parts.append(f'<polyline class="c{number % COLOURS}" points="{path}"/>')
    described = "; ".join(f"{one.name} from {_tick(line[0][1])} to {_tick(line[-1][1])}"
                          for one, line in zip(series, points, strict=True) if line)
    return (Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, _HEIGHT, f"{title}: {described}") + Markup("".join(parts)) + Markup("</svg>"))


def dots(rows: Sequence[Mapping[str, Mapping[str, Any]]]) -> tuple[list[list[Dot]], list[tuple[float, str]]]:
    """Places of metrics {value, low, high} on one common axis with 0: a list of `Dot` for each row of
    metrics by name, and the axis' ticks as (percent, label)."""
    ends = [float(end) for row in rows for metric in row.values()
            for end in (metric.get("value"), metric.get("low"), metric.get("high")) if end is not None]
    some = any(abs(end) > _NOTHING for end in ends)
    axis = _Axis.over([0.0, *ends] if some else [0.0, 1.0], 0, 100)
    placed = [[_dot(name, metric, axis) for name, metric in row.items()] for row in rows]
    return placed, [(round(axis.at(tick), 2), _tick(tick)) for tick in axis.ticks()]


def _dot(name: str, metric: Mapping[str, Any], axis: _Axis) -> Dot:
    value, low, high = (metric.get(key) for key in ("value", "low", "high"))
    at, left, right = (None if end is None else round(axis.at(end), 2) for end in (value, low, high))
    return Dot(name, at, left, right, value)


@dataclass(frozen=True)
class _Axis:
    """A linear scale from [low, high] to [start, end] whose ends are round numbers."""

    low: float
    high: float
    step: float
    start: float
    end: float

    @staticmethod
    def over(values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        size = max(abs(low), abs(high), _NOTHING)
        if high - low < 1e-9 * size:  # as good as equal: any axis around it will do
            low, high = (low - size / 2, high + size / 2) if size > _NOTHING else (-0.5, 0.5)
        step = _round_step((high - low) / 4)
        return _Axis(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step, start, end)

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        count = round((self.high - self.low) / self.step)
        every = max(1, math.ceil(count / most))
        return [self.low + self.step * k for k in range(0, count + 1, every)]


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _tick(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    text = f"{value:.4g}" if abs(value) > 1e-9 else "0"
    return str(escape(text.replace("-", "\N{MINUS SIGN}")))
