"""From face embeddings to groups of photos of one person.

K-means, average linkage or HDBSCAN, all tuned for precision: two people taken for one poison the training pairs, one
person taken for two only loses some.

How many people there are is found by silhouette over candidates, with two departures that data of this kind need.
Most people may have a single photo, for which the silhouette is undefined (commonly 0, which rewards merging
strangers): here the embedder's same-person distance stands in for the distance to the photo's own group. And no
candidate merges groups that are further apart, on average, than that distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans

from components.core.errors import SettingsError

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Method = Literal["kmeans", "average", "hdbscan"]

SET_ASIDE = -1
EXACT = 4000
"""Most photos for which all pairs of distances are held in memory (64 MB); beyond, cells of about a quarter."""
_ROUNDS = 3
_CANDIDATES = 12
_FINEST = 0.6
"""Finest candidate: groups at this share of the same-person distance are already apart."""


@dataclass(frozen=True)
class Clusters:
    """Groups of photos. `labels` [n] are 0..k-1 in order of first photo, or SET_ASIDE; `confidence` [n] in 0..1."""

    labels: Labels
    confidence: Floats
    k: int
    silhouette: float
    """Mean over photos, a single photo measured against the same-person distance."""


def assign(embeddings: Floats, method: Method, k: int | None, same_person: float, seed: int) -> Clusters:
    """Group embeddings [n, d] by person.

    `k` is the number of people, None to find it; `same_person` is the distance between two embeddings below which
    they are rather one person. Deterministic. Raises `SettingsError` where k is over n, or given to HDBSCAN.
    """
    n = len(embeddings)
    if k is not None and k > n:
        raise SettingsError(f"cluster.identities = {k}, but only {n} photos show a face",
                            remedy="leave cluster.identities out and it is found")
    if k is not None and method == "hdbscan":
        raise SettingsError("cluster.identities has no meaning for hdbscan, which finds the number itself",
                            remedy="use cluster.method=kmeans, or leave cluster.identities out")
    points = np.ascontiguousarray(embeddings, np.float32)
    if n == 1:
        labels = np.zeros(1, np.int64)
    elif method == "hdbscan":
        labels = _hdbscan(points, same_person)
    elif n > EXACT:
        labels = _by_cells(points, k, same_person, seed)
        labels = _k_means(points, labels, seed) if method == "kmeans" else labels
    else:
        labels = _exact(points, method, k, same_person, seed)
    labels = _by_first_photo(labels)
    kept = np.flatnonzero(labels != SET_ASIDE)
    confidence = np.zeros(n, np.float32)
    silhouettes = silhouette(points[kept], labels[kept], same_person)
    confidence[kept] = np.clip(silhouettes, 0, 1)
    mean = float(silhouettes.mean()) if len(kept) else 0.0
    return Clusters(labels, confidence, int(labels.max(initial=-1)) + 1, mean)


def silhouette(points: Floats, labels: Labels, same_person: float) -> Floats:
    """Silhouette [n] in -1..1 of each photo: how much nearer its own group is than the nearest other one.

    (b - a) / max(a, b), a the mean distance to the photo's own group, b the least mean distance to another. A group of
    one has a = `same_person`. With one group only, b is twice `same_person`. Above EXACT photos the distances to the
    groups' centres stand for mean distances (the simplified silhouette).
    """
    n = len(points)
    if n == 0:
        return np.zeros(0, np.float32)
    k = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=k).astype(np.float32)
    own, nearest = np.empty(n, np.float32), np.empty(n, np.float32)
    exact = n <= EXACT
    order = np.argsort(labels, kind="stable")
    place = np.argsort(order)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64)
    targets = points[order] if exact else _centres(points, labels)
    for start in range(0, n, 1024):
        rows = slice(start, min(start + 1024, n))
        distances = _distances(points[rows], targets)
        if exact:  # means over groups; a photo's distance to itself does not count
            distances[np.arange(len(distances)), place[rows]] = 0
            distances = np.add.reduceat(distances, starts, axis=1)
            mine = labels[rows]
            divisor = np.repeat(sizes[None], len(mine), axis=0)
            divisor[np.arange(len(mine)), mine] = np.maximum(sizes[mine] - 1, 1)
            distances = distances / divisor
        at = np.arange(len(distances)), labels[rows]
        own[rows] = distances[at]
        distances[at] = np.inf
        nearest[rows] = distances.min(axis=1)
    own[sizes[labels] == 1] = same_person
    nearest[np.isinf(nearest)] = 2 * same_person
    scores: Floats = ((nearest - own) / np.maximum(np.maximum(nearest, own), 1e-9)).astype(np.float32)
    return scores


def _exact(points: Floats, method: Method, k: int | None, same_person: float, seed: int) -> Labels:
    tree = _tree(points)
    finish: Callable[[Labels], Labels] = (lambda start: _k_means(points, start, seed)) if method == "kmeans" else _same
    if k is not None:
        return finish(_cut_to(tree, k))
    best, best_score = None, -np.inf
    for height in same_person * np.linspace(1.0, _FINEST, _CANDIDATES):
        labels = finish(_zero_based(fcluster(tree, height, "distance")))
        score = float(silhouette(points, labels, same_person).mean())
        if score > best_score + 1e-6:
            best, best_score = labels, score
    assert best is not None
    return best


def _by_cells(points: Floats, k: int | None, same_person: float, seed: int) -> Labels:
    """Average linkage where all pairs do not fit: inside coarse cells, then between the groups so found.

    Each round draws other cells, so that people on a border are found together in another round; who never is counts
    as two people, which is the cheap error.
    """
    labels = np.arange(len(points))
    for number in range(_ROUNDS):
        groups = _Groups.of(points, labels)
        if len(groups) <= EXACT:
            break
        cells = -(-4 * len(groups) // EXACT)
        cell_of = MiniBatchKMeans(cells, n_init=1, random_state=seed + number).fit_predict(groups.centres)
        merged, found = np.empty(len(groups), np.int64), 0
        for cell in range(cells):
            members = np.flatnonzero(cell_of == cell)
            for part in np.array_split(members, -(-len(members) // EXACT) or 1):
                merged[part] = found + groups.take(part).joined(same_person)
                found += len(np.unique(merged[part]))
        labels = merged[labels]
    groups = _Groups.of(points, labels)
    if len(groups) <= EXACT:
        labels = (groups.joined(same_person) if k is None else groups.joined_to(min(k, len(groups))))[labels]
    return labels


@dataclass(frozen=True)
class _Groups:
    """Groups of photos by their `centres` [k, d] and `variances` [k], mean squared distances to the centre."""

    centres: Floats
    variances: Floats

    @staticmethod
    def of(points: Floats, labels: Labels) -> _Groups:
        centres = _centres(points, labels)
        squares = ((points - centres[labels]) ** 2).sum(axis=1)
        return _Groups(centres, (np.bincount(labels, squares) / np.bincount(labels)).astype(np.float32))

    def __len__(self) -> int:
        return len(self.centres)

    def take(self, indices: Labels) -> _Groups:
        return _Groups(self.centres[indices], self.variances[indices])

    def joined(self, same_person: float) -> Labels:
        """Groups of groups that are less than `same_person` apart on average."""
        if len(self) < 2:
            return np.zeros(len(self), np.int64)
        return _zero_based(fcluster(self._tree(), same_person, "distance"))

    def joined_to(self, k: int) -> Labels:
        return _cut_to(self._tree(), k)

    def _tree(self) -> npt.NDArray[np.float64]:
        # Between photos of two groups the mean squared distance is that of the centres plus both variances: centres
        # alone are nearer than the photos are, and would merge people.
        spread = self.variances[:, None] + self.variances[None]
        distances = np.sqrt(_distances(self.centres, self.centres) ** 2 + spread)
        np.fill_diagonal(distances, 0)
        return np.asarray(linkage(squareform(distances, checks=False), "average"))


def _k_means(points: Floats, start: Labels, seed: int) -> Labels:
    """K-means from the centres of the groups `start`; a group that loses all its photos is dropped."""
    centres = _centres(points, start)
    model = KMeans(len(centres), init=centres, n_init=1, random_state=seed)
    return _zero_based(model.fit_predict(points))


def _hdbscan(points: Floats, same_person: float) -> Labels:
    """HDBSCAN's groups, each cut where it is looser than one person; who is left alone by that is set aside too."""
    found = HDBSCAN(min_cluster_size=2, min_samples=1, copy=True).fit_predict(points)
    labels = np.full(len(points), SET_ASIDE, np.int64)  # HDBSCAN's noise stays so
    for group in range(int(found.max(initial=-1)) + 1):
        members = np.flatnonzero(found == group)
        parts = _zero_based(fcluster(_tree(points[members]), same_person, "distance"))
        several = np.bincount(parts)[parts] > 1
        labels[members[several]] = int(labels.max()) + 1 + parts[several]
    return labels


def _same(labels: Labels) -> Labels:
    return labels


def _tree(points: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(linkage(squareform(_distances(points, points), checks=False), "average"))


def _cut_to(tree: npt.NDArray[np.float64], k: int) -> Labels:
    """Exactly k groups: `fcluster` with maxclust gives fewer where heights tie."""
    n = len(tree) + 1
    parent = np.arange(2 * n - 1)
    for step, (a, b) in enumerate(tree[: n - k, :2].astype(np.int64)):
        parent[[a, b]] = n + step
    for node in range(2 * n - 2, -1, -1):  # from the top down, so each node's parent is already a root
        parent[node] = parent[parent[node]]
    return _zero_based(parent[:n])


def _zero_based(labels: npt.NDArray[np.integer]) -> Labels:
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _by_first_photo(labels: Labels) -> Labels:
    """Number the groups in order of their first photo."""
    renamed = np.full_like(labels, SET_ASIDE)
    names, firsts = np.unique(labels, return_index=True)
    in_order = [name for name in names[np.argsort(firsts)] if name != SET_ASIDE]
    for new, old in enumerate(in_order):
        renamed[labels == old] = new
    return renamed


def _centres(points: Floats, labels: Labels) -> Floats:
    sums = np.zeros((int(labels.max()) + 1, points.shape[1]), np.float64)
    np.add.at(sums, labels, points)
    return (sums / np.bincount(labels)[:, None]).astype(np.float32)


def _distances(a: Floats, b: Floats) -> Floats:
    """Euclidean distances [n, m], exactly symmetric and zero on the diagonal where a is b."""
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None] - 2 * (a @ b.T)
    distances: Floats = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
    if a is b:
        distances = (distances + distances.T) * np.float32(0.5)
        np.fill_diagonal(distances, 0)
    return distances
