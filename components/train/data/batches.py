"""What a training step sees: which photos, as a pure function of (seed, step), and their pixels.

A re-posing example (i, j) has the head and hands of photo i and the clothes of photo k on the atlas, and photo j of
the same person as its answer: the splice makes j exact whatever was worn in photo i. Were k always j, the atlas
sampled at j's pose would be j itself and there would be nothing to learn, so k is another photo in the clothes of j
where there is one (`outfits`), photo i itself when i shows them. A share of each batch is reconstruction (i = j = k).

Because sampling needs no state, a run that goes on from a checkpoint sees the batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset, Person
from components.core.people.identities import Pairs
from components.core.people.sources import Merged, garments_apart, merged, stacked

Indices = NDArray[np.int64]

SAME_OUTFIT = 20.0
"""Median difference in grey levels of commonly seen garment texels, below which two photos show one outfit. Measured
on real photos: 6.9 (at most 22.6) for one, 72.3 (at least 26.9) for different ones."""
OWN_CLOTHES = 0.5
"""Share of the pairs whose clothes come from the target photo itself although another shows them."""
_COMPARED = 32  # Texels per side compared for outfits; finer atlases are thinned out.
_MEMORY = 2 * 1024**3


class Slot(NamedTuple):
    """One example by data set indices."""

    face: int
    """Photo of head, hands and hair."""
    clothes: int
    """Photo of the garments' texture."""
    skirt: int
    """Photo shown for what the clothes are beyond the pose map."""
    target: int
    """The answer, and the pose."""
    more: tuple[int, ...] = ()
    """Further photos of the person: what they show of head and hands, and of these clothes, fills the atlas."""


class Examples(NamedTuple):
    """A batch as bytes, ready for the device."""

    textures: Tensor
    """uint8 [B, 24, N, N, 3], spliced."""
    seen: Tensor
    """bool [B, 24, N, N]."""
    face: tuple[Tensor, Tensor, Tensor]
    """Photo uint8 [B, S, S, 3], matte uint8 [B, S, S], pose map uint8 [B, S, S, 3] of the face's photo."""
    clothes: tuple[Tensor, Tensor, Tensor]
    """The same of the photo that shows the clothes."""
    target: tuple[Tensor, Tensor, Tensor]
    """The same of the answer; what its photo should show where that is known."""
    leaks: Tensor
    """bool [B, 2]: the atlas' clothes, and the photos, are the answer's own pixels."""


class Photos:
    """Decoded people by index: kept in memory when all fit in 2 GB, decoded on demand otherwise."""

    def __init__(self, people: PeopleDataset) -> None:
        self._people = people
        each = 7 * people.resolution**2 + 24 * 4 * people.texel**2
        self.in_memory = each * len(people) <= _MEMORY
        self._kept: dict[int, Person] = {}

    def __getitem__(self, index: int) -> Person:
        person = self._kept.get(index)
        if person is None:
            person = self._people[index]
            if self.in_memory:
                self._kept[index] = person
        return person


def evenly(total: int, count: int) -> list[slice]:
    """`total` rows in `count` pieces of (nearly) equal size, in order; fewer where there are fewer rows."""
    size = -(-total // count)
    return [slice(start, start + size) for start in range(0, total, size)]


class Outfits:
    """Which photos of an identity show the same clothes, estimated from the textures, once per identity."""

    def __init__(self, photos: Photos, groups: Sequence[Indices]) -> None:
        self._photos = photos
        self._group = {int(index): group for group in groups for index in group}
        self._same: dict[int, list[int]] = {}

    def others(self, index: int) -> list[int]:
        """Other photos of the same person in the same clothes."""
        if index not in self._same:
            group = [int(member) for member in self._group[index]]
            thin = {member: _thinned(self._photos[member]) for member in group}
            for one in group:
                self._same[one] = [other for other in group if other != one and same_outfit(thin[one], thin[other])]
        return self._same[index]

    def group(self, index: int) -> list[int]:
        """All photos of the person."""
        return [int(member) for member in self._group[index]]


def same_outfit(one: tuple[NDArray[np.uint8], NDArray[np.bool_]],
                other: tuple[NDArray[np.uint8], NDArray[np.bool_]]) -> bool:
    """Do two atlases (texture [24, N, N, 3], seen [24, N, N]) show the same garments where both were seen?

    False when too few texels overlap (a front and a back view).
    """
    return garments_apart(one, other) < SAME_OUTFIT


def _thinned(person: Person) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    every = max(person.seen.shape[1] // _COMPARED, 1)
    return person.texture[:, ::every, ::every], person.seen[:, ::every, ::every]


class Batches(Dataset[Examples]):
    """Batch number `step`, for any step, in any order, in any process.

    `groups`: data set indices of the training photos, one array per identity. People with one photo are
    reconstructed only. Up to `sources` photos of a person make one source; half of the pairs have a single one.
    Raises `InputError` when there is nobody.
    """

    def __init__(self, people: PeopleDataset, groups: Sequence[Indices], *, batch: int, reconstruction: float,
                 seed: int, sources: int = 1) -> None:
        self._all = np.concatenate([np.asarray(group, np.int64) for group in groups]) if groups else np.zeros(0, int)
        if not len(self._all):
            raise InputError("no identity to train on", remedy="bring more people, or lower cluster.test")
        self._pairs = Pairs(groups)
        self.photos = Photos(people)
        self._outfits = Outfits(self.photos, groups)
        self._batch, self._reconstruction, self._seed, self._sources = batch, reconstruction, seed, sources

    @property
    def pairs(self) -> int:
        """Ordered pairs of photos of one person."""
        return len(self._pairs)

    def slots(self, step: int) -> list[Slot]:
        """The examples of a step."""
        draw = np.random.default_rng((self._seed, step))
        return [self._slot(draw) for _ in range(self._batch)]

    def _slot(self, draw: np.random.Generator) -> Slot:
        if not len(self._pairs) or draw.random() < self._reconstruction:
            index = int(draw.choice(self._all))
            return Slot(index, index, index, index)
        face, target = self._pairs[int(draw.integers(len(self._pairs)))]
        clothes = self._clothes(draw, face, target)
        # Half of the time whoever uses the model brings one photo only: the face's, whatever is worn in it.
        skirt = face if clothes == target or draw.random() < 0.5 else clothes
        return Slot(face, clothes, skirt, target, self._more(draw, face, target))

    def _more(self, draw: np.random.Generator, face: int, target: int) -> tuple[int, ...]:
        rest = [index for index in self._outfits.group(target) if index not in (face, target)]
        if self._sources == 1 or not rest or draw.random() < 0.5:
            return ()
        count = min(int(draw.integers(1, self._sources)), len(rest))
        return tuple(int(index) for index in draw.choice(rest, count, replace=False))

    def _clothes(self, draw: np.random.Generator, face: int, target: int) -> int:
        others = self._outfits.others(target)
        if not others or draw.random() < OWN_CLOTHES:
            return target
        if face in others and draw.random() < 0.5:
            return face
        return int(draw.choice(others))

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, step: int) -> Examples:
        return self.examples(self.slots(step))

    def examples(self, slots: Sequence[Slot]) -> Examples:
        """The pixels of some examples."""
        sources = [self._source(slot) for slot in slots]
        faces = [(slot.face, *slot.more)[source.view] for slot, source in zip(slots, sources, strict=True)]
        leaks = [(slot.clothes == slot.target, slot.face == slot.target) for slot in slots]
        return Examples(
            torch.from_numpy(np.stack([source.texture for source in sources])),
            torch.from_numpy(np.stack([source.seen for source in sources])),
            self._shown(faces), self._shown([slot.skirt for slot in slots]),
            self._answers([slot.target for slot in slots]), torch.tensor(leaks),
        )  # fmt: skip

    def _source(self, slot: Slot) -> Merged:
        """Head and hands of the face's photos, garments of the clothes' photo and of others in the same clothes."""
        dressed = [slot.clothes]
        if slot.clothes != slot.target:
            dressed += [index for index in slot.more if index in self._outfits.others(slot.target)]
        return merged([self.photos[index] for index in (slot.face, *slot.more)], self.photos[slot.target].iuv,
                      [self.photos[index] for index in dressed])

    def _answers(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """`_shown`, with the truth in the place of photo and matte where it is known."""
        photos, mattes, poses = self._shown(indices)
        for row, truth in enumerate(self.photos[index].truth for index in indices):
            if truth is not None:
                true = torch.from_numpy(np.array(truth))
                photos[row], mattes[row] = true[..., :3], true[..., 3]
        return photos, mattes, poses

    def _shown(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        photos, mattes, poses = stacked([self.photos[index] for index in indices])
        return torch.from_numpy(photos), torch.from_numpy(mattes), torch.from_numpy(poses)
