"""Grouping where not all pairs of photos fit into memory: a million embeddings in bounded memory.

Average linkage inside coarse cells, then between the groups so found. Each round draws other cells, so that people on
a border are found together in another round; who never is counts as two people, which is the cheap error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from components.cluster.grouping.tree import (
    Doubles,
    Labels,
    Links,
    Points,
    Rule,
    Tree,
    centres,
    distances_between,
    tree_of,
)
from components.core.progress import task

_ROUNDS = 3
_FIT = 100_000
"""Groups on which the cells are drawn: they only have to be coarse."""
_NEAR_CELLS = 3
"""Cells among whose targets a point looks for the nearest one."""
_ALL_PAIRS = 10**9
"""Most pairs of points and targets that are all looked at."""
_ROWS = 1024


def by_cells(points: Points, k: int | None, rule: Rule, seed: int, links: Links, exact: int) -> Labels:
    """Groups [n] of points [n, d]; `exact` is the most leaves of one tree."""
    labels = links.start()
    with task("grouping", _ROUNDS) as shown:
        for number in range(_ROUNDS):
            groups = _Groups.of(points, labels)
            if len(groups) <= exact:
                break
            labels = _one_round(groups, rule, seed + number, links.of_groups(labels), exact)[labels]
            shown.advance()
    groups = _Groups.of(points, labels)
    if len(groups) <= exact:
        tree = groups.tree(links.of_groups(labels))
        labels = (tree.cut(rule) if k is None else tree.cut_to(min(k, len(groups))))[labels]
    return labels


def refined(points: Points, labels: Labels, links: Links) -> Labels:
    """One K-means step: every undecided photo goes to the nearest centre. Emptied groups are dropped."""
    found = np.where(links.pinned, labels, nearest_target(points, centres(points, labels))[0])
    return np.asarray(np.unique(found, return_inverse=True)[1], np.int64)


def nearest_target(points: Points, targets: Points, skip: Labels | None = None) -> tuple[Labels, Doubles]:
    """Of each point [n, d] the nearest of `targets` [m, d], as index [n] and distance [n] (inf: there is none).

    `skip` [n] is the index of a target that does not count for the point.
    Where n times m is large, it is looked for in the nearest cells of targets, not among all of them: somebody near
    a border may be missed.
    """
    small = len(points) * len(targets) <= _ALL_PAIRS
    cells = 1 if small else round(np.sqrt(len(targets)))
    model = targets[:1] if small else _drawn(targets, cells, 0)
    cell_of = _nearest(targets, model)[:, 0]
    near = _nearest(points, model, min(_NEAR_CELLS, cells))
    best, found = np.full(len(points), np.inf), np.zeros(len(points), np.int64)
    for cell in range(cells):
        own = np.flatnonzero(cell_of == cell)
        rows = np.flatnonzero((near == cell).any(axis=1))
        for part in np.array_split(rows, -(-len(rows) // _ROWS) or 1):
            if len(own) == 0 or len(part) == 0:
                continue
            distances = distances_between(points[part], targets[own])
            if skip is not None:
                distances[skip[part, None] == own[None]] = np.inf
            at = distances.argmin(axis=1)
            least = distances[np.arange(len(part)), at]
            better = least < best[part]
            best[part[better]], found[part[better]] = least[better], own[at[better]]
    return found, best


def _one_round(groups: _Groups, rule: Rule, seed: int, apart: Sequence[tuple[int, int]], exact: int) -> Labels:
    cells = -(-4 * len(groups) // exact)
    cell_of = _nearest(groups.centres, _drawn(groups.centres, cells, seed))[:, 0]
    merged, found = np.empty(len(groups), np.int64), 0
    order = np.argsort(cell_of, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(cell_of[order])) + 1):
        for part in np.array_split(members, -(-len(members) // exact)):
            own = groups.take(part)
            joined = own.tree(_inside(apart, part)).cut(rule) if len(own) > 1 else np.zeros(1, np.int64)
            merged[part] = found + joined
            found += int(joined.max()) + 1
    return merged


def _inside(apart: Sequence[tuple[int, int]], part: Labels) -> list[tuple[int, int]]:
    if not apart:
        return []
    place = {int(group): at for at, group in enumerate(part)}
    return [(place[a], place[b]) for a, b in apart if a in place and b in place]


def _drawn(points: Points, cells: int, seed: int) -> Points:
    """Centres [cells, d] of coarse cells, by K-means in batches over a sample."""
    rng = np.random.default_rng(seed)
    sample = points if len(points) <= _FIT else points[np.sort(rng.choice(len(points), _FIT, replace=False))]
    model = MiniBatchKMeans(cells, n_init=1, max_iter=20, batch_size=8192, random_state=seed)
    return np.asarray(model.fit(sample.astype(np.float64)).cluster_centers_, np.float64)


def _nearest(points: Points, targets: Points, count: int = 1) -> Labels:
    """The `count` nearest targets [n, count] of each point, in no order."""
    found = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = distances_between(points[rows], targets)
        found[rows] = (distances.argmin(axis=1)[:, None] if count == 1
                       else np.argpartition(distances, count - 1, axis=1)[:, :count])
    return found


@dataclass(frozen=True)
class _Groups:
    """Groups: `centres` [k, d], `variances` [k] (mean squared distances to the centre), `sizes` [k] in photos."""

    centres: Points
    variances: Doubles
    sizes: Doubles

    @staticmethod
    def of(points: Points, labels: Labels) -> _Groups:
        middles = centres(points, labels)
        squares = ((points - middles[labels]) ** 2).sum(axis=1)
        sizes = np.bincount(labels)
        return _Groups(middles, np.bincount(labels, squares) / sizes, sizes.astype(np.float64))

    def __len__(self) -> int:
        return len(self.centres)

    def take(self, indices: Labels) -> _Groups:
        return _Groups(self.centres[indices], self.variances[indices], self.sizes[indices])

    def tree(self, apart: Sequence[tuple[int, int]]) -> Tree:
        # Between photos of two groups the mean squared distance is that of the centres plus both variances: centres
        # alone are nearer than the photos are, and would merge people.
        spread = self.variances[:, None] + self.variances[None]
        distances = np.sqrt(distances_between(self.centres, self.centres) ** 2 + spread)
        np.fill_diagonal(distances, 0)
        return tree_of(distances, self.sizes, apart)
