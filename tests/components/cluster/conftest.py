"""Drawn people of plain colours, and an embedder that tells colours apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import components.cluster.run as module
from components.core.faces.head import face_chip, face_seen, head_box, view
from components.core.faces.recognition import FaceEmbedder
from components.core.people.assembly import assemble
from components.core.people.dataset import PersonRecord
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png

DrawHead = Callable[..., np.ndarray]
SIDE, TEXEL = 64, 8


class Colours(nn.Module):
    """Mean colours of a 2 x 2 grid: tells people of different colours apart."""

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(faces, 2).flatten(1)


@pytest.fixture
def colour_embedder(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def load(name: str, device: str) -> FaceEmbedder:
        asked.append(name)
        return FaceEmbedder(name, Colours(), size=32, dim=12, same_person_distance=0.3).to(device).eval()

    monkeypatch.setattr(module, "load_embedder", load)
    return asked


def _encoded(name: str, iuv: np.ndarray, colour: np.ndarray, label: str | None, folder: str = "") -> EncodedPerson:
    photo = np.empty((SIDE, SIDE, 3), np.uint8)
    photo[:] = colour
    picture, matte = np.zeros((6 * TEXEL, 4 * TEXEL, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    members = {"photo": photo, "iuv": iuv, "matte": matte, "texture": picture, "seen": picture[..., 0]}
    chip = face_chip(photo, iuv)
    if chip is not None:
        members["face"] = chip
    record = PersonRecord(
        id=name, photo=f"{folder}{name}.png", photo_digest=f"digest-{name}", inputs_digest=f"inputs-{name}", shard=0,
        offset=0, length=0, box=(0, 0, SIDE, SIDE), scale=1.0, coverage=0.5, head_box=head_box(iuv),
        face_seen=face_seen(iuv), view=view(iuv), channel_order="IUV", label=label)
    return EncodedPerson(record, {kind: encode_png(image) for kind, image in members.items()})


@pytest.fixture
def make_people(tmp_path: Path, draw_head: DrawHead) -> Callable[..., Path]:
    def make(sizes: list[int], *, labelled: bool = True, strangers: bool = True,
             folder_of: Callable[[str], str] = lambda name: "") -> Path:
        """People of `sizes` photos each, and one photo from behind, one with a tiny head.

        `folder_of` says in which sub-folder ("anna/") a photo lies.
        """
        rng = np.random.default_rng(0)
        colours = np.asarray([(230, 30, 30), (30, 230, 30), (30, 30, 230), (230, 230, 20), (230, 20, 230),
                              (20, 230, 230)])
        out = tmp_path / f"people-{'-'.join(map(str, sizes))}-{labelled}"
        with PartWriter(out.with_suffix(".work"), Plan("test", SIDE, TEXEL, "photos", {}, 1)) as writer:
            with writer.shard(0) as shard:
                for person, size in enumerate(sizes):
                    for number in range(size):
                        iuv = draw_head(SIDE, 26.0, rng.uniform(-30, 30), (32.0, 24.0))
                        colour = np.clip(colours[person] + rng.integers(-15, 16, 3), 0, 255)
                        shard.add(_encoded(f"p{person}-{number}", iuv, colour, f"name-{person}" if labelled else None,
                                           folder_of(f"p{person}-{number}")))
                if strangers:
                    shard.add(_encoded("q-behind", draw_head(SIDE, 26.0, 180.0, torso=1), colours[0], "name-0"))
                    shard.add(_encoded("q-tiny", draw_head(SIDE, 9.0), colours[0], "name-0"))
            assemble([writer.folder], out, lambda hashes: {})
        return out

    return make
