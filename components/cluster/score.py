"""How well groups agree with known identities. Labels are used here and nowhere else.

BCubed (Bagga and Baldwin, 1998): for each photo, the share of its group that is the same person (precision) and the
share of that person's photos that are in its group (recall), averaged over photos. Pairwise: the same over all
unordered pairs of photos.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and their harmonic mean, each in 0..1. None: undefined, no pairs to be right about."""

    precision: float | None
    recall: float | None
    f: float | None


def bcubed(found: Sequence[Hashable], truth: Sequence[Hashable]) -> Agreement:
    """BCubed agreement of two labellings of the same photos. Raises ValueError for different lengths."""
    both, in_group, in_person = _sizes(found, truth)
    if len(both) == 0:
        return Agreement(None, None, None)
    return _agreement(float((both / in_group).mean()), float((both / in_person).mean()))


def pairwise(found: Sequence[Hashable], truth: Sequence[Hashable]) -> Agreement:
    """Agreement over pairs of photos. Raises ValueError for different lengths."""
    both, in_group, in_person = _sizes(found, truth)
    # Summed over photos, each pair counts twice on both sides of the quotient.
    right, claimed, real = (int((sizes - 1).sum()) for sizes in (both, in_group, in_person))
    return _agreement(right / claimed if claimed else None, right / real if real else None)


def _agreement(precision: float | None, recall: float | None) -> Agreement:
    if precision is None or recall is None:
        return Agreement(precision, recall, None)
    total = precision + recall
    return Agreement(precision, recall, 2 * precision * recall / total if total else 0.0)


def _sizes(found: Sequence[Hashable], truth: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per photo: photos in both its group and its person, in its group, of its person."""
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} labels against {len(truth)}")
    groups, people = _numbered(found), _numbered(truth)
    cells = groups * (people.max(initial=0) + 1) + people
    return _count(cells), _count(groups), _count(people)


def _numbered(labels: Sequence[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.asarray([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)


def _count(labels: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse], np.int64)
