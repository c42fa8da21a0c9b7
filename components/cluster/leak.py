"""Whether somebody is on both sides of the split: the nearest pair of faces across it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from components.cluster.grouping.cells import nearest_target
from components.cluster.grouping.tree import Points
from components.core.errors import InputError
from components.core.faces.recognition import FaceEmbedder

_CHANCE = 0.05
"""Probability that strangers alone come nearer than the threshold, were their distances normally distributed."""
_NEARER = 0.8
"""The threshold is at most this share of the same-person distance: what is nearer should have been one identity."""


@dataclass(frozen=True)
class Across:
    """The nearest pair of faces of which one is trained on and the other held out, and how near is too near."""

    train_photo: str
    train_identity: str
    held_out_photo: str
    held_out_identity: str
    distance: float
    threshold: float
    """0: never too near."""

    def check(self) -> None:
        """Raises `InputError` that names both photos where they are nearer than the threshold."""
        if self.distance < self.threshold:
            raise InputError(
                f"the same face seems to be trained on and held out: {self.train_photo} ({self.train_identity}) and "
                f"{self.held_out_photo} ({self.held_out_identity}) are {self.distance:.3f} apart, nearer than "
                f"{self.threshold:.3f}",
                remedy=f"`photoshoot identities merge {self.train_identity} {self.held_out_identity}` if it is one "
                       "person, `photoshoot identities set-aside` a bad photo, or a smaller cluster.leak_distance if "
                       "they are two")


def threshold(embedder: FaceEmbedder, same_person: float, pairs: int) -> float:
    """How near is too near among `pairs` pairs: the more pairs of strangers, the nearer the nearest ones by chance."""
    strangers = embedder.strangers
    chance = strangers.mean + NormalDist().inv_cdf(_CHANCE / max(pairs, 1)) * strangers.spread
    return max(0.0, min(_NEARER * same_person, chance))


def nearest_across(embeddings: Points, splits: Sequence[str | None], photos: Sequence[str],
                   identities: Sequence[str | None], limit: float | None, embedder: FaceEmbedder,
                   same_person: float) -> Across | None:
    """The nearest pair across the split; all sequences are about the same photos.

    `limit` None: `threshold`. None where nobody is trained on or nobody is held out.
    """
    names = np.asarray([split or "" for split in splits])
    train, held = np.flatnonzero(names == "train"), np.flatnonzero((names != "train") & (names != ""))
    if len(train) == 0 or len(held) == 0:
        return None
    found, distances = nearest_target(embeddings[held], embeddings[train])
    at = int(distances.argmin())
    one, other = int(train[found[at]]), int(held[at])
    if limit is None:
        limit = threshold(embedder, same_person, len(train) * len(held))
    return Across(photos[one], str(identities[one]), photos[other], str(identities[other]),
                  round(float(distances[at]), 6), float(limit))
