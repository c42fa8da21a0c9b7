"""Face embeddings of a people data set, and the reasons of those who get none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from components.core.faces import FaceEmbedder
from components.core.head import CHIP, Pixels
from components.core.people import PeopleDataset, Person
from components.core.progress import task

_BATCH = 32

NO_FACE = "the face is not seen (from behind, or no head in the pose map)"
SMALL_HEAD = "the head is too small to tell people apart"


@dataclass(frozen=True)
class Embedded:
    """`indices` [n] into the data set, ascending; their `embeddings` [n, dim] of length one and `heads` [n], the
    heights in pixels of the heads they come from; `left_out`, index -> reason, of those who have none."""

    indices: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float32]
    heads: npt.NDArray[np.float32]
    left_out: dict[int, str]


def embed(people: PeopleDataset, embedder: FaceEmbedder, device: str = "cpu") -> Embedded:
    """Embed the face of everybody whose face is seen, in batches, with progress; `device` is the embedder's."""
    seen = people.column("face_seen")
    left_out = {index: NO_FACE for index, one in enumerate(seen) if not one}
    indices: list[int] = []
    heads: list[float] = []
    embeddings = [np.zeros((0, embedder.dim), np.float32)]
    waiting = (index for index, one in enumerate(seen) if one)
    with task("faces", sum(seen)) as shown, torch.inference_mode():
        while batch := list(islice(waiting, _BATCH)):
            chips: list[Pixels] = []
            for index in batch:
                found = _chip(people[index])
                if found is None:
                    left_out[index] = SMALL_HEAD
                    continue
                chips.append(found[0])
                heads.append(found[1])
                indices.append(index)
            if chips:
                embeddings.append(_vectors(chips, embedder, device))
            shown.advance(len(batch))
    return Embedded(np.asarray(indices, np.int64), np.concatenate(embeddings), np.asarray(heads, np.float32),
                    dict(sorted(left_out.items())))


def _chip(person: Person) -> tuple[Pixels, float] | None:
    """The person's aligned face and its head's height in the pixels it was taken from: the photo's own."""
    box = person.record.head_box
    if person.face is None or box is None:
        return None
    return person.face, (box[3] - box[1]) / person.record.scale


def _vectors(chips: list[Pixels], embedder: FaceEmbedder, device: str) -> npt.NDArray[np.float32]:
    faces = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).to(device).float().div_(127.5).sub_(1)
    if embedder.size != CHIP:
        faces = functional.interpolate(faces, (embedder.size, embedder.size), mode="bilinear", antialias=True)
    return np.asarray(embedder(faces).cpu().numpy(), np.float32)
