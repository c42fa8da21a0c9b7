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
_FINE = 65


def detected(part: NDArray[np.uint8], u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """U and V [N] as a detector has them, of places whose U and V in our charts are `u` and `v`; heads stay."""
    row, column = (np.rint(x * (_FINE - 1)).astype(np.intp) for x in (u, v))
    shift = _fine_table().take((part.astype(np.intp) * _FINE + row) * _FINE + column, axis=0)
    return np.clip(u + shift[:, 0], 0, 1), np.clip(v + shift[:, 1], 0, 1)


@lru_cache(maxsize=1)
def _fine_table() -> Floats:
    """[25 * 65 * 65, 2] the table read between its nodes: a look-up instead of an interpolation per pixel."""
    u, v = (x.ravel() for x in np.meshgrid(*[np.linspace(0, 1, _FINE, dtype=np.float32)] * 2, indexing="ij"))
    return np.asarray(basis(u, v) @ chart_table(), np.float32).reshape(-1, 2)


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
