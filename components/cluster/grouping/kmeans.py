"""K-means from given groups, without chance.

Lloyd's steps in double precision. scikit-learn's add up in an order that follows the number of threads, and move an
emptied group to wherever somebody is farthest from theirs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.cluster.grouping.tree import Labels, Points, centres, distances_between

_NEARER = 1e-4
"""A photo changes its group where another centre is nearer by more than this share: never for rounding's sake."""
_MOST_STEPS = 100


def k_means(points: Points, start: Labels, pinned: npt.NDArray[np.bool_]) -> Labels:
    """Groups [n] of points [n, d], from the groups `start` (0..k-1, none empty), all of which remain.

    `pinned` photos stay where they are. So does, in a group that everybody would leave, who is nearest its centre.
    """
    labels, rows = start.copy(), np.arange(len(points))
    for _ in range(_MOST_STEPS):
        distances = distances_between(points, centres(points, labels))
        own, nearest = distances[rows, labels], distances.argmin(axis=1)
        moves = ~pinned & (distances[rows, nearest] < own * (1 - _NEARER))
        emptied = np.bincount(labels, moves) == np.bincount(labels)
        for group in np.flatnonzero(emptied):
            members = np.flatnonzero(labels == group)
            moves[members[own[members].argmin()]] = False
        if not moves.any():
            break
        labels[moves] = nearest[moves]
    return labels
