"""What a model is evaluated on: fixed ordered pairs of held-out people, the same in every run.

Three kinds, told apart because outputs for them are worth different things:

- **transfer**: the face of photo i in the clothes of photo j, in the pose of j. Photo j is the exact truth, whatever
  its owner wore for photo i. The clothes' texture comes from the truth itself, so metrics on clothes say how well
  they are painted, not how well they are re-posed; metrics on the face mean what they say.
- **repose**: everything from photo i, in the pose of j. Only where both photos show the same clothes as far as the
  texture maps tell, for only then is photo j the truth.
- **reconstruction**: i in its own pose, for people of whom there is one photo. The easiest of the three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.core.people.dataset import PeopleDataset, Person
from components.core.people.identities import Identities, Pairs, Split, singles
from components.core.pictures.iuv import GARMENT_PARTS
from components.evaluate.measuring.album import Album

Kind = Literal["transfer", "repose", "reconstruction"]

SAME_CLOTHES = 25.0
"""Grey levels. On real photos the textures of one outfit differ by 6.9 (at most 22.6) where both are seen, those of
different people by 72.3 (at least 26.9)."""
_MIN_OVERLAP = 0.02


@dataclass(frozen=True)
class EvaluationPair:
    """Data set indices of source and target, whose they are, and the kind."""

    source: int
    target: int
    identity: str
    kind: Kind


@dataclass(frozen=True)
class PairSet:
    """All pairs of one split."""

    transfer: list[EvaluationPair]
    reconstruction: list[EvaluationPair]
    possible: int
    """Ordered pairs that the split has; `transfer` are those chosen."""
    members: dict[str, npt.NDArray[np.int64]]
    """Identity -> indices of its photos in the data set."""


def choose(people: PeopleDataset, identities: Identities, split: Split, most: int, seed: int) -> PairSet:
    """Choose at most `most` ordered pairs and one-photo people of a split; same seed, same choice, same order."""
    members = identities.members(people, split)
    owner = {int(index): name for name, group in members.items() for index in group}
    possible = Pairs(members.values())
    order = np.random.default_rng(seed)
    chosen = order.permutation(len(possible))[:most]
    transfer = [EvaluationPair(i, j, owner[i], "transfer") for i, j in (possible[int(k)] for k in chosen)]
    alone = order.permutation(singles(members.values()))[:most]
    reconstruction = [EvaluationPair(int(index), int(index), owner[int(index)], "reconstruction") for index in alone]
    return PairSet(transfer, reconstruction, len(possible), members)


def same_clothes(first: Person, second: Person) -> bool:
    """Whether two photos show the same clothes, by the garment texels that both of them show.

    The mean difference must stay under `SAME_CLOTHES` grey levels on at least 2 % of the garment atlas.
    """
    parts = np.asarray(GARMENT_PARTS) - 1
    both = first.seen[parts] & second.seen[parts]
    if both.mean() < _MIN_OVERLAP:
        return False
    apart = np.abs(first.texture[parts][both].astype(np.int16) - second.texture[parts][both])
    return float(apart.mean()) < SAME_CLOTHES


def reposes(people: Album, transfer: Sequence[EvaluationPair]) -> list[EvaluationPair]:
    """The pairs of `transfer` whose photos show the same clothes, as plain re-posing."""
    return [EvaluationPair(pair.source, pair.target, pair.identity, "repose") for pair in transfer
            if same_clothes(people[pair.source], people[pair.target])]


def spread(pairs: Iterable[EvaluationPair], most: int) -> list[EvaluationPair]:
    """Up to `most` pairs that show as many people as possible: one of each identity, then a second of each, ..."""
    queues: dict[str, list[EvaluationPair]] = {}
    for pair in pairs:
        queues.setdefault(pair.identity, []).append(pair)
    picked: list[EvaluationPair] = []
    depth = 0
    while len(picked) < most and any(len(queue) > depth for queue in queues.values()):
        picked += [queue[depth] for queue in queues.values() if len(queue) > depth]
        depth += 1
    return picked[:most]


def batches(pairs: Sequence[EvaluationPair], size: int) -> Iterator[list[EvaluationPair]]:
    """Pairs in slices of at most `size`."""
    for start in range(0, len(pairs), size):
        yield list(pairs[start : start + size])
