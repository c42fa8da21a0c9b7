"""A face network behind one interface."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.faces.alignment import align
from components.core.faces.head import MIN_HEAD


@dataclass(frozen=True)
class Strangers:
    """Distances between photos of two people: their `mean` (vectors without relation: the root of 2), the `spread` at
    the near end, as a standard deviation, and the `share` of their variance that is between pairs of people."""

    mean: float
    spread: float
    share: float = 0.5


class FaceEmbedder(nn.Module):
    """A face network behind one interface: aligned faces in, vectors of length one out, near for the same person.

    Attributes: `name`; `size`, side of the faces it takes; `dim`, length of its vectors; `same_person_distance`, the
    Euclidean distance between two of its vectors below which they are rather one person than two, where heads are at
    least `sharp_head` pixels high; `strangers`, how far apart photos of two people are; `precision`, the
    finest in which it can run (it starts in single).
    """

    def __init__(self, name: str, network: nn.Module, *, size: int, dim: int, same_person_distance: float,
                 sharp_head: int = MIN_HEAD, strangers: Strangers | None = None,
                 precision: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.precision = precision
        self.name, self.size, self.dim = name, size, dim
        self.same_person_distance, self.sharp_head = same_person_distance, sharp_head
        self.strangers = strangers or Strangers(math.sqrt(2), (math.sqrt(2) - same_person_distance) / 4)
        self.network = network

    def same_person_at(self, head: float) -> float:
        """`same_person_distance` for heads `head` pixels high: blurred faces look alike, so each halving takes 10 %."""
        halvings = math.log2(self.sharp_head / max(head, 1.0))
        return self.same_person_distance * (1 - 0.1 * max(0.0, halvings))

    def forward(self, faces: Tensor) -> Tensor:
        """Aligned faces [B, 3, size, size] in [-1, 1] -> embeddings [B, dim] of Euclidean length 1."""
        return functional.normalize(self.raw(faces), dim=1)

    def raw(self, faces: Tensor) -> Tensor:
        """The network's own vectors [B, dim], before normalisation (dlib's published threshold 0.6 is about these)."""
        vectors: Tensor = self.network(faces)
        return vectors

    def embed(self, images: Tensor, iuv: Tensor, *, min_head: int = MIN_HEAD) -> tuple[Tensor, Tensor]:
        """Embeddings [B, dim] of the faces in images [B, 3, H, W] in [-1, 1], found by their pose maps, and valid [B].

        Rows that are not valid (see `align`) are zero and carry no gradient.
        """
        faces, valid = align(images, iuv, self.size, min_head=min_head)
        embeddings = images.new_zeros(len(images), self.dim)
        at = valid.nonzero().flatten()
        if len(at):
            embeddings = embeddings.index_copy(0, at, self(faces[at]))
        return embeddings, valid
