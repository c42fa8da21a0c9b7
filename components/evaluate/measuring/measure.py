"""Measure pictures once, keep the numbers: per pair, per real photo. No picture outlives its batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core import progress
from components.core.faces.recognition import FaceEmbedder, load_embedder
from components.core.networks.pretrained.features import BodyParts, Features, PerceptualDistance
from components.core.settings import EvaluateSettings
from components.evaluate.measuring import quality
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.finder import KINDS, FaceFinder, finder_for
from components.evaluate.measuring.methods import Method, Rendered, truth
from components.evaluate.measuring.pairs import EvaluationPair, batches
from components.evaluate.measuring.parts import PARTS, part_errors
from components.evaluate.measuring.quality import PLAIN, Floats, Images

BATCH = 16
Bools = npt.NDArray[np.bool_]


class Instruments:
    """The networks that judge, all frozen: none of them is shown a training image here."""

    def __init__(self, settings: EvaluateSettings, origin: str) -> None:
        self.perceptual = PerceptualDistance(settings.perceptual).eval()
        self.features = Features(settings.features).eval()
        self.body = BodyParts().eval()
        self.embedder: FaceEmbedder = load_embedder(judge_name(settings, origin))
        self.finder: FaceFinder = finder_for(origin)
        for network in (self.perceptual, self.features, self.body):
            # A fifth less time on a processor. torch's types lack this call.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def judge_name(settings: EvaluateSettings, origin: str) -> str:
    """Which face embedder judges: as set, or by `origin` ("synthetic" or "photos")."""
    if settings.embedder != "auto":
        return settings.embedder
    return "builtin-judge" if origin == "synthetic" else "sface"


@dataclass(frozen=True)
class Measured:
    """Metrics of the outputs for n pairs, in their order; NaN where there is nothing to measure."""

    of_pairs: Mapping[str, Floats]
    """`quality.OF_PAIRS` and `OF_NETWORKS` by name, [n] each."""
    parts: Floats
    """[n, 4]: error of each of `parts.PARTS`, 0..1"""
    features: Floats
    """[n, d]"""
    faces: Floats
    """[n, e], of length one; zero where `face_valid` is false."""
    face_valid: Bools
    face_score: Floats
    """Above 0 where the finder sees a face; NaN where `face_valid` is false."""

    def __getitem__(self, name: str) -> Floats:
        return self.of_pairs[name]

    def take(self, which: Sequence[int]) -> Measured:
        """The metrics of some of the pairs."""
        rows = np.asarray(which, np.intp)
        return Measured({name: values[rows] for name, values in self.of_pairs.items()},
                        **{name: getattr(self, name)[rows] for name in _COLUMNS})

    @staticmethod
    def joined(parts: Sequence[Measured]) -> Measured:
        """Several, of which there is at least one, as one."""
        return Measured({name: np.concatenate([part[name] for part in parts]) for name in parts[0].of_pairs},
                        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS})


_COLUMNS = tuple(field.name for field in fields(Measured))[1:]
OF_NETWORKS = ("perceptual", "pose")
"""Metrics of single pairs that a network measures: the perceptual distance, and the agreement of the body parts seen in
the picture with those of the target pose map, 0..1."""


@dataclass(frozen=True)
class Reals:
    """Features and faces of real photos, all of one split, over the plain background."""

    indices: npt.NDArray[np.int64]
    identities: list[str]
    features: Floats
    faces: Floats
    face_valid: Bools
    pose: Floats
    """As in `OF_NETWORKS`, of the photo with its own pose map: what the reader of poses is worth on such photos."""
    face_score: Floats
    """As in `Measured`: what the finder of faces is worth on such photos."""
    no_faces: Floats
    """[n, k]: the finder's scores of `finder.KINDS`, made from the photo's face."""

    def rows(self, indices: Sequence[int]) -> npt.NDArray[np.intp]:
        """Where the photos with these data set indices are."""
        at = {int(index): row for row, index in enumerate(self.indices)}
        return np.asarray([at[index] for index in indices], np.intp)


def batch_of(people: Album) -> int:
    """How many pictures are looked at together: of larger ones fewer, so that they take no more memory."""
    return max(1, BATCH * people.people.resolution**2 // people.size**2)


def measure(people: Album, pairs: Sequence[EvaluationPair], method: Method, instruments: Instruments,
            label: str) -> Measured:
    """Have `method` render the pairs over a plain background and compare each output with its truth."""
    parts: list[Measured] = []
    # In the order of their targets: a batch has few truths, and each is looked at once.
    order = sorted(range(len(pairs)), key=lambda k: pairs[k].target)
    with progress.task(label, len(pairs)) as shown:
        for batch in batches([pairs[k] for k in order], batch_of(people)):
            rendered, real = method.render(people, batch, PLAIN), truth(people, batch, PLAIN)
            parts.append(compare(rendered, real, instruments, [pair.target for pair in batch]))
            shown.advance(len(batch))
    if not parts:
        return Measured({name: np.zeros(0) for name in (*quality.OF_PAIRS, *OF_NETWORKS)},
                        **{name: _nothing(name, instruments) for name in _COLUMNS})
    return Measured.joined(parts).take(np.argsort(order, kind="stable").tolist())


def measure_by_target(people: Album, pairs: Sequence[EvaluationPair], method: Method, instruments: Instruments,
                      label: str) -> Measured:
    """`measure` for a method whose output depends on the target alone: each target is painted and measured once."""
    first = {pair.target: k for k, pair in reversed(list(enumerate(pairs)))}
    targets = sorted(first)
    found = measure(people, [pairs[first[target]] for target in targets], method, instruments, label)
    at = {target: row for row, target in enumerate(targets)}
    return found.take([at[pair.target] for pair in pairs])


def masked_errors(people: Album, pairs: Sequence[EvaluationPair], method: Method, label: str) -> Floats:
    """The metric `l1` alone: no network looks at the outputs."""
    parts: list[Floats] = [np.zeros(0)]
    with progress.task(label, len(pairs)) as shown:
        for batch in batches(pairs, batch_of(people)):
            rendered, real = method.render(people, batch, PLAIN), truth(people, batch, PLAIN)
            parts.append(quality.absolute(rendered.images, real.images, real.mattes))
            shown.advance(len(batch))
    return np.concatenate(parts)


def compare(rendered: Rendered, real: Rendered, instruments: Instruments, targets: Sequence[int]) -> Measured:
    """Measure one batch of pictures against their truths; equal `targets` have equal truths."""
    compared = quality.Compared(rendered.images, real.images, rendered.mattes, real.mattes)
    tensor = quality.to_torch(rendered.images)
    of_pairs = {name: metric(compared) for name, metric in quality.OF_PAIRS.items()}
    of_pairs["perceptual"] = _perceptual(rendered.images, real.images, real.mattes, instruments, targets)
    of_pairs["pose"] = _posed(tensor, real.poses, instruments)
    features, faces, valid, scores = _look(tensor, rendered.poses, instruments)
    return Measured(of_pairs, part_errors(rendered.images, real.images, real.poses), features, faces, valid, scores)


def measure_reals(people: Album, members: Mapping[str, npt.NDArray[np.int64]],
                  instruments: Instruments, label: str = "real photos") -> Reals:
    """Features, faces and poses of all photos of some identities."""
    owners = [(int(index), name) for name, group in members.items() for index in group]
    pairs = [EvaluationPair(index, index, name, "reconstruction") for index, name in owners]
    columns: list[list[npt.NDArray[Any]]] = [[] for _ in _OF_REALS]
    with progress.task(label, len(pairs)) as shown:
        for batch in batches(pairs, batch_of(people)):
            real = truth(people, batch, PLAIN)
            tensor = quality.to_torch(real.images)
            looked = (*_look(tensor, real.poses, instruments), _posed(tensor, real.poses, instruments),
                      instruments.finder.tried(tensor, real.poses))
            for column, values in zip(columns, looked, strict=True):
                column.append(values)
            shown.advance(len(batch))
    found = {name: np.concatenate(column) if column else _nothing(name, instruments)
             for name, column in zip(_OF_REALS, columns, strict=True)}
    return Reals(np.asarray([index for index, _ in owners], np.int64), [name for _, name in owners], **found)


_OF_REALS = ("features", "faces", "face_valid", "face_score", "pose", "no_faces")


@torch.no_grad()
def _look(tensor: Tensor, poses: Images, instruments: Instruments) -> tuple[Floats, Floats, Bools, Floats]:
    faces, valid = instruments.embedder.embed(tensor, _maps(poses))
    scores = instruments.finder.scores(tensor, poses)
    return instruments.features(tensor).double().numpy(), faces.double().numpy(), valid.numpy(), scores


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
    width = {"features": instruments.features.dim, "faces": instruments.embedder.dim, "parts": len(PARTS),
             "no_faces": len(KINDS)}.get(name)
    return np.zeros((0,) if width is None else (0, width), bool if name == "face_valid" else np.float64)
