"""From four populations of synthetic people to the networks that ship."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from components.core.errors import InputError, SettingsError
from components.core.networks.pretrained.builtin import (
    FaceNet,
    FeatureNet,
    FinderNet,
    JudgeNet,
    PartsNet,
    PerceptualNet,
    folded,
)
from components.core.networks.pretrained.weights import NETWORKS
from components.core.progress import task
from components.core.record.recorder import NoRecord, Recorder
from pipelines.pretraining import finding, identity, parts, pictures, score
from pipelines.pretraining.photos import Population, people_of, read_population
from pipelines.pretraining.publish import Trained, publish

IN_LOSSES = ("builtin-face", "builtin-perceptual")
JUDGES = ("builtin-judge", "builtin-features", "builtin-parts")
FINDERS = ("builtin-finder",)


@dataclass(frozen=True)
class PretrainSettings:
    """How long each network trains. The defaults take about half an hour on two cores."""

    face_steps: int = 800
    judge_steps: int = 800
    perceptual_steps: int = 400
    feature_steps: int = 400
    part_steps: int = 300
    finder_steps: int = 300
    batch: int = 96
    """Faces per step; person crops are a third and a sixth as many."""
    most_bodies: int = 3000
    """Person crops kept of each population that is trained on."""
    measured_bodies: int = 900
    """Person crops of the held-out population that distances are measured on."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (0 if name == "seed" else 1):
                raise SettingsError(f"{name} = {value} is too small", remedy="give at least 1")
        if self.batch < 48:
            raise SettingsError(f"batch = {self.batch} is too small to normalise", remedy="give at least 48")


@dataclass(frozen=True)
class PretrainSummary:
    """What was trained and what was measured, by network name."""

    folder: str
    metrics: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def pretrain(
    faces: Path,
    judge: Path,
    finder: Path,
    held_out: Path,
    out: Path,
    settings: PretrainSettings | None = None,
    recorder: Recorder | None = None,
    *,
    only: Sequence[str] = tuple(NETWORKS),
    command: str = "make weights",
) -> PretrainSummary:
    """Train the networks named in `only` and write each, as soon as it is done, to `out` with its card.

    `faces` teaches the networks of the losses (face, perceptual), `judge` those that judge (judge, features, parts),
    `finder` the one that finds faces, and metrics come from `held_out`; each is a folder with photos/, iuv/ and
    labels.csv, and no person may be in two. Folders that teach no network in `only` are not looked at.
    Raises `InputError` for folders that cannot be used or share people, `SettingsError` for unknown networks.
    """
    settings, recorder = settings or PretrainSettings(), recorder or NoRecord()
    unknown = [name for name in only if name not in NETWORKS]
    if unknown:
        raise SettingsError(f"unknown network {unknown[0]}", remedy=f"there are {', '.join(NETWORKS)}")
    taught = [(folder, [name for name in names if name in only])
              for folder, names in ((faces, IN_LOSSES), (judge, JUDGES), (finder, FINDERS))]
    _check_disjoint(*(folder for folder, wanted in taught if wanted), held_out)
    torch.use_deterministic_algorithms(True)
    recorder.params(asdict(settings))
    measured: dict[str, dict[str, float]] = {}
    unseen = read_population(held_out, most_bodies=settings.measured_bodies, label="reading held-out people")
    for folder, wanted in taught:
        if not wanted:
            continue
        people = read_population(folder, most_bodies=settings.most_bodies, label=f"reading {folder.name}")
        for name in wanted:
            network = _rounded(_TRAIN[name](people, settings))
            metrics = _measure(name, network, unseen, settings.seed)
            recorder.metrics({f"{name}.{key}": value for key, value in metrics.items()})
            publish(Trained(name, network.state_dict(), people.describe(), command, metrics), out)
            measured[name] = metrics
        del people
        gc.collect()
    return PretrainSummary(str(out), measured)


def _folded(network: nn.Module) -> nn.Module:
    """The form that ships, of a network just trained: normalisation folded in, frozen."""
    plain = type(network)()
    plain.load_state_dict(folded(network))
    return plain.eval().requires_grad_(False)


def _rounded(network: nn.Module) -> nn.Module:
    """Rounded to float16 as it will be written, so that what is measured is what ships."""
    network.load_state_dict({key: tensor.half().float() for key, tensor in network.state_dict().items()})
    return network


def _train_face(people: Population, settings: PretrainSettings) -> nn.Module:
    return _folded(identity.train_face(people, settings.face_steps, settings.batch, settings.seed + 1))


def _train_judge(people: Population, settings: PretrainSettings) -> nn.Module:
    return _folded(identity.train_judge(people, settings.judge_steps, settings.batch, settings.seed + 2))


def _train_perceptual(people: Population, settings: PretrainSettings) -> nn.Module:
    trained = pictures.train_perceptual(people, settings.perceptual_steps, settings.batch // 6, settings.seed + 3)
    network = _folded(trained)
    pictures.balance_layers(cast(PerceptualNet, network), people, settings.seed)
    return network


def _train_features(people: Population, settings: PretrainSettings) -> nn.Module:
    trained = pictures.train_features(people, settings.feature_steps, settings.batch // 3, settings.seed + 4)
    network = _folded(trained)
    pictures.standardise(cast(FeatureNet, network), people)
    return network


def _train_parts(people: Population, settings: PretrainSettings) -> nn.Module:
    return _folded(parts.train_parts(people, settings.part_steps, settings.batch // 6, settings.seed + 5))


def _train_finder(people: Population, settings: PretrainSettings) -> nn.Module:
    return _folded(finding.train_finder(people, settings.finder_steps, settings.batch, settings.seed + 6))


_TRAIN: dict[str, Callable[[Population, PretrainSettings], nn.Module]] = {
    "builtin-face": _train_face,
    "builtin-judge": _train_judge,
    "builtin-perceptual": _train_perceptual,
    "builtin-features": _train_features,
    "builtin-parts": _train_parts,
    "builtin-finder": _train_finder,
}


def _measure(name: str, network: nn.Module, people: Population, seed: int) -> dict[str, float]:
    with task(f"measuring {name}", 1) as progress:
        if isinstance(network, (FaceNet, JudgeNet)):
            metrics = score.face_metrics(network, people, seed)
        elif isinstance(network, PerceptualNet):
            metrics = score.perceptual_metrics(network, people, seed)
        elif isinstance(network, PartsNet):
            metrics = parts.part_metrics(network, people, seed)
        elif isinstance(network, FinderNet):
            metrics = finding.finder_metrics(network, people, seed)
        else:
            metrics = score.feature_metrics(cast(FeatureNet, network), people, seed)
        progress.advance()
    return metrics


def _check_disjoint(*folders: Path) -> None:
    where: dict[str, Path] = {}
    for folder in folders:
        for person in people_of(folder):
            if person in where:
                raise InputError(
                    f"person {person} is also in {where[person]}",
                    path=folder,
                    remedy="synthesize populations that do not overlap (synthesize.first_person)",
                )
        where |= dict.fromkeys(people_of(folder), folder)
