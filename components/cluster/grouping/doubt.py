"""Photos that the rule of the cut cannot place: covered faces, and small groups near another one.

A covered face is farther from its person's other photos than the rule allows, and nearer to them than to anybody
else's: it joins the nearest person where both hold by a margin, and is nobody's where they do not. A group of one or
two photos that is hardly farther from another person than that person's own photos may be the same person: it stays a
person of its own, and follows the other one through the split.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from components.cluster.grouping.tree import Doubles, Labels, Points, Rule, distances_between

SET_ASIDE = -1
SMALL = 2
"""Most photos of a group that may be doubtful."""
_CLEARLY = 0.89
"""A covered face joins whose photos are no misfits' distance away, and at most this share of the distance to anybody
else. Of 50 portraits with sunglasses or masks of six kinds drawn on none is that near to a stranger when their own
person is left out (.90 at least, 5 % below .93); to their own person the median is .77."""
_CHANCE = 0.25
"""Probability that a group of strangers is doubtful, were their distances normally distributed. It costs them little:
they share a split."""
_ROWS = 512


@dataclass(frozen=True)
class Nearest:
    """Of each of n photos: the nearest group, the mean distances to it and to the next one (inf: there is none)."""

    group: Labels
    distance: Doubles
    next: Doubles

    def joins(self, rule: Rule) -> npt.NDArray[np.bool_]:
        """Who is that person by a margin, covered as they are."""
        return np.asarray((self.distance <= rule.misfit) & (self.distance <= _CLEARLY * self.next))

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """0..1, as a silhouette."""
        own = np.where(np.isfinite(self.distance), self.distance, 0.0)
        far = np.where(np.isfinite(self.next), self.next, 2 * own)
        return np.asarray(np.round(np.clip(1 - own / np.maximum(far, 1e-9), 0, 1), 4), np.float32)


def nearest_groups(some: Points, points: Points, labels: Labels, without: Labels | None = None) -> Nearest:
    """The groups nearest to `some` photos [n, d] by mean distance, among those of `points` [m, d] with `labels` [m].

    `without` [n]: for each of them the index of a point that does not count, itself.
    """
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] != SET_ASIDE]
    names, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    rows = []
    for at in range(0, len(some), _ROWS):
        distances = distances_between(some[at : at + _ROWS], points)
        sums = np.add.reduceat(distances[:, order], starts, axis=1)
        counts = np.tile(sizes.astype(np.float64), (len(sums), 1))
        if without is not None:
            skip = without[at : at + _ROWS]
            group = np.searchsorted(names, labels[skip])
            here = np.arange(len(sums))
            sums[here, group] -= distances[here, skip]
            counts[here, group] -= 1
        rows.append(np.where(counts > 0, sums / np.maximum(counts, 1), np.inf))
    means = np.concatenate([*rows, np.zeros((0, len(names)))])
    if not len(names):
        nowhere = np.full(len(some), np.inf)
        return Nearest(np.full(len(some), SET_ASIDE, np.int64), nowhere, nowhere)
    nearest = means.argmin(axis=1)
    distance = means[np.arange(len(means)), nearest]
    means[np.arange(len(means)), nearest] = np.inf
    return Nearest(np.asarray(names[nearest], np.int64), distance, means.min(axis=1, initial=np.inf))


def doubtful(points: Points, labels: Labels, rule: Rule, spread: float) -> dict[int, tuple[int, float]]:
    """Small group -> the group that it may belong to, and the mean distance between the two.

    `spread` is the standard deviation of strangers' distances. The more groups, the nearer the nearest one is by
    chance, so the less is doubtful.
    """
    sizes = np.bincount(labels[labels != SET_ASIDE])
    chance = rule.far + NormalDist().inv_cdf(_CHANCE / max(len(sizes) - 1, 2)) * spread
    found: dict[int, tuple[int, float]] = {}
    for group in np.flatnonzero((sizes > 0) & (sizes <= SMALL)).tolist():
        means = _to_others(points, labels, group, len(sizes))
        other = int(means.argmin())
        limit = rule.limit(np.asarray([float(sizes[group])]), np.asarray([float(sizes[other])]))[0]
        if means[other] <= max(float(limit), chance):
            found[group] = other, round(float(means[other]), 6)
    return found


def _to_others(points: Points, labels: Labels, group: int, groups: int) -> npt.NDArray[np.floating[Any]]:
    distances = distances_between(points[labels == group], points).mean(axis=0)
    kept = labels != SET_ASIDE
    sums = np.bincount(labels[kept], distances[kept], groups)
    means = np.asarray(sums / np.maximum(np.bincount(labels[kept], minlength=groups), 1))
    means[group] = np.inf
    return means
