"""Have the model, the baselines and the controls render the pairs; measure everybody alike. Numbers, not yet words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.core.judging import gate
from components.evaluate import metrics
from components.evaluate.controls import Control, controls, judged
from components.evaluate.evaluated import EvaluatedModel, Ground
from components.evaluate.measuring.distances import ratio
from components.evaluate.measuring.facefind import Trial
from components.evaluate.measuring.identity import similarities
from components.evaluate.measuring.intervals import Metric
from components.evaluate.measuring.measure import Measured, Reals, measure
from components.evaluate.measuring.methods import Method, TextureWarp
from components.evaluate.measuring.pairs import EvaluationPair, Kind, PairSet, choose, reposes
from components.evaluate.measuring.quality import Floats
from components.evaluate.memorisation.neighbours import identity_capture, neighbour_test
from components.evaluate.memorisation.probes import Finding, Probes, probes, retrieval, training_gap
from components.evaluate.metrics import Against, Group

GAP_PAIRS = 96
"""Training pairs: enough for an interval of the training gap; each costs a picture."""


@dataclass(frozen=True)
class Training:
    """Pairs and real photos of people that the model was trained on."""

    pairs: list[EvaluationPair]
    reals: Reals
    probes: Probes


@dataclass(frozen=True)
class Measurements:
    """All that was measured."""

    pair_set: PairSet
    against: Against
    groups: dict[str, Group]
    """"transfer", "repose", "reconstruction"."""
    training: Training
    gaps: dict[str, dict[str, Metric]]
    """The model's metrics on training and on held-out people."""
    findings: dict[str, Finding]
    """The model's tests of memorisation."""
    controls: dict[str, dict[str, Any]]

    @property
    def transfer(self) -> Group:
        """The pairs that most metrics are about."""
        return self.groups["transfer"]


def judge(model: EvaluatedModel) -> Measurements:
    """Judge a model."""
    album, settings = model.album, model.settings
    pair_set = choose(model.people, model.identities, settings.split, settings.pairs, settings.seed)
    training, against = on_ground(model, pair_set)

    def on(kind: Kind, pairs: list[EvaluationPair], whole: Group | None = None) -> Group:
        return metrics.group(kind, album, pairs, model.method, against, whole)

    transfer = on("transfer", pair_set.transfer)
    groups = {"transfer": transfer, "repose": on("repose", reposes(album.own, pair_set.transfer), transfer),
              "reconstruction": on("reconstruction", pair_set.reconstruction)}
    trained = measure(album, training.pairs, model.method, model.instruments, "training people")
    gaps = metrics.gaps(transfer, (training.pairs, trained, similarities(training.pairs, trained, training.reals)),
                        settings)
    findings = _findings(model, model.method, transfer.pairs, transfer.model.measured, trained["l1"], training, against)
    warped = transfer.outputs[TextureWarp.name].measured["perceptual"]
    checked = {control.method.name: judged(control, measured_control(model, control, transfer.pairs, warped,
                                                                     training, against), model.gate)
               for control in controls(album.own, training.reals.indices.tolist())}
    return Measurements(pair_set, against, groups, training, gaps, findings, checked)


def on_ground(ground: Ground, pair_set: PairSet) -> tuple[Training, Against]:
    """What is known about training people, and what outputs for the pairs are held against."""
    training = _training(ground, len(pair_set.transfer))
    reals = ground.measurer.reals(pair_set.members, "held-out photos")
    trial = Trial((training.reals, reals), ground.settings.seed)
    return training, Against(reals, trial, ground.instruments, ground.settings)


def _training(ground: Ground, held_out_pairs: int) -> Training:
    people, settings = ground.album.own, ground.settings
    chosen = choose(ground.people, ground.identities, "train", min(GAP_PAIRS, held_out_pairs), settings.seed)
    probing = probes(ground.people, people, ground.identities, settings)
    every = (*chosen.transfer, *probing.own, *probing.swapped)
    ends = {index for pair in every for index in (pair.source, pair.target)}
    photos = set(ground.training_photos(ends))
    members = {name: group[np.isin(group, list(photos))] for name, group in chosen.members.items()}
    reals = ground.measurer.reals(members, "training photos")
    return Training(chosen.transfer, reals, probing)


def _findings(ground: Ground, method: Method, pairs: Sequence[EvaluationPair], measured: Measured, errors: Floats,
              training: Training, against: Against) -> dict[str, Finding]:
    """The five tests of one method, from its outputs for held-out `pairs` and its `errors` on the training pairs."""
    settings, reals = ground.settings, against.reals
    name = method.name.replace("_", " ")
    own = ground.measurer.look(method, training.probes.own, f"own background: {name}")
    swapped = ground.measurer.look(method, training.probes.swapped, f"swapped texture: {name}")
    return {
        "background_retrieval": retrieval(own, training.probes, settings),
        "counterfactual_swap": retrieval(swapped, training.probes, settings),
        "training_gap": training_gap((against.resampler(pairs), measured["l1"]),
                                     (against.resampler(training.pairs), errors)),
        "identity_capture": identity_capture(pairs, measured, reals, training.reals, settings),
        "neighbour_test": neighbour_test(pairs, measured, reals, training.reals, settings),
    }


def measured_control(ground: Ground, control: Control, pairs: Sequence[EvaluationPair], warped: Floats,
                     training: Training, against: Against) -> dict[str, Any]:
    """One control through the same measurement as the model: what of metrics.json the thresholds need. `warped` are
    the perceptual distances of a texture warp's outputs."""
    method = control.method
    label = f"control: {method.name.replace('_', ' ')}"
    measured = ground.measurer.outputs(pairs, method, label)
    errors = ground.measurer.errors(training.pairs, method, f"{label}, training")
    outputs = metrics.measured_outputs("transfer", pairs, measured, against)
    outputs.metrics["over_warp"] = metrics.over_warp("transfer", pairs, measured, warped, against)
    apart = {"frechet_ratio": ratio(pairs, measured.features, against.reals, ground.settings.seed)}
    outputs.metrics.update(metrics.space(ground.instruments).mark(apart))
    findings = _findings(ground, method, pairs, measured, errors, training, against)
    return {
        "counts": {"pairs": len(pairs)}, "parts": outputs.parts_json(),
        "metrics": {name: metric.to_json() for name, metric in outputs.metrics.items()},
        "memorisation": {name: finding.metric.to_json() for name, finding in findings.items()},
    }


def bounds(findings: Mapping[str, Finding], model: EvaluatedModel) -> dict[str, tuple[float, str, bool]]:
    """Of each test its bound, comparison and whether it passed."""
    lines = {name: gate.memorisation(name, finding.metric.to_json(), model.gate) for name, finding in findings.items()}
    return {name: (line.bound, line.comparison, line.passed) for name, line in lines.items()}
