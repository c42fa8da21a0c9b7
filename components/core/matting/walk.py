"""Undecided pixels follow their neighbours of like colour, and what is thought of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int32]

_TRUST = 0.15
"""Weight of a pixel's prior, where that of a neighbour of the same colour is 1."""
_EDGE = 0.03
"""How fast that weight falls with the squared difference of colours (CIELAB as 8 bits)."""
_LEAST = 1e-3
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def random_walk(lab: Floats, known: Floats, asked: Mask, prior: Floats) -> Floats:
    """The random walker with priors (Grady 2005): [H, W] in 0..1, `known` where not `asked`.

    `lab` [H, W, 3]; `prior` [n] in 0..1 of the n pixels `asked`. Least squares over pairs of neighbours, eight to a
    pixel, solved directly: a narrow band costs little more than its length.
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    count = len(prior)
    number = np.full(asked.shape, -1, np.int32)
    number[asked] = np.arange(count, dtype=np.int32)
    diagonal, right = np.full(count, _TRUST), _TRUST * prior.astype(np.float64)
    rows: list[Numbers] = [np.arange(count, dtype=np.int32)]
    columns, values = rows.copy(), [diagonal]
    for one, other in _pairs(asked.shape):
        near = (number[one] >= 0) | (number[other] >= 0)
        weight = np.exp(-_EDGE * np.square(lab[one][near] - lab[other][near]).sum(-1, dtype=np.float64)) + _LEAST
        ends = number[one][near], number[other][near]
        fixed = known[one][near], known[other][near]
        both = (ends[0] >= 0) & (ends[1] >= 0)
        for k in (0, 1):
            mine = ends[k] >= 0
            diagonal += np.bincount(ends[k][mine], weight[mine], count)
            outward = mine & ~both
            right += np.bincount(ends[k][outward], (weight * fixed[1 - k])[outward], count)
            rows.append(ends[k][both])
            columns.append(ends[1 - k][both])
            values.append(-weight[both])
    matrix = csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                        shape=(count, count))
    # Symmetric and diagonally dominant: no pivoting is needed, and an order made for that keeps the factors thin.
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    result = known.copy()
    result[asked] = factors.solve(right)
    return np.clip(result, 0, 1)


def _pairs(shape: tuple[int, ...]) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """For each direction the slices of the pixels and of their neighbours."""
    height, width = shape
    return [((slice(0, max(0, height - down)), slice(max(0, -right), width - max(0, right))),
             (slice(down, height), slice(max(0, right), width - max(0, -right)))) for down, right in _STEPS]
