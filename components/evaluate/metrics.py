"""From measurements to metrics: one group of pairs, three methods, the same metrics for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.core.settings import EvaluateSettings
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.distances import Space, set_distances
from components.evaluate.measuring.facefind import Trial
from components.evaluate.measuring.identity import Similarities, identity_metrics, similarities
from components.evaluate.measuring.intervals import Metric, Resampler, difference, mean_of, missing, side_of
from components.evaluate.measuring.measure import Instruments, Measured, Reals, measure
from components.evaluate.measuring.methods import Method, ModelMethod, SourceCopy, TextureWarp
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.parts import PARTS
from components.evaluate.measuring.quality import Floats

NO_PAIRS = {
    "transfer": "no held-out person has two photos",
    "repose": "no two held-out photos of a person show the same clothes",
    "reconstruction": "no held-out person has a single photo",
}
READABLE = 0.45
"""Least agreement of real photos' poses, as read from the picture, with their pose maps, for the reader to be believed:
between what it reaches on held-out synthetic photos and what the pose map of another photo would reach."""


@dataclass(frozen=True)
class Against:
    """What outputs are held against: the split's real photos, the finder of faces, how metrics are made."""

    reals: Reals
    trial: Trial
    """Of the finder of faces."""
    instruments: Instruments
    settings: EvaluateSettings

    def resampler(self, pairs: Sequence[EvaluationPair]) -> Resampler:
        """Resamples of some pairs by identity."""
        return Resampler([pair.identity for pair in pairs], self.settings.bootstrap, self.settings.seed)


@dataclass(frozen=True)
class Outputs:
    """What one method's outputs for a group measured, and their faces against the real ones."""

    measured: Measured
    faces: Similarities
    metrics: dict[str, Metric]
    parts: dict[str, Metric]
    """Error of each body part."""

    def parts_json(self) -> dict[str, dict[str, object]]:
        """Body part -> {"l1": metric}."""
        return {part: {"l1": metric.to_json()} for part, metric in self.parts.items()}


@dataclass(frozen=True)
class Group:
    """A group of pairs of one kind with everybody's outputs; `outputs` has "model" and the baselines by name."""

    kind: str
    pairs: list[EvaluationPair]
    outputs: dict[str, Outputs]

    @property
    def model(self) -> Outputs:
        """The model's outputs."""
        return self.outputs["model"]

    def where(self, pairs: Sequence[EvaluationPair]) -> list[int]:
        """Positions in this group of the pairs of `pairs`."""
        at = {(pair.source, pair.target): k for k, pair in enumerate(self.pairs)}
        return [at[pair.source, pair.target] for pair in pairs]

    def to_json(self) -> dict[str, object]:
        """Pairs, the model's metrics and the baselines' in plain values."""
        metrics = {name: {key: metric.to_json() for key, metric in outputs.metrics.items()}
                   for name, outputs in self.outputs.items()}
        baselines = {name: {**found, "parts": self.outputs[name].parts_json()}
                     for name, found in metrics.items() if name != "model"}
        return {"pairs": len(self.pairs), "metrics": metrics["model"], "parts": self.model.parts_json(),
                "baselines": baselines}


def group(kind: str, people: Album, pairs: Sequence[EvaluationPair], model: ModelMethod, against: Against,
          whole: Group | None = None) -> Group:
    """Evaluate the model and both baselines on a group of pairs. Distances between sets only for "transfer": the other
    groups are its parts, or people without a pair. `whole` is a group with the same pairs among its own, from which
    the copy of the source is taken: it does not depend on the kind."""
    methods: list[Method] = [model, TextureWarp()]
    if kind != "reconstruction":
        methods.append(SourceCopy())  # a photo copied into its own pose is the truth itself
    outputs: dict[str, Outputs] = {}
    for method in methods:
        if whole and method.name == SourceCopy.name:
            measured = whole.outputs[method.name].measured.take(whole.where(pairs))
        else:
            label = f"{kind}: {method.name.replace('_', ' ')}"
            measured = measure(people, pairs, method, against.instruments, label)
        outputs[method.name] = measured_outputs(kind, pairs, measured, against)
        if kind == "transfer":
            settings = against.settings
            outputs[method.name].metrics.update(set_distances(
                pairs, measured, against.reals, space(against.instruments), least=settings.min_images,
                draws=settings.bootstrap, seed=settings.seed))
    found = Group(kind, list(pairs), outputs)
    warped = outputs[TextureWarp.name].measured["perceptual"]
    found.model.metrics["over_warp"] = over_warp(kind, pairs, found.model.measured, warped, against)
    return found


def measured_outputs(kind: str, pairs: Sequence[EvaluationPair], measured: Measured, against: Against) -> Outputs:
    """The metrics of outputs for `pairs` by themselves, whoever made them."""
    resampler = against.resampler(pairs)
    faces = similarities(pairs, measured, against.reals)
    metrics = {name: resampler.mean(values, nobody=NO_PAIRS[kind]) for name, values in measured.of_pairs.items()}
    named = identity_metrics(faces, resampler)
    metrics |= {"face_similarity": named["face_similarity"]} if kind == "reconstruction" else named
    metrics["face_found"] = against.trial.share(pairs, measured, against.reals, resampler)
    metrics |= _pose_metrics(pairs, measured, against, resampler)
    errors = {name: resampler.mean(measured.parts[:, column], nobody=f"no target photo shows the {name}")
              for column, name in enumerate(PARTS)}
    return Outputs(measured, faces, metrics, errors)


def over_warp(kind: str, pairs: Sequence[EvaluationPair], measured: Measured, warped: Floats,
              against: Against) -> Metric:
    """Perceptual distance of outputs for some pairs as a multiple of the texture warp's, `warped`."""
    return against.resampler(pairs).ratio(measured["perceptual"], warped, nobody=NO_PAIRS[kind])


def space(instruments: Instruments) -> Space:
    """The feature space of some instruments."""
    return Space(instruments.features.name, instruments.features.kernel_scale)


def _pose_metrics(pairs: Sequence[EvaluationPair], measured: Measured, against: Against,
                  resampler: Resampler) -> dict[str, Metric]:
    """`pose`, the agreement itself, and `pose_fidelity`, as a share of what the real photos reach with the same reader;
    neither where the reader cannot read the real photos."""
    if not pairs:
        return {"pose_fidelity": missing("there are no pairs")}
    real = against.reals.pose[against.reals.rows([pair.target for pair in pairs])]
    agreed = resampler.mean(real)
    if (side := side_of(agreed, READABLE)) < 1:
        said = (f"real ones agree with their own pose maps by {agreed.value:.2f} ({agreed.low:.2f} to "
                f"{agreed.high:.2f}), {READABLE} is needed")
        name = against.instruments.body.name
        reason = missing(f"{name} cannot read poses from these photos: {said}" if side < 0 else
                         f"too few photos to tell whether {name} can read poses from them: {said}")
        return {"pose": reason, "pose_fidelity": reason}
    return {"pose_fidelity": resampler.ratio(measured["pose"], real)}


def gaps(held_out: Group, trained: tuple[Sequence[EvaluationPair], Measured, Similarities],
         settings: EvaluateSettings) -> dict[str, dict[str, Metric]]:
    """A first look at memorisation: the same for pairs of the training split.

    For the masked difference and the face similarity: the metric on training people, on held-out people, and the gap
    (held-out minus training for the difference, training minus held-out for the similarity: above 0 is better on
    people it was trained on).
    """
    pairs, measured, faces = trained
    inside = Resampler([pair.identity for pair in pairs], settings.bootstrap, settings.seed)
    outside = Resampler([pair.identity for pair in held_out.pairs], settings.bootstrap, settings.seed)
    nobody = "needs pairs of training and of held-out people"

    def three(train: Floats, held: Floats, sign: int) -> dict[str, Metric]:
        gap = difference((outside, sign * held), (inside, sign * train), nobody)
        return {"train": inside.mean(train, nobody=nobody), "held_out": outside.mean(held, nobody=nobody), "gap": gap}

    return {"l1": three(measured["l1"], held_out.model.measured["l1"], 1),
            "face_similarity": three(faces.output, held_out.model.faces.output, -1)}


def by_identity(group: Group) -> list[dict[str, object]]:
    """The model's mean metrics for each identity of a group, worst perceptual distance first."""
    outputs, names = group.model, np.asarray([pair.identity for pair in group.pairs])
    rows: list[dict[str, object]] = []
    for name in sorted(set(names.tolist())):
        mine = names == name
        row: dict[str, object] = {"identity": name, "pairs": int(mine.sum())}
        for key in ("perceptual", "ssim", "psnr", "matte_iou"):
            row[key] = mean_of(outputs.measured[key][mine])
        row["face_similarity"] = mean_of(outputs.faces.output[mine])
        row["another_photo_similarity"] = mean_of(outputs.faces.another[mine])
        rows.append(row)
    return sorted(rows, key=lambda row: (-float(str(row["perceptual"] or 0)), str(row["identity"])))


def ranked(group: Group) -> list[int]:
    """Pairs of a group from the model's best to its worst output, by perceptual distance."""
    distances = group.model.measured["perceptual"]
    return [int(k) for k in np.argsort(distances, kind="stable") if np.isfinite(distances[k])]
