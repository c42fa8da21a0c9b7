"""A people data set of coloured rectangles and its identities: small enough to train on in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.people.assembly import assemble
from components.core.people.dataset import TRUTH, PeopleDataset, PersonRecord
from components.core.people.identities import Assignment, Identities
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png
from components.core.pictures.texture import to_picture, unwrap

MakePeople = Callable[..., tuple[Path, Path]]


def pose_map(side: int, shift: int) -> np.ndarray:
    """Head, torso and legs with charts that run as real ones do: uint8 [side, side, 3]."""
    iuv = np.zeros((side, side, 3), np.uint8)
    for part, x0, x1, y0, y1 in ((23, 0.38, 0.5, 0.08, 0.34), (24, 0.5, 0.62, 0.08, 0.34), (2, 0.34, 0.66, 0.36, 0.65),
                                 (9, 0.36, 0.5, 0.65, 0.88), (10, 0.5, 0.64, 0.65, 0.88)):
        left, right, top, bottom = (round(side * edge) for edge in (x0, x1, y0, y1))
        left, right = left + shift, right + shift
        down = np.linspace(0, 255, bottom - top).round()[:, None].repeat(right - left, 1)
        across = np.linspace(0, 255, right - left).round()[None].repeat(bottom - top, 0)
        u, v = (across, 255 - down) if part in (23, 24) else (down, 255 - across)
        iuv[top:bottom, left:right] = np.stack([np.full_like(u, part), u, v], -1)
    return iuv


def _person(name: str, label: str, side: int, texel: int, shift: int, colours: np.ndarray,
            truth: bool) -> EncodedPerson:
    iuv = pose_map(side, shift)
    body = iuv[..., 0] > 0
    shade = (iuv[..., 1].astype(np.int32) // 4)[..., None]
    photo = np.where(body[..., None], np.clip(colours[iuv[..., 0]] + shade, 0, 255), 90).astype(np.uint8)
    texture, seen = unwrap(photo, iuv, texel)
    members = {"photo": photo, "iuv": iuv, "matte": body.astype(np.uint8) * 255, "texture": to_picture(texture),
               "seen": to_picture(seen.astype(np.uint8) * 255)}
    if truth:  # brighter than the photo, and without the lowest rows
        members[TRUTH] = np.dstack([np.minimum(photo, 245) + 10, np.where(np.arange(side)[:, None] < side - 12,
                                                                          members["matte"], 0)]).astype(np.uint8)
    record = PersonRecord(
        id=name, photo=f"{name}.png", photo_digest=name, inputs_digest=f"{name}-{side}-{texel}", shard=0, offset=0,
        length=0, box=(0, 0, side, side), scale=1.0, coverage=float(seen.mean()), head_box=(24, 5, 40, 22),
        face_seen=True, view="front", channel_order="IUV", label=label)  # fmt: skip
    return EncodedPerson(record, {kind: encode_png(plane) for kind, plane in members.items()})


@pytest.fixture
def make_people(tmp_path: Path) -> MakePeople:
    """make_people(side, texel, counts) -> (people, identities): counts[k] photos of person k, two outfits each.

    The last person is the test split, the others are trained on; photos 2k and 2k+1 of a person share an outfit. With
    `truth` each photo has one beside it.
    """

    def make(side: int = 64, texel: int = 8, counts: tuple[int, ...] = (4, 2, 1, 2),
             truth: bool = False) -> tuple[Path, Path]:
        people, identities = tmp_path / f"people-{side}-{texel}", tmp_path / f"identities-{side}-{texel}"
        draw = np.random.default_rng(0)
        with PartWriter(people.with_suffix(".work"), Plan("", side, texel, "synthetic", {}, 1)) as writer:
            with writer.shard(0) as shard:
                for person, count in enumerate(counts):
                    head = draw.integers(0, 200, 3)
                    for photo in range(count):
                        outfit = np.random.default_rng((person, photo // 2)).integers(0, 190, (25, 3))
                        outfit[[23, 24]] = head
                        shard.add(_person(f"p{person}-{photo}", f"person-{person}", side, texel, photo % 3 - 1, outfit,
                                          truth))
            assemble([writer.folder], people, lambda hashes: {})
        dataset = PeopleDataset.open(people)
        last = f"person-{len(counts) - 1}"
        rows = [Assignment(name, label, 1.0, "test" if label == last else "train")
                for name, label in dataset.labels.items()]
        identities.mkdir()
        Identities(rows, dataset.digest, {}).write(identities)
        return people, identities

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # sums in another order would not be the same numbers
