"""How a detector's charts run where ours do, on the body: a small table, and how it was made.

Our charts (`body.charts`) say how places are numbered on the synthetic people. DensePose's charts were cut from another
body: seen from the front, its V does not reach the ends at the outline of a limb, its U runs a little faster here and
slower there. Real photos' maps are brought from such detectors, so maps that are made here are given in their charts.
Made from landmarks found on photos that have a detector's map (`python -m pipelines.pretraining.tables.charts --help`):
a grid of corrections per part, least absolute deviations, the same for both sides of the body.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.fitting.fitted import Floats

TABLE = Path(__file__).resolve().parents[1] / "data" / "chart-table.npz"
GRID = 5


def detected(part: NDArray[np.uint8], u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """U and V [N] as a detector has them, of places whose U and V in our charts are `u` and `v`; heads stay."""
    shift = _between(part.astype(np.intp), u, v)
    return np.clip(u + shift[:, 0], 0, 1), np.clip(v + shift[:, 1], 0, 1)


def _between(part: NDArray[np.intp], u: Floats, v: Floats) -> Floats:
    """[N, 2] the table at places between its nodes, bilinear: read at the nearest of finer ones a chart has steps, and
    cloth whose edge crosses them has teeth in a large picture."""
    rows, columns = (np.clip(x, 0, 1) * np.float32(GRID - 1) for x in (u, v))
    row, column = (np.minimum(x.astype(np.intp), GRID - 2) for x in (rows, columns))
    down, across = (rows - row)[:, None], (columns - column)[:, None]
    table, first = chart_table().reshape(-1, 2), (part * GRID + row) * GRID + column
    upper, lower = (table.take(start, axis=0) * (1 - across) + table.take(start + 1, axis=0) * across
                    for start in (first, first + GRID))
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


@lru_cache(maxsize=1)
def chart_table() -> Floats:
    """[25, GRID * GRID, 2] what is added to U and V, per part, at the nodes of a grid over U (slow) and V."""
    with np.load(TABLE) as stored:
        return np.asarray(stored["table"], np.float32)


def basis(u: Floats, v: Floats) -> Floats:
    """[N, GRID * GRID] shares of the grid's nodes, bilinear."""
    def shares(x: Floats) -> Floats:
        node = np.arange(GRID, dtype=np.float32)
        return np.asarray(np.clip(1 - np.abs(np.clip(x, 0, 1)[:, None] * (GRID - 1) - node), 0, 1), np.float32)

    return np.asarray((shares(u)[:, :, None] * shares(v)[:, None, :]).reshape(len(u), -1), np.float32)
