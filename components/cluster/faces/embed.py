"""Face embeddings of the people to sort, and the reasons of those who get none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from components.cluster.faces.covered import cover_of
from components.cluster.faces.subjects import Face, Subjects
from components.core.faces.head import CHIP, MIN_HEAD
from components.core.faces.recognition import FaceEmbedder
from components.core.progress import task

_BATCH = 32
_DECIMALS = 6


@dataclass(frozen=True)
class Embedded:
    """`indices` [n] of the people who have a face, ascending; their `embeddings` [n, dim] of length one and `heads`
    [n], the heights in pixels of the heads they come from; `left_out`, index -> reason, of those who have none;
    `covers` [n], what is covered of each face, "" for nothing."""

    indices: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float32]
    heads: npt.NDArray[np.float32]
    left_out: dict[int, str]
    covers: npt.NDArray[np.str_]

    def take(self, kept: npt.NDArray[np.bool_], reason: str) -> Embedded:
        """Those that are `kept` [n]; the others are left out for this reason."""
        reasons = self.left_out | {int(index): reason for index in self.indices[~kept]}
        return Embedded(self.indices[kept], self.embeddings[kept], self.heads[kept], reasons, self.covers[kept])


def embed(subjects: Subjects, embedder: FaceEmbedder, device: str = "cpu") -> Embedded:
    """Embed everybody's face, in batches, with progress; `device` is the embedder's.

    A face and its mirror image are embedded and averaged: on real photos that brings photos of one person nearer
    together by a twentieth, and strangers by a hundredth.

    Networks of this package run in double precision, and their vectors are rounded to six decimals: no processor, GPU
    or number of threads then gives other vectors. Those from files (ONNX, TorchScript) and SFace run as they are. Of
    real faces it is looked for what is covered.
    """
    embedder = embedder.to(embedder.precision)
    left_out: dict[int, str] = {}
    indices: list[int] = []
    heads: list[float] = []
    covers: list[str] = []
    embeddings = [np.zeros((0, embedder.dim), np.float32)]
    everybody = enumerate(subjects.faces())
    with task("faces", len(subjects.ids)) as shown, torch.inference_mode():
        while batch := list(islice(everybody, _BATCH)):
            seen = list(_seen(batch, left_out))
            if seen:
                embeddings.append(vectors([face for _, face, _ in seen], embedder, device))
                covers += ["" if subjects.synthetic else cover_of(face) or "" for _, face, _ in seen]
                indices += [index for index, _, _ in seen]
                heads += [head for _, _, head in seen]
            shown.advance(len(batch))
    return Embedded(np.asarray(indices, np.int64), np.concatenate(embeddings), np.asarray(heads, np.float32), left_out,
                    np.asarray(covers, np.str_))


def _seen(batch: list[tuple[int, Face]],
          left_out: dict[int, str]) -> Iterator[tuple[int, npt.NDArray[np.uint8], float]]:
    for index, face in batch:
        if face.chip is None:
            left_out[index] = face.reason
        else:
            yield index, face.chip, max(face.head, MIN_HEAD)


def vectors(chips: list[npt.NDArray[np.uint8]], embedder: FaceEmbedder, device: str) -> npt.NDArray[np.float32]:
    """Embeddings [n, dim] of aligned faces [CHIP, CHIP, 3]."""
    faces = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).to(device, embedder.precision).div_(127.5).sub_(1)
    if embedder.size != CHIP:
        faces = functional.interpolate(faces, (embedder.size, embedder.size), mode="bilinear", antialias=True)
    both = functional.normalize(embedder(faces) + embedder(faces.flip(3)), dim=1)
    return np.round(both.double().cpu().numpy(), _DECIMALS).astype(np.float32)
