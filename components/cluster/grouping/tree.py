"""Average-linkage trees of photos, what a person has decided about them, and where to cut them.

The rule of the cut asks the same certainty whatever the number of photos. The distance between two single photos of
strangers varies; the mean distance between many photos of two people hardly does. So two photos have to be nearer to
be taken for one person than two groups of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.floating[Any]]
"""Double precision where all pairs are looked at, single where there are very many."""
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

FREE = -1


@dataclass(frozen=True)
class Rule:
    """When two groups of photos are one person: their mean distance is at most `limit`.

    `near` is the limit for two single photos, `far` the mean distance between photos of two people, `share` the part
    of the variance of strangers' distances that is between pairs of people (0..1), the rest being between photos.
    """

    near: float
    far: float
    share: float = 0.5

    def limit(self, a: Doubles, b: Doubles) -> Doubles:
        """Limit for groups of `a` and `b` photos: as many standard deviations below `far` as `near` is for one each."""
        deviation = np.sqrt(self.share + (1 - self.share) * (1 / a + 1 / b) / 2)
        return np.asarray(self.far - (self.far - self.near) * deviation, np.float64)

    @property
    def misfit(self) -> float:
        """Mean distance to its group from which a photo fits it no better than a stranger's."""
        return (self.near + self.far) / 2


@dataclass(frozen=True)
class Links:
    """What a person decided. `atom` [n]: photos with the same number stay together, FREE ones are undecided;
    `apart`: pairs of numbers that are two people."""

    atom: Labels
    apart: Sequence[tuple[int, int]] = field(default_factory=list)

    @staticmethod
    def none(n: int) -> Links:
        return Links(np.full(n, FREE, np.int64))

    def __bool__(self) -> bool:
        return bool((self.atom != FREE).any())

    def take(self, indices: Labels) -> Links:
        """The links among some of the photos."""
        return Links(self.atom[indices], self.apart)

    def renumbered(self) -> Links:
        """The same, numbered in order of the first photo: the order in which things were decided means nothing."""
        found, first = np.unique(self.atom[self.pinned], return_index=True)
        number = {int(atom): place for place, atom in enumerate(found[np.argsort(first)])}
        atom = np.asarray([number.get(int(one), FREE) for one in self.atom], np.int64)
        return Links(atom, sorted({(min(pair), max(pair)) for a, b in self.apart if a in number and b in number
                                   for pair in [(number[a], number[b])]}))

    @property
    def pinned(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.atom != FREE)

    def start(self) -> Labels:
        """Groups [n] to start from: the decided ones, and everybody else alone."""
        alone = int(self.atom.max(initial=FREE)) + 1 + np.arange(len(self.atom))
        return zero_based(np.where(self.pinned, self.atom, alone))

    def of_groups(self, labels: Labels) -> list[tuple[int, int]]:
        """Pairs of groups of `labels` that may not become one."""
        group_of = {int(atom): int(label) for atom, label in zip(self.atom, labels, strict=True) if atom != FREE}
        return [(group_of[a], group_of[b]) for a, b in self.apart if a in group_of and b in group_of]

    def broken_by(self, labels: Labels) -> bool:
        """Whether groups `labels` part who belongs together or join who does not."""
        parted = any(len(np.unique(labels[self.atom == atom])) > 1 for atom in np.unique(self.atom[self.pinned]))
        return parted or any(a == b for a, b in self.of_groups(labels))


@dataclass(frozen=True)
class Tree:
    """Merges in SciPy's form [n - 1, 4] (a, b, height, photos); height inf: forbidden."""

    merges: Doubles
    sizes: Doubles
    """Photos [n] of each leaf."""

    def cut(self, rule: Rule, scale: float = 1.0) -> Labels:
        """Groups [n] of leaves: a merge holds when it and all below it are within `scale` times the rule's limit."""
        n = len(self.sizes)
        counts = np.concatenate([self.sizes, self.merges[:, 3]])
        children = self.merges[:, :2].astype(np.int64)
        ratio = self.merges[:, 2] / rule.limit(counts[children[:, 0]], counts[children[:, 1]])
        for step, (a, b) in enumerate(children):
            below = [ratio[child - n] for child in (a, b) if child >= n]
            ratio[step] = max([ratio[step], *below])
        return self._joined(ratio <= scale)

    def cut_to(self, k: int) -> Labels:
        """Exactly k groups: `fcluster` with maxclust gives fewer where heights tie."""
        return self._joined(np.arange(len(self.merges)) < len(self.sizes) - k)

    def _joined(self, holds: npt.NDArray[np.bool_]) -> Labels:
        """Groups of leaves when the merges that `holds` marks happen; all below a merge that holds do, too."""
        n = len(self.sizes)
        parent = np.arange(2 * n - 1)
        for step in np.flatnonzero(holds):
            parent[self.merges[step, :2].astype(np.int64)] = n + step
        for node in range(2 * n - 2, -1, -1):  # from the top down, so each node's parent is already a root
            parent[node] = parent[parent[node]]
        return zero_based(parent[:n])


def tree_of(distances: Points, sizes: Doubles | None = None, apart: Sequence[tuple[int, int]] = ()) -> Tree:
    """Average linkage over leaves with `distances` [n, n]; `sizes` [n] photos each (1), `apart` pairs never joined."""
    n = len(distances)
    photos = np.ones(n) if sizes is None else sizes.astype(np.float64)
    if apart:
        return Tree(_constrained(distances, photos, apart), photos)
    merges = np.asarray(linkage(squareform(distances, checks=False), "average"))
    if sizes is not None:  # SciPy counts leaves
        counts = np.concatenate([photos, np.zeros(n - 1)])
        for step, (a, b) in enumerate(merges[:, :2].astype(np.int64)):
            merges[step, 3] = counts[n + step] = counts[a] + counts[b]
    return Tree(merges, photos)


def _constrained(distances: Points, sizes: Doubles, apart: Sequence[tuple[int, int]]) -> Doubles:
    """Average linkage in which forbidden pairs are infinitely far, and so is who has joined one of them.

    The distance to a union lies between those to its parts, so only who was nearest to a part looks again.
    """
    n = len(distances)
    far = distances.astype(np.float64)
    np.fill_diagonal(far, np.inf)
    for a, b in apart:
        far[a, b] = far[b, a] = np.inf
    counts, node = sizes.copy(), np.arange(n)
    nearest = far.argmin(axis=1)
    least = far[np.arange(n), nearest]
    alive = np.ones(n, np.bool_)
    merges = np.empty((n - 1, 4))
    for step in range(n - 1):
        a = int(np.where(alive, least, np.inf).argmin())
        b = int(nearest[a])
        if not np.isfinite(least[a]):
            a, b = (int(i) for i in np.flatnonzero(alive)[:2])
        merges[step] = node[a], node[b], far[a, b], counts[a] + counts[b]
        joined = (counts[a] * far[a] + counts[b] * far[b]) / (counts[a] + counts[b])
        far[a], far[:, a] = joined, joined
        far[b], far[:, b] = np.inf, np.inf
        far[a, a] = np.inf
        counts[a] += counts[b]
        node[a], alive[b] = n + step, False
        stale = np.flatnonzero(alive & ((nearest == a) | (nearest == b)) | (np.arange(n) == a))
        nearest[stale] = far[stale].argmin(axis=1)
        least[stale] = far[stale, nearest[stale]]
    return merges


def zero_based(labels: npt.NDArray[np.integer]) -> Labels:
    """The same groups, numbered 0, 1, ..."""
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def centres(points: Points, labels: Labels) -> Points:
    """Mean point of each group, in the precision of `points`."""
    from scipy.sparse import csr_matrix

    # A sparse product: np.add.at takes a minute for a million points.
    n = len(points)
    member = csr_matrix((np.ones(n, points.dtype), (labels, np.arange(n))), shape=(int(labels.max()) + 1, n))
    return np.asarray((member @ points) / np.bincount(labels)[:, None], points.dtype)


def distances_between(a: Points, b: Points) -> Doubles:
    """Euclidean distances [n, m], exactly symmetric and zero on the diagonal where a is b.

    In double precision, the squares rounded to twelve decimals: neither the processor's way of adding up nor the place
    of a point among the others shows, and what is equally far is so exactly.
    """
    same = a is b
    a = a.astype(np.float64)
    b = a if same else b.astype(np.float64)
    squared = a @ b.T
    squared *= -2
    squared += (a * a).sum(axis=1)[:, None]
    squared += (b * b).sum(axis=1)[None]
    distances: Doubles = np.sqrt(np.maximum(np.round(squared, 12, out=squared), 0, out=squared), out=squared)
    if same:
        distances = (distances + distances.T) * 0.5
        np.fill_diagonal(distances, 0)
    return distances
