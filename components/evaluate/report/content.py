"""What metrics.json says."""

from __future__ import annotations

from typing import Any

from components.evaluate import metrics
from components.evaluate.evaluated import EvaluatedModel
from components.evaluate.judge import Measurements, bounds
from components.evaluate.measuring.distances import real_halves
from components.evaluate.measuring.identity import separation
from components.evaluate.measuring.intervals import MIN_CLUSTERS, plain
from components.evaluate.measuring.measure import Reals
from components.evaluate.measuring.parts import PARTS, slices
from components.evaluate.memorisation import probes as memorisation
from components.evaluate.report import page as report
from components.evaluate.report.recognition import recognise


def compose(model: EvaluatedModel, measurements: Measurements) -> dict[str, Any]:
    """The content of metrics.json; pictures of memorisation are added when they are written."""
    people, settings, transfer = model.people, model.settings, measurements.transfer
    reals, instruments = measurements.against.reals, model.instruments
    halves = real_halves(reals, metrics.space(instruments), least=settings.min_images, seed=settings.seed)
    behaved = bool(measurements.controls) and all(control["behaved"] for control in measurements.controls.values())
    content: dict[str, Any] = {
        "valid": behaved,
        "model": model.card(),
        "people": {"digest": people.digest, "origin": people.origin, "accepted": len(people),
                   "rejected": [{"photo": photo, "reason": reason} for photo, reason in people.rejected],
                   "pose_maps": people.counted("pose_source"), "mattes": people.counted("matte_source")},
        "identities": {"digest": model.identities.digest, "scores": model.identities.scores},
        "settings": settings.model_dump(mode="json"),
        "size": model.album.size,
        "gate": model.gate.model_dump(mode="json"),
        "judge": _judge_card(model, reals),
        "networks": {"features": instruments.features.name, "perceptual": instruments.perceptual.name,
                     "pose": instruments.body.name, "finder": instruments.finder.name},
        "counts": _counts(measurements),
        **transfer.to_json(),
        "repose": measurements.groups["repose"].to_json(),
        "reconstruction": measurements.groups["reconstruction"].to_json(),
        "reference": {name: metric.to_json() for name, metric in halves.items()},
        "memorisation": memorisation.to_json(measurements.findings, bounds(measurements.findings, model), {}),
        "controls": measurements.controls,
        "controls_behaved": behaved,
        "training_gap": {name: {part: metric.to_json() for part, metric in three.items()}
                         for name, three in measurements.gaps.items()},
        "recognition": recognise(transfer.pairs, transfer.model.measured, reals,
                                 measurements.against.resampler(transfer.pairs)).to_json(),
        "by_identity": metrics.by_identity(transfer if transfer.pairs else measurements.groups["reconstruction"]),
    }
    content["notes"] = _notes(content)
    return content


def pair_lines(model: EvaluatedModel, measurements: Measurements) -> list[dict[str, Any]]:
    """The model's metrics of each pair, for comparing two models pair by pair."""
    return [line for group in measurements.groups.values() for line in _group_lines(model, group)]


def _group_lines(model: EvaluatedModel, group: metrics.Group) -> list[dict[str, Any]]:
    measured, faces, ids = group.model.measured, group.model.faces, model.people.ids
    values = {**measured.of_pairs, "face_similarity": faces.output}
    kinds = slices(model.album.own, group.pairs)
    return [{"kind": pair.kind, "identity": pair.identity, "source": ids[pair.source], "target": ids[pair.target],
             **{name: plain(value[k]) for name, value in values.items()},
             "parts": {name: plain(measured.parts[k, column]) for column, name in enumerate(PARTS)},
             "slices": kinds[k]}
            for k, pair in enumerate(group.pairs)]


def _counts(measurements: Measurements) -> dict[str, int]:
    pair_set, transfer = measurements.pair_set, measurements.transfer
    judged = transfer.model.metrics["face_similarity"].n
    return {
        "identities": len(pair_set.members), "people": len({pair.identity for pair in pair_set.transfer}),
        "photos": len(measurements.against.reals.indices),
        "possible_pairs": pair_set.possible, "pairs": len(pair_set.transfer),
        "repose_pairs": len(measurements.groups["repose"].pairs), "one_photo_people": len(pair_set.reconstruction),
        "faces_judged": judged, "faces_left_out": len(pair_set.transfer) - judged,
        "training_photos": len(measurements.training.reals.indices), "probes": len(measurements.training.probes.own),
    }


def _judge_card(model: EvaluatedModel, reals: Reals) -> dict[str, Any]:
    trained = model.reposer.settings
    loss = trained.face if trained.face != "auto" else "builtin" if model.reposer.origin == "synthetic" else "dlib"
    name = model.instruments.embedder.name
    return {"embedder": name, "face_loss": loss if trained.weights.face > 0 else None,
            "judge_in_loss": trained.weights.face > 0 and loss == name, "separation": separation(reals).to_json()}


def _notes(content: dict[str, Any]) -> list[str]:
    """What a reader must know before believing the metrics."""
    counts, judge = content["counts"], content["judge"]
    notes = []
    for name, control in content["controls"].items():
        if not control["behaved"]:
            notes.append(f"This evaluation is not valid: the control {name.replace('_', ' ')} should have "
                         f"{control['expected']} and did not behave ({control['reason']}).")
    if judge["judge_in_loss"]:
        notes.append(f"The judge of faces, {judge['embedder']}, was also in the model's loss: face metrics flatter it.")
    if not counts["pairs"]:
        notes.append("No held-out person has two photos: nothing here is about re-posing. The pictures are "
                     "reconstructions of held-out people in their own pose.")
    elif counts["people"] < MIN_CLUSTERS or content["metrics"]["ssim"].get("by") == "pair":
        notes.append(f"Too few people to judge: pairs of {counts['people']} held-out, fewer than {MIN_CLUSTERS}. "
                     "Intervals come from single pairs and are too narrow to say anything about other people.")
    if counts["faces_left_out"]:
        notes.append(f"{counts['faces_left_out']} of {counts['pairs']} pairs do not show the face in both photos, or "
                     "too small: they are left out of the face metrics.")
    without: dict[str, list[str]] = {}
    for legend in report.METRICS:
        metric = content["metrics"][legend.key]
        if metric["value"] is None and counts["pairs"]:
            without.setdefault(metric["reason"], []).append(legend.name)
    return notes + [f"No value for {', '.join(names)}: {reason}." for reason, names in without.items()]
