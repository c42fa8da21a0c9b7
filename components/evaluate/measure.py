"""Measure pictures once, keep the numbers: per case, per real photo. No picture outlives its batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from components.core import progress
from components.core.faces import FaceEmbedder, load_embedder
from components.core.features import Features, PerceptualDistance
from components.core.settings import EvaluateSettings
from components.evaluate import quality
from components.evaluate.album import Album
from components.evaluate.painters import Painter, truth
from components.evaluate.pairs import Case, batches
from components.evaluate.quality import PLAIN, Floats, Images

BATCH = 16
Bools = npt.NDArray[np.bool_]


class Instruments:
    """The networks that judge, all frozen: none of them is shown a training image here."""

    def __init__(self, settings: EvaluateSettings, origin: str) -> None:
        self.perceptual = PerceptualDistance(settings.perceptual).eval()
        self.features = Features(settings.features).eval()
        self.embedder: FaceEmbedder = load_embedder(judge_name(settings, origin))


def judge_name(settings: EvaluateSettings, origin: str) -> str:
    """Which face embedder judges: as set, or by `origin` ("synthetic" or "photos")."""
    if settings.embedder != "auto":
        return settings.embedder
    return "builtin-judge" if origin == "synthetic" else "dlib"


@dataclass(frozen=True)
class Measured:
    """Figures of n answered cases, in the order of the cases; NaN where there is nothing to measure."""

    l1: Floats
    psnr: Floats
    ssim: Floats
    perceptual: Floats
    matte_iou: Floats
    features: Floats
    """[n, d]"""
    faces: Floats
    """[n, e], of length one; zero where `face_valid` is false."""
    face_valid: Bools

    def take(self, which: Sequence[int]) -> Measured:
        """The figures of some of the cases."""
        rows = np.asarray(which, np.intp)
        return Measured(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Reals:
    """Features and faces of real photos, all of one split, over the plain background."""

    indices: npt.NDArray[np.int64]
    identities: list[str]
    features: Floats
    faces: Floats
    face_valid: Bools

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.intp]:
        """Where the photos with these data set indices are."""
        at = {int(index): row for row, index in enumerate(self.indices)}
        return np.asarray([at[index] for index in indices], np.intp)


def measure(people: Album, cases: Sequence[Case], painter: Painter, instruments: Instruments,
            label: str) -> Measured:
    """Have `painter` answer the cases over a plain background and compare each answer with its truth."""
    parts: list[Measured] = []
    with progress.task(label, len(cases)) as shown:
        for batch in batches(cases, BATCH):
            painted, real = painter.paint(people, batch, PLAIN), truth(people, batch, PLAIN)
            parts.append(compare(painted.images, painted.mattes, painted.poses, real.images, real.mattes, instruments))
            shown.advance(len(batch))
    found: dict[str, Any] = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) if parts
                             else _nothing(field.name, instruments) for field in fields(Measured)}
    return Measured(**found)


def compare(images: Images, mattes: Images, poses: Images, truths: Images, true_mattes: Images,
            instruments: Instruments) -> Measured:
    """Measure one batch of pictures [B, S, S, 3] against their truths; `poses` says where in them the face is."""
    features, faces, valid = _look(images, poses, instruments)
    return Measured(
        quality.absolute(images, truths, true_mattes), quality.psnr(images, truths, true_mattes),
        quality.ssim(images, truths, true_mattes), _perceptual(images, truths, true_mattes, instruments),
        quality.matte_iou(mattes, true_mattes), features, faces, valid)


def measure_reals(people: Album, members: Mapping[str, npt.NDArray[np.int64]],
                  instruments: Instruments) -> Reals:
    """Features and faces of all photos of a split's identities."""
    owners = [(int(index), name) for name, group in members.items() for index in group]
    cases = [Case(index, index, name, "reconstruction") for index, name in owners]
    looks = [_look(real.images, real.poses, instruments)
             for real in (truth(people, batch, PLAIN) for batch in batches(cases, BATCH))]
    features, faces, valid = (np.concatenate([look[part] for look in looks]) if looks else _nothing(name, instruments)
                              for part, name in enumerate(("features", "faces", "face_valid")))
    return Reals(np.asarray([index for index, _ in owners], np.int64), [name for _, name in owners],
                 features, faces, valid.astype(bool))


@torch.no_grad()
def _look(images: Images, poses: Images, instruments: Instruments) -> tuple[Floats, Floats, Bools]:
    tensor = quality.to_torch(images)
    maps = torch.from_numpy(np.ascontiguousarray(poses.transpose(0, 3, 1, 2)))
    faces, valid = instruments.embedder.embed(tensor, maps)
    features = instruments.features(tensor)
    return features.double().numpy(), faces.double().numpy(), valid.numpy()


@torch.no_grad()
def _perceptual(images: Images, truths: Images, masks: Images, instruments: Instruments) -> Floats:
    mask = torch.from_numpy(masks[:, None].astype(np.float32) / 255)
    distances = instruments.perceptual(quality.to_torch(images), quality.to_torch(truths), mask).double().numpy()
    return np.where(masks.any(axis=(1, 2)), distances, np.nan)


def _nothing(name: str, instruments: Instruments) -> npt.NDArray[Any]:
    width = {"features": instruments.features.dim, "faces": instruments.embedder.dim}.get(name)
    return np.zeros((0,) if width is None else (0, width), bool if name == "face_valid" else np.float64)
