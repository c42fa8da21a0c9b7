"""Measure pictures once, keep the numbers: per case, per real photo. No picture outlives its batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from components.core import progress
from components.core.faces.recognition import FaceEmbedder, align, head_box, load_embedder
from components.core.networks.features import BodyParts, Features, PerceptualDistance
from components.core.settings import EvaluateSettings
from components.evaluate import quality
from components.evaluate.album import Album
from components.evaluate.painters import Painted, Painter, truth
from components.evaluate.pairs import Case, batches
from components.evaluate.parts import PARTS, part_errors
from components.evaluate.quality import PLAIN, Floats, Images

BATCH = 16
Bools = npt.NDArray[np.bool_]


class Instruments:
    """The networks that judge, all frozen: none of them is shown a training image here."""

    def __init__(self, settings: EvaluateSettings, origin: str) -> None:
        self.perceptual = PerceptualDistance(settings.perceptual).eval()
        self.features = Features(settings.features).eval()
        self.body = BodyParts().eval()
        self.embedder: FaceEmbedder = load_embedder(judge_name(settings, origin))
        for network in (self.perceptual, self.features, self.body):
            # A fifth less time on a processor. torch's types lack this call.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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
    pose: Floats
    """Agreement of the body parts seen in the picture with those of the pose map asked for, 0..1."""
    parts: Floats
    """[n, 4]: error of each of `parts.PARTS`, 0..1"""
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
    pose: Floats
    """As in `Measured`, of the photo with its own pose map: what the reader of poses is worth on such photos."""
    no_faces: Floats
    """[m, e]: embeddings of what lies where a face is expected but is none: a chest, a shuffled and a blurred face."""

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.intp]:
        """Where the photos with these data set indices are."""
        at = {int(index): row for row, index in enumerate(self.indices)}
        return np.asarray([at[index] for index in indices], np.intp)


def measure(people: Album, cases: Sequence[Case], painter: Painter, instruments: Instruments,
            label: str) -> Measured:
    """Have `painter` answer the cases over a plain background and compare each answer with its truth."""
    parts: list[Measured] = []
    # In the order of their targets: a batch has few truths, and each is looked at once.
    order = sorted(range(len(cases)), key=lambda k: cases[k].target)
    with progress.task(label, len(cases)) as shown:
        for batch in batches([cases[k] for k in order], BATCH):
            painted, real = painter.paint(people, batch, PLAIN), truth(people, batch, PLAIN)
            parts.append(compare(painted, real, instruments, [case.target for case in batch]))
            shown.advance(len(batch))
    found: dict[str, Any] = {field.name: np.concatenate([getattr(part, field.name) for part in parts]) if parts
                             else _nothing(field.name, instruments) for field in fields(Measured)}
    return Measured(**found).take(np.argsort(order, kind="stable").tolist())


def measure_by_target(people: Album, cases: Sequence[Case], painter: Painter, instruments: Instruments,
                      label: str) -> Measured:
    """`measure` for a painter whose answer depends on the target alone: each target is painted and measured once."""
    first = {case.target: k for k, case in reversed(list(enumerate(cases)))}
    targets = sorted(first)
    found = measure(people, [cases[first[target]] for target in targets], painter, instruments, label)
    at = {target: row for row, target in enumerate(targets)}
    return found.take([at[case.target] for case in cases])


def masked_errors(people: Album, cases: Sequence[Case], painter: Painter, label: str) -> Floats:
    """`Measured.l1` alone: no network looks at the answers."""
    parts: list[Floats] = [np.zeros(0)]
    with progress.task(label, len(cases)) as shown:
        for batch in batches(cases, BATCH):
            painted, real = painter.paint(people, batch, PLAIN), truth(people, batch, PLAIN)
            parts.append(quality.absolute(painted.images, real.images, real.mattes))
            shown.advance(len(batch))
    return np.concatenate(parts)


def compare(painted: Painted, real: Painted, instruments: Instruments, targets: Sequence[int]) -> Measured:
    """Measure one batch of pictures against their truths; equal `targets` have equal truths."""
    images, truths, mattes = painted.images, real.images, real.mattes
    tensor = quality.to_torch(images)
    features, faces, valid = _look(tensor, painted.poses, instruments)
    return Measured(
        quality.absolute(images, truths, mattes), quality.psnr(images, truths, mattes),
        quality.ssim(images, truths, mattes), _perceptual(images, truths, mattes, instruments, targets),
        quality.matte_iou(painted.mattes, mattes), _posed(tensor, real.poses, instruments),
        part_errors(images, truths, real.poses), features, faces, valid)


def measure_reals(people: Album, members: Mapping[str, npt.NDArray[np.int64]],
                  instruments: Instruments, label: str = "real photos") -> Reals:
    """Features, faces and poses of all photos of some identities."""
    owners = [(int(index), name) for name, group in members.items() for index in group]
    cases = [Case(index, index, name, "reconstruction") for index, name in owners]
    columns: list[list[npt.NDArray[Any]]] = [[], [], [], [], []]
    with progress.task(label, len(cases)) as shown:
        for batch in batches(cases, BATCH):
            real = truth(people, batch, PLAIN)
            tensor = quality.to_torch(real.images)
            looked = (*_look(tensor, real.poses, instruments), _posed(tensor, real.poses, instruments),
                      no_faces(tensor, real.poses, instruments.embedder))
            for column, values in zip(columns, looked, strict=True):
                column.append(values)
            shown.advance(len(batch))
    features, faces, valid, pose, blanks = (
        np.concatenate(column) if column else _nothing(name, instruments)
        for name, column in zip(("features", "faces", "face_valid", "pose", "faces"), columns, strict=True))
    return Reals(np.asarray([index for index, _ in owners], np.int64), [name for _, name in owners],
                 features, faces, valid.astype(bool), pose, blanks)


@torch.no_grad()
def no_faces(images: Tensor, poses: Images, embedder: FaceEmbedder) -> Floats:
    """Embeddings of three things that are no face for each face in `images` [B, 3, S, S] -> [3 F, e]: what lies a head
    and a half below it, the face's sixteen fields shuffled, and the face blurred to three by three pixels."""
    maps = _maps(poses)
    faces, valid = align(images, maps, embedder.size)
    heads = [box[3] - box[1] if (box := head_box(pose)) else 0 for pose in poses]
    below = torch.stack([image.roll(-round(1.5 * head), 1) for image, head in zip(images, heads, strict=True)])
    chests, _ = align(below, maps, embedder.size)
    faces, chests = faces[valid], chests[valid]
    if not len(faces):
        return np.zeros((0, embedder.dim))
    size = embedder.size
    blurred = functional.interpolate(functional.adaptive_avg_pool2d(faces, 3), (size, size), mode="bilinear")
    return np.concatenate([embedder(some).double().numpy() for some in (chests, _shuffled(faces), blurred)])


def _shuffled(faces: Tensor) -> Tensor:
    """The sixteen fields of each face [B, 3, S, S] in another, fixed order."""
    side = faces.shape[-1] // 4
    order = np.random.default_rng(0).permutation(16)
    out = faces.clone()
    for to, where in enumerate(order):
        (y, x), (v, u) = divmod(to, 4), divmod(int(where), 4)
        out[..., y * side : (y + 1) * side, x * side : (x + 1) * side] = (
            faces[..., v * side : (v + 1) * side, u * side : (u + 1) * side])
    return out


@torch.no_grad()
def _look(tensor: Tensor, poses: Images, instruments: Instruments) -> tuple[Floats, Floats, Bools]:
    faces, valid = instruments.embedder.embed(tensor, _maps(poses))
    return instruments.features(tensor).double().numpy(), faces.double().numpy(), valid.numpy()


@torch.no_grad()
def _posed(tensor: Tensor, poses: Images, instruments: Instruments) -> Floats:
    agreement = instruments.body.agreement(tensor, torch.from_numpy(np.ascontiguousarray(poses[..., 0])))
    return np.asarray(agreement.double().numpy())


def _maps(poses: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(poses.transpose(0, 3, 1, 2)))


@torch.no_grad()
def _perceptual(images: Images, truths: Images, masks: Images, instruments: Instruments,
                targets: Sequence[int]) -> Floats:
    mask = torch.from_numpy(masks[:, None].astype(np.float32) / 255)
    _, first, of = np.unique(np.asarray(targets), return_index=True, return_inverse=True)
    known = quality.to_torch(truths[first])
    distances = instruments.perceptual(quality.to_torch(images), known, mask, torch.from_numpy(of)).double().numpy()
    return np.where(masks.any(axis=(1, 2)), distances, np.nan)


def _nothing(name: str, instruments: Instruments) -> npt.NDArray[Any]:
    width = {"features": instruments.features.dim, "faces": instruments.embedder.dim, "parts": len(PARTS)}.get(name)
    return np.zeros((0,) if width is None else (0, width), bool if name == "face_valid" else np.float64)
