"""``photoshoot experiment identity``: does the face survive, and what does the network add to warping?

Trains `paper` and `warp`, or one of them, with an equal number of steps on the same people and evaluates them, and
methods without a network, on people of the test split. Faces are judged by an embedder that was in nobody's loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from components.core.artifacts.model import GENERATOR
from components.core.errors import InputError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import TABLE, Identities
from components.core.record.recorder import Recorder
from components.core.settings import Generator, Settings, TrainSettings
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.identity import identity_metrics, similarities
from components.evaluate.measuring.intervals import Metric, Resampler
from components.evaluate.measuring.measure import Instruments, Measured, Reals, measure, measure_reals
from components.evaluate.measuring.methods import Method, ModelMethod, SourceCopy, TextureWarp
from components.evaluate.measuring.pairs import EvaluationPair, PairSet, choose, reposes
from components.train import train
from components.train.place import training_digest
from pipelines.experiments.identity.curve import Curve
from pipelines.experiments.identity.methods import MeanPhoto, MirroredHeadWarp, NearestPhoto, SeveralSources
from pipelines.experiments.identity.regions import METRICS, Regional, measure_regions

GENERATORS: tuple[Generator, ...] = get_args(Generator)
SOURCES = (1, 2, 4)
BASELINES: tuple[Method, ...] = (MirroredHeadWarp(), TextureWarp())
"""Warping without a network: unseen texels off the head at the mean, or filled from the seen ones."""
LEVELS = (1.0, 0.85, 0.75)
"""Perceptual distances to reach, as multiples of the mirrored-head warp's on the same pairs."""
_LOOKS, _LOOKED_AT = 12, 48


@dataclass(frozen=True)
class Row:
    """One method's metrics."""

    name: str
    metrics: dict[str, Metric]
    """identity_recovered, face_similarity, head_psnr, head_box_psnr, unseen_l1, off_body_l1, sharpness, perceptual,
    ssim; and on the same pairs against `BASELINES`: head_gain (dB), head_box_gain, unseen_ratio, off_body_ratio
    with the baseline's name and a slash before them."""


@dataclass(frozen=True)
class Findings:
    """All that the experiment found."""

    settings: Settings
    people: int
    held_out: int
    rows: dict[str, list[Row]]
    """By kind of pair: "transfer", "repose"."""
    counts: dict[str, int]
    """Pairs by kind."""
    curves: dict[Generator, Curve]
    warp_distance: float
    """The mirrored-head warp's perceptual distance on the pairs of the curves."""
    sources: list[Row]
    sources_pairs: int
    judge: str
    models: dict[Generator, Path]
    pair_set: PairSet


class Study:
    """People, pairs and judges, the same for all methods."""

    def __init__(self, people: Path, identities: Path, settings: Settings) -> None:
        self.settings = settings
        self.dataset, self.identities = PeopleDataset.open(people), Identities.open(identities)
        self.album = Album(self.dataset)
        self.pair_set = choose(self.dataset, self.identities, "test", settings.evaluate.pairs, settings.evaluate.seed)
        if not self.pair_set.transfer:
            raise InputError("no held-out person has two photos", path=identities,
                             remedy="bring more photos of each person, or raise cluster.test")
        self.pairs: dict[str, list[EvaluationPair]] = {
            "transfer": self.pair_set.transfer, "repose": reposes(self.album, self.pair_set.transfer)}
        self.instruments = Instruments(settings.evaluate, self.dataset.origin)
        self.reals = measure_reals(self.album, self.pair_set.members, self.instruments)
        self.trained = list(self.identities.members(self.dataset, "train").values())

        self._without: dict[tuple[EvaluationPair, ...], dict[str, Regional]] = {}

    def row(self, method: Method, pairs: Sequence[EvaluationPair], label: str) -> Row:
        """A method's metrics on some pairs, and against the baselines on the same."""
        measured = measure(self.album, pairs, method, self.instruments, label)
        regional = measure_regions(self.album, pairs, method)
        resampler = Resampler([pair.identity for pair in pairs], self.settings.evaluate.bootstrap,
                              self.settings.evaluate.seed)
        metrics = _metrics(pairs, measured, regional, self.reals, resampler)
        for name, baseline in self._baselines(tuple(pairs)).items():
            metrics |= {f"{name}/{key}": metric for key, metric in _against(regional, baseline, resampler).items()}
        return Row(method.name, metrics)

    def _baselines(self, pairs: tuple[EvaluationPair, ...]) -> dict[str, Regional]:
        if pairs not in self._without:
            self._without[pairs] = {one.name: measure_regions(self.album, pairs, one) for one in BASELINES}
        return self._without[pairs]


def _metrics(pairs: Sequence[EvaluationPair], measured: Measured, regional: Regional, reals: Reals,
             resampler: Resampler) -> dict[str, Metric]:
    faces = identity_metrics(similarities(pairs, measured, reals), resampler)
    metrics = {name: faces[name] for name in ("identity_recovered", "face_similarity")}
    metrics |= {name: resampler.mean(getattr(regional, name)) for name in METRICS}
    metrics["sharpness"] = resampler.ratio(regional.sharpness, regional.true_sharpness)
    return metrics | {name: resampler.mean(measured[name]) for name in ("perceptual", "ssim")}


def _against(regional: Regional, baseline: Regional, resampler: Resampler) -> dict[str, Metric]:
    return {
        "head_gain": resampler.mean(regional.head_psnr - baseline.head_psnr),
        "head_box_gain": resampler.mean(regional.head_box_psnr - baseline.head_box_psnr),
        "unseen_ratio": resampler.ratio(regional.unseen_l1, baseline.unseen_l1),
        "off_body_ratio": resampler.ratio(regional.off_body_l1, baseline.off_body_l1),
    }


def made_people(people: Path | None, identities: Path | None, work: Path, settings: Settings) -> tuple[Path, Path]:
    """The people and identities given, or synthetic ones made in `work` (and used again by the next call).

    Raises `InputError` when only one of the two is given.
    """
    if (people is None) != (identities is None):
        raise InputError("--people and --identities go together", remedy="give both, or neither")
    if people is not None and identities is not None:
        return people, identities
    from components.cluster import cluster
    from components.preprocess import preprocess
    from components.synthesize import synthesize

    photos, people, identities = work / "photos", work / "people", work / "identities"
    if not (identities / TABLE).is_file():
        synthesize(photos, settings.synthesize)
        preprocess(photos, people, settings.preprocess)
        cluster(people, identities, settings.cluster)
    return people, identities


def run(people: Path, identities: Path, out: Path, settings: Settings, recorder: Recorder,
        generators: Sequence[Generator] = GENERATORS) -> Findings:
    """Train the generators (or take those that an earlier try finished), evaluate every method, and measure.

    Models go to ``out / <generator>``. Raises `InputError` when there is nobody to evaluate on, and what training and
    reading the data raise.
    """
    study = Study(people, identities, settings)
    shown = study.pairs["transfer"][:_LOOKED_AT]
    curves, models = {}, {}
    for generator in generators:
        chosen = settings.train.model_copy(update={"generator": generator})
        folder = out / generator
        curves[generator] = _train(study, chosen, people, identities, folder, shown)
        models[generator] = folder / GENERATOR
    methods: list[Method] = [SourceCopy(), MeanPhoto(study.album, study.trained), NearestPhoto(study.trained),
                             *BASELINES]
    for generator in generators:
        method = ModelMethod(Reposer.load(models[generator]))
        method.name = generator
        methods.append(method)
    rows = {kind: [study.row(method, pairs, f"{kind}: {method.name}") for method in methods]
            for kind, pairs in study.pairs.items() if pairs}
    plain = measure(study.album, shown, BASELINES[0], study.instruments, "mirrored-head warp")
    count, sources = _sources(study, models["warp"]) if "warp" in models else (0, [])
    findings = Findings(
        settings, len(study.dataset), len(study.pair_set.members), rows,
        {kind: len(pairs) for kind, pairs in study.pairs.items()}, curves, float(np.nanmean(plain["perceptual"])),
        sources, count, study.instruments.embedder.name, models, study.pair_set)
    _record(findings, recorder)
    return findings


def _train(study: Study, settings: TrainSettings, people: Path, identities: Path, folder: Path,
           shown: Sequence[EvaluationPair]) -> Curve:
    """A training that is looked at; neither the time for looking is counted nor, after an interruption, what came
    after the last look."""
    digest = training_digest(settings, study.dataset.digest, study.identities.digest)
    curve = Curve.open(folder.with_name(f"{folder.name}-curve.json"), digest)
    since = time.monotonic()

    def look(step: int, reposer: Reposer) -> None:
        nonlocal since
        before = curve.before(step)
        seconds = (before[-1][1] if before else 0.0) + time.monotonic() - since
        found = measure(study.album, shown, ModelMethod(reposer), study.instruments, f"step {step}")
        curve.add(step, seconds, float(np.nanmean(found["perceptual"])))
        since = time.monotonic()

    train(people, identities, folder, settings, look=look, look_every=max(settings.steps // _LOOKS, 1))
    return curve


def _sources(study: Study, model: Path) -> tuple[int, list[Row]]:
    """The same pairs with 1, 2 and 4 photos of the person, where there are so many besides the target."""
    members: list[npt.NDArray[np.int64]] = list(study.pair_set.members.values())
    many = {name for name, group in study.pair_set.members.items() if len(group) > max(SOURCES)}
    pairs = [pair for pair in study.pairs["transfer"] if pair.identity in many]
    if not pairs:
        return 0, []
    reposer = Reposer.load(model)
    rows = [study.row(SeveralSources(count, members, network), pairs, f"{count} photos")
            for network in (None, reposer) for count in SOURCES]
    return len(pairs), rows


def _record(findings: Findings, recorder: Recorder) -> None:
    recorder.params({"train": findings.settings.train.model_dump(mode="json")})
    for kind, rows in findings.rows.items():
        values: dict[str, Any] = {f"{kind}/{row.name}/{name}": metric.value for row in rows
                                  for name, metric in row.metrics.items() if metric.value is not None}
        recorder.metrics(values)
    for generator, curve in findings.curves.items():
        for step, seconds, distance in curve.points:
            recorder.metrics({f"curve/{generator}/perceptual": distance, f"curve/{generator}/seconds": seconds}, step)
