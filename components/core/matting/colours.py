"""How likely a colour is the person's or the background's, by what is known nearby."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_CELL = 32
"""Pixels to a cell of the grid along rows and columns."""
_BINS = 16
"""Cells along each colour axis."""
_UNSEEN = 0.02
"""Added to both counts: a colour that is known of neither says nothing."""


def log_odds(colour: Floats, person: Mask, background: Mask, asked: Mask) -> Floats:
    """ln(person : background) of the pixels `asked` [H, W] (n of them): float32 [n].

    `colour` [H, W, 3] in any space. Counts of the known pixels in cells of place and colour (a bilateral grid: Chen,
    Paris, Durand 2007), blurred over neighbouring cells, read by interpolation: a histogram for each place.
    """
    low, high = colour.reshape(-1, 3).min(0), colour.reshape(-1, 3).max(0)
    scale = (_BINS - 1) / np.maximum(high - low, 1)
    shape = (person.shape[0] // _CELL + 2, person.shape[1] // _CELL + 2, _BINS, _BINS, _BINS)

    def places(mask: Mask) -> Floats:
        rows, columns = np.nonzero(mask)
        places = np.empty((5, len(rows)), np.float32)
        places[0], places[1] = rows / _CELL, columns / _CELL
        places[2:] = ((colour[rows, columns] - low) * scale).T
        return places

    at = places(asked)
    counts = [_read(_blurred(_counted(places(mask), shape)), at) for mask in (person, background)]
    return np.asarray(np.log((counts[0] + _UNSEEN) / (counts[1] + _UNSEEN)), np.float32)


def _counted(places: Floats, shape: tuple[int, ...]) -> Floats:
    cells = np.ravel_multi_index(tuple(np.rint(places).astype(np.int64)), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).astype(np.float32)


def _blurred(grid: Floats) -> Floats:
    """1 2 1 along each axis, twice along the axes of place."""
    for axis in (0, 0, 1, 1, 2, 3, 4):
        moved = np.moveaxis(grid, axis, 0)
        result = 0.5 * moved
        result[1:] += 0.25 * moved[:-1]
        result[:-1] += 0.25 * moved[1:]
        grid = np.moveaxis(result, 0, axis)
    return grid


def _read(grid: Floats, places: Floats) -> Floats:
    """Multilinear interpolation of `grid` (five axes) at `places` [5, n]: [n]."""
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(grid, places, order=1, mode="nearest"), np.float32)
