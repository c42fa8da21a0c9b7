"""Covered faces among the others: grouped without them, then joined where it is plain whose they are.

Whether that can be relied on with these people is tried on themselves first: covers are drawn on faces that are bare
and whose person is known, the control of what is done about covered faces. One that would join somebody else, and in
this run every covered face is set aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.cluster.faces.covered import COVERS, Cover, Pixels, cover_of, with_cover
from components.cluster.grouping.assign import SET_ASIDE, Clusters
from components.cluster.grouping.doubt import Nearest, doubtful, nearest_groups
from components.cluster.grouping.tree import Floats, Labels, Rule
from components.core.faces.head import CHIP

_TRIED = 12
"""Faces on which covers are drawn, spread over the people."""
SAID = {"eyes": "the eyes are covered", "mouth": "the mouth is covered"}

Embed = Callable[[Sequence[Pixels]], Floats]


@dataclass(frozen=True)
class Control:
    """What became of faces with covers drawn on, each compared with its person's other photos."""

    tried: int
    noticed: int
    """Of how many it was seen that they are covered."""
    right: int
    """Joined to their own person."""
    aside: int
    """Set aside, since it is not plain whose they are."""
    wrong: int
    """Joined to somebody else."""

    @property
    def behaved(self) -> bool:
        """Nobody was taken for somebody else."""
        return self.wrong == 0


@dataclass(frozen=True)
class Covered:
    """How many faces are covered, and what became of them."""

    noticed: int
    joined: int
    set_aside: int
    control: Control | None
    """None: nobody has the three bare photos that it needs."""


def bare(covers: npt.NDArray[np.str_], pinned: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which faces [n] make the groups: those that are not covered, or about which something was decided by hand. All,
    where everybody's is covered."""
    kept = covers == ""
    return kept | pinned if kept.any() else np.ones(len(covers), np.bool_)


def plain_groups(points: Floats, clusters: Clusters, rule: Rule, spread: float) -> Labels:
    """The groups that covered faces are compared with: not those that may be part of another (`doubt.doubtful`), next
    to which nobody would be plainly the other's."""
    doubts = list(doubtful(points, clusters.labels, rule, spread))
    return np.where(np.isin(clusters.labels, doubts), SET_ASIDE, clusters.labels)


def join_covered(points: Floats, kept: npt.NDArray[np.bool_], clusters: Clusters, plain: Labels, rule: Rule,
                 control: Control | None) -> tuple[Clusters, Covered]:
    """The groups of all faces: `clusters` are those of the `kept` ones; the others join one of the `plain` ones by
    `Nearest.joins`, or are set aside."""
    labels = np.full(len(points), SET_ASIDE, np.int64)
    confidence = np.zeros(len(points), np.float32)
    labels[kept], confidence[kept] = clusters.labels, clusters.confidence
    others = np.flatnonzero(~kept)
    joined = 0
    if control is None or control.behaved:
        near = nearest_groups(points[others], points[kept], plain)
        joins = near.joins(rule)
        labels[others[joins]], confidence[others[joins]] = near.group[joins], near.confidence[joins]
        joined = int(joins.sum())
    found = Covered(len(others), joined, len(others) - joined, control)
    return Clusters(labels, confidence, clusters.k, clusters.silhouette), found


def try_covers(points: Floats, labels: Labels, face: Callable[[int], Pixels], embed: Embed, rule: Rule,
               among: npt.NDArray[np.bool_]) -> Control | None:
    """Draw covers on bare faces `among` the grouped ones; `points` [n, d] and `labels` [n] are theirs, `face` gives the
    aligned face of one by its place."""
    chosen = _spread(np.where(among, labels, SET_ASIDE))
    drawn: list[Pixels] = []
    whose: list[int] = []
    for at in chosen:
        chip = face(at)
        if chip.shape == (CHIP, CHIP, 3):
            drawn += [with_cover(chip, cover) for cover in COVERS]
            whose += [at] * len(COVERS)
    if not drawn:
        return None
    own = np.asarray(whose, np.int64)
    near: Nearest = nearest_groups(embed(drawn), points, labels, own)
    joins, right = near.joins(rule), near.group == labels[own]
    seen: list[Cover | None] = [cover_of(chip) for chip in drawn]
    return Control(len(drawn), sum(one is not None for one in seen), int((joins & right).sum()), int((~joins).sum()),
                   int((joins & ~right).sum()))


def _spread(labels: Labels) -> list[int]:
    """Places of a few faces, one of each person in turn, of people who have three."""
    sizes = np.bincount(labels[labels != SET_ASIDE])
    turns: Counter[int] = Counter()
    order: list[tuple[int, int]] = []
    for at in np.flatnonzero(labels != SET_ASIDE).tolist():
        label = int(labels[at])
        if sizes[label] >= 3:
            order.append((turns[label], at))
            turns[label] += 1
    return [at for _, at in sorted(order)[:_TRIED]]
