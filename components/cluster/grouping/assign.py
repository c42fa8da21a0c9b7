"""From face embeddings to groups of photos of one person.

K-means, average linkage or HDBSCAN, all tuned for precision: two people taken for one poison the training pairs, one
person taken for two only loses some.

How many people there are is found by silhouette over candidates, with two departures that data of this kind need.
Most people may have a single photo, for which the silhouette is undefined (commonly 0, which rewards merging
strangers): here the embedder's same-person distance stands in for the distance to the photo's own group. And no
candidate merges groups that `tree.Rule` takes for two people.

The same photos give the same groups, whatever their order and names and on whatever machine: they are looked at in
the order of what they hold, in double precision, and there is no chance in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.cluster import HDBSCAN

from components.cluster.grouping.cells import by_cells, nearest_target, refined
from components.cluster.grouping.kmeans import k_means
from components.cluster.grouping.tree import (
    FREE,
    Doubles,
    Floats,
    Labels,
    Links,
    Points,
    Rule,
    centres,
    distances_between,
    tree_of,
    zero_based,
)
from components.core.errors import SettingsError

Method = Literal["kmeans", "average", "hdbscan"]

SET_ASIDE = -1
EXACT = 4000
"""Most photos for which all pairs of distances are held in memory (128 MB); beyond, cells of about a quarter."""
_CANDIDATES = 12
_FINEST = 0.6
"""Finest candidate: groups at this share of the same-person distance are already apart."""


@dataclass(frozen=True)
class Clusters:
    """Groups of photos. `labels` [n] are 0..k-1 in order of first photo (by key), or SET_ASIDE; `confidence` [n] in
    0..1, to four decimals."""

    labels: Labels
    confidence: Floats
    k: int
    silhouette: float
    """Mean over photos, a single photo measured against the same-person distance."""


def assign(embeddings: Floats, method: Method, k: int | None, rule: Rule, seed: int,
           links: Links | None = None, keys: Sequence[str] | None = None) -> Clusters:
    """Group embeddings [n, d] by person.

    `k` is the number of people, None to find it; `rule` says which groups are one person; `links` is what was decided
    by hand and holds whatever the distances. `keys` [n] follow the photos' content: in whatever order photos with
    keys come, each is in the same group. Photos that fit their group no better than a stranger's do are set
    aside. Deterministic; `seed` draws the cells of more than EXACT photos. Raises `SettingsError` where k is over n,
    given to HDBSCAN, or contradicts the links.
    """
    n = len(embeddings)
    _check(n, method, k)
    order = np.arange(n) if keys is None else np.argsort(np.asarray(keys), kind="stable")
    decided = (links or Links.none(n)).take(order).renumbered()
    points: Points = embeddings[order].astype(np.float64 if n <= EXACT else np.float32, copy=False)
    labels = by_first_photo(_grouped(points, method, k, rule, seed, decided))
    kept = np.flatnonzero(labels != SET_ASIDE)
    silhouettes = silhouette(points[kept], labels[kept], rule.near)
    confidence, sorted_back = np.zeros(n, np.float32), np.empty(n, np.int64)
    confidence[order[kept]] = np.round(np.clip(silhouettes, 0, 1), 4)
    sorted_back[order] = labels
    mean = round(float(silhouettes.mean()), 6) if len(kept) else 0.0
    return Clusters(sorted_back, confidence, int(labels.max(initial=-1)) + 1, mean)


def _grouped(points: Points, method: Method, k: int | None, rule: Rule, seed: int, links: Links) -> Labels:
    """Groups [n] of points in order of their keys."""
    if len(points) == 1:
        labels = np.zeros(1, np.int64)
    elif method == "hdbscan":
        labels = respecting(_hdbscan(points, rule), links)
    elif len(points) > EXACT:
        labels = by_cells(points, k, rule, seed, links, EXACT)
        labels = refined(points, labels, links) if method == "kmeans" else labels
    else:
        labels = _exact(points, method, k, rule, links)
    if k is not None and links.broken_by(labels):
        raise SettingsError(f"cluster.identities = {k} contradicts what was decided by hand",
                            remedy="leave cluster.identities out, or `photoshoot identities undo`")
    return _without_misfits(points, labels, rule, links)


def _check(n: int, method: Method, k: int | None) -> None:
    if k is not None and k > n:
        raise SettingsError(f"cluster.identities = {k}, but only {n} photos show a face",
                            remedy="leave cluster.identities out and it is found")
    if k is not None and method == "hdbscan":
        raise SettingsError("cluster.identities has no meaning for hdbscan, which finds the number itself",
                            remedy="use cluster.method=kmeans, or leave cluster.identities out")


def silhouette(points: Points, labels: Labels, same_person: float) -> Doubles:
    """Silhouette [n] in -1..1 of each photo: how much nearer its own group is than the nearest other one.

    (b - a) / max(a, b), a the mean distance to the photo's own group, b the least mean distance to another. A group of
    one has a = `same_person`. With one group only, b is twice `same_person`. Above EXACT photos the distances to the
    groups' centres stand for mean distances (the simplified silhouette).
    """
    n = len(points)
    if n == 0:
        return np.zeros(0)
    k = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=k)
    if n <= EXACT:
        means = _mean_distances(points, labels)
        at = np.arange(n), labels
        # A photo's distance to itself is no part.
        own = means[at] * sizes[labels] / np.maximum(sizes[labels] - 1, 1)
        means[at] = np.inf
        nearest = means.min(axis=1)
    else:
        own, nearest = _to_centres(points, labels)
    own[sizes[labels] == 1] = same_person
    nearest[np.isinf(nearest)] = 2 * same_person
    return np.asarray((nearest - own) / np.maximum(np.maximum(nearest, own), 1e-9))


def _mean_distances(points: Points, labels: Labels) -> Doubles:
    """Mean distance [n, k] of each photo to each group, itself included with distance 0."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1])])
    sums = np.add.reduceat(distances_between(points, points)[:, order], starts, axis=1)
    return np.asarray(sums / sizes)


def _to_centres(points: Points, labels: Labels) -> tuple[Doubles, Doubles]:
    """Distance [n] to the own centre and to the nearest other one."""
    targets = centres(points, labels)
    own = np.sqrt(((points - targets[labels]) ** 2).sum(axis=1))
    return np.asarray(own, np.float64), nearest_target(points, targets, labels)[1]


def _exact(points: Points, method: Method, k: int | None, rule: Rule, links: Links) -> Labels:
    start = links.start()
    if len(np.unique(start)) < len(points):  # decided groups are the leaves
        sizes = np.bincount(start)
        member = np.eye(len(sizes))[start] / sizes[start, None]
        distances = np.asarray(member.T @ distances_between(points, points) @ member)
        np.fill_diagonal(distances, 0)
    else:
        sizes, distances = np.ones(len(points), np.int64), distances_between(points, points)
    if len(sizes) == 1:
        return np.zeros(len(points), np.int64)
    tree = tree_of(np.round((distances + distances.T) * 0.5, 12), sizes.astype(np.float64), links.of_groups(start))

    def finish(of_leaves: Labels) -> Labels:
        labels = of_leaves[start]
        return zero_based(k_means(points, labels, links.pinned)) if method == "kmeans" else labels

    if k is not None:
        return finish(tree.cut_to(min(k, len(sizes))))
    best, best_score = None, -np.inf
    for scale in np.linspace(1.0, _FINEST, _CANDIDATES):
        labels = finish(tree.cut(rule, float(scale)))
        score = float(silhouette(points, labels, rule.near).mean())
        if score > best_score + 1e-6:
            best, best_score = labels, score
    assert best is not None
    return best


def _hdbscan(points: Points, rule: Rule) -> Labels:
    """HDBSCAN's groups, each cut where it is looser than one person; who is left alone by that is set aside too."""
    few = len(points) <= EXACT
    model = HDBSCAN(min_cluster_size=2, min_samples=1, copy=True, metric="precomputed" if few else "euclidean")
    found = model.fit_predict(distances_between(points, points) if few else points)
    labels = np.full(len(points), SET_ASIDE, np.int64)  # HDBSCAN's noise stays so
    for group in range(int(found.max(initial=-1)) + 1):
        members = np.flatnonzero(found == group)
        own = points[members]
        parts = tree_of(distances_between(own, own)).cut(rule)
        several = np.bincount(parts)[parts] > 1
        labels[members[several]] = int(labels.max()) + 1 + parts[several]
    return labels


def respecting(labels: Labels, links: Links) -> Labels:
    """Groups that keep to the links: the largest decided group goes first and takes the group most of it is in."""
    labels = labels.copy()
    holders: dict[int, list[int]] = {}
    apart = {pair for a, b in links.apart for pair in ((a, b), (b, a))}
    atoms, counts = np.unique(links.atom[links.pinned], return_counts=True)
    for atom in atoms[np.argsort(-counts, kind="stable")]:
        members = links.atom == atom
        inside = labels[members & (labels != SET_ASIDE)]
        goal = int(np.bincount(inside).argmax()) if len(inside) else int(labels.max()) + 1
        if any((int(atom), other) in apart for other in holders.get(goal, [])):
            goal = int(labels.max()) + 1
        holders.setdefault(goal, []).append(int(atom))
        labels[members] = goal
    return labels


def _without_misfits(points: Points, labels: Labels, rule: Rule, links: Links) -> Labels:
    """Set aside who is as far from its group as a stranger, where most of the group is not (K-means with k given)."""
    kept = np.flatnonzero(labels != SET_ASIDE)
    if len(kept) == 0 or len(points) > EXACT:  # cells leave such photos alone, as people of one photo
        return labels
    own = labels[kept]
    sizes = np.bincount(own)
    means = _mean_distances(points[kept], zero_based(own))[np.arange(len(kept)), zero_based(own)]
    over = (means * sizes[own] / np.maximum(sizes[own] - 1, 1) > rule.misfit) & (links.atom[kept] == FREE)
    share = np.bincount(own, over, minlength=len(sizes)) / np.maximum(sizes, 1)
    labels = labels.copy()
    labels[kept[over & (share[own] < 0.5)]] = SET_ASIDE
    return labels


def by_first_photo(labels: Labels) -> Labels:
    """Number the groups in order of their first photo."""
    names, firsts, inverse = np.unique(labels, return_index=True, return_inverse=True)
    firsts = np.where(names == SET_ASIDE, -1, firsts)  # first of all, so that it becomes -1 below
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(firsts)] = np.arange(len(names)) - int(SET_ASIDE in names)
    return np.asarray(rank[inverse], np.int64)
