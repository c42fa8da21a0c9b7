"""The evaluation: ask, measure, write. `components.evaluate.evaluate` is its public face."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.atomic import atomic_folder
from components.core.backdrop import backdrop
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, machine_errors
from components.core.identities import Identities
from components.core.images import write_png
from components.core.networks.generator import Reposer
from components.core.people import PeopleDataset
from components.core.recorder import Recorder
from components.core.settings import EvaluateSettings
from components.evaluate import figures, pairs, report, sheet
from components.evaluate.album import Album
from components.evaluate.distances import real_halves
from components.evaluate.figures import Group
from components.evaluate.identity import separation, similarities
from components.evaluate.measure import Instruments, Reals, measure, measure_reals
from components.evaluate.painters import ModelPainter, WarpPainter, truth
from components.evaluate.pairs import Case, Questions

FORMAT = "photoshoot.evaluation/1"
HEADLINE = ("perceptual", "over_warp", "ssim", "psnr", "face_similarity", "identity_recovered", "frechet", "kernel",
            "frechet_ratio", "matte_iou")
COLUMNS = ("source", "target pose", "output", "plain warp", "truth")
_EXTREMES = 4
_GAP_PAIRS = 96
"""Enough for an interval of the training gap; each costs a picture."""


@dataclass(frozen=True)
class EvaluateSummary:
    """What came out. `metrics` are the headline figures as {value, low, high, n} or {value: None, reason}."""

    metrics: dict[str, dict[str, Any]]
    counts: dict[str, int]
    notes: list[str]
    report: str
    contact_sheet: str
    seconds: float


@dataclass(frozen=True)
class _Subject:
    """The model in question, the people it is asked about, and the networks that judge."""

    folder: Path
    reposer: Reposer
    people: PeopleDataset
    album: Album
    identities: Identities
    instruments: Instruments
    settings: EvaluateSettings

    @property
    def painter(self) -> ModelPainter:
        return ModelPainter(self.reposer)


@dataclass(frozen=True)
class _Evidence:
    """All that was measured."""

    questions: Questions
    reals: Reals
    transfer: Group
    repose: Group
    reconstruction: Group
    content: dict[str, Any]


def run(model: Path, people: Path, identities: Path, out: Path, settings: EvaluateSettings,
        recorder: Recorder) -> EvaluateSummary:
    """See `components.evaluate.evaluate`."""
    started = time.monotonic()
    subject = _open(Path(model), Path(people), Path(identities), settings)
    recorder.dataset("people", str(people), subject.people.digest, "evaluation")
    evidence = _judge(subject)
    with atomic_folder(out) as folder:
        rows = _pictures(subject, evidence, folder)
        _write(subject, evidence, rows, folder)
    out = Path(out)
    _record(evidence, out, recorder)
    headline = {name: evidence.content["metrics"][name] for name in HEADLINE}
    return EvaluateSummary(headline, evidence.content["counts"], evidence.content["notes"],
                           str(out / report.FILE), str(out / "contact_sheet.png"), round(time.monotonic() - started, 1))


def _open(model: Path, people: Path, identities: Path, settings: EvaluateSettings) -> _Subject:
    weights = model / "generator.safetensors"
    if not weights.is_file():
        raise InputError("no generator here", path=weights, remedy="train one with `photoshoot train`")
    dataset, reposer = PeopleDataset.open(people), Reposer.load(weights)
    if (dataset.resolution, dataset.texel) != (reposer.resolution, reposer.texel):
        raise DataError(f"the model is for {reposer.resolution} px and texture tiles of {reposer.texel}, these people "
                        f"have {dataset.resolution} px and {dataset.texel}", path=people,
                        remedy="preprocess the photos with the model's settings")
    return _Subject(model, reposer, dataset, Album(dataset), Identities.open(identities),
                    Instruments(settings, dataset.origin), settings)


def _judge(subject: _Subject) -> _Evidence:
    album, instruments, settings = subject.album, subject.instruments, subject.settings
    questions = pairs.choose(subject.people, subject.identities, settings.split, settings.pairs, settings.seed)
    reals = measure_reals(album, questions.members, instruments)

    def ask(kind: pairs.Kind, cases: list[Case], asked: Group | None = None) -> Group:
        return figures.group(kind, album, cases, subject.painter, instruments, reals, settings, asked)

    transfer = ask("transfer", questions.transfer)
    groups = {"transfer": transfer, "repose": ask("repose", pairs.reposes(album, questions.transfer), transfer),
              "reconstruction": ask("reconstruction", questions.reconstruction)}
    content = _content(subject, questions, reals, groups)
    return _Evidence(questions, reals, transfer, groups["repose"], groups["reconstruction"], content)


def _training_gap(subject: _Subject, held_out: Group) -> dict[str, Any]:
    """The questions of `held_out` asked about people the model was trained on, up to `_GAP_PAIRS` of them."""
    people, settings = subject.album, subject.settings
    count = min(_GAP_PAIRS, len(held_out.cases))
    trained = pairs.choose(subject.people, subject.identities, "train", count, settings.seed)
    cases = trained.transfer
    shown = {case.identity for case in cases}
    members = {name: group for name, group in trained.members.items() if name in shown}
    measured = measure(people, cases, subject.painter, subject.instruments, "training people")
    faces = similarities(cases, measured, measure_reals(people, members, subject.instruments))
    found = figures.gaps(held_out, (cases, measured, faces), settings)
    return {name: {part: figure.to_json() for part, figure in three.items()} for name, three in found.items()}


def _content(subject: _Subject, questions: Questions, reals: Reals, groups: dict[str, Group]) -> dict[str, Any]:
    """What metrics.json says."""
    people, settings, transfer = subject.people, subject.settings, groups["transfer"]
    judge = _judge_card(subject, reals)
    halves = real_halves(reals, least=settings.min_images, seed=settings.seed)
    content: dict[str, Any] = {
        "format": FORMAT,
        "model": _model_card(subject),
        "people": {"digest": people.digest, "origin": people.origin, "accepted": len(people),
                   "rejected": [{"photo": photo, "reason": reason} for photo, reason in people.rejected]},
        "identities": {"digest": subject.identities.digest, "scores": subject.identities.scores},
        "settings": settings.model_dump(mode="json"),
        "judge": judge,
        "networks": {"features": subject.instruments.features.name, "perceptual": subject.instruments.perceptual.name},
        "counts": {
            "identities": len(questions.members), "photos": len(reals.indices), "possible_pairs": questions.possible,
            "pairs": len(questions.transfer), "repose_pairs": len(groups["repose"].cases),
            "one_photo_people": len(questions.reconstruction),
            "faces_judged": transfer.model.figures["face_similarity"].n,
            "faces_left_out": len(questions.transfer) - transfer.model.figures["face_similarity"].n,
        },
        **transfer.to_json(),
        "repose": groups["repose"].to_json(),
        "reconstruction": groups["reconstruction"].to_json(),
        "reference": {name: figure.to_json() for name, figure in halves.items()},
        "training_gap": _training_gap(subject, transfer),
        "by_identity": figures.by_identity(transfer if transfer.cases else groups["reconstruction"]),
    }
    content["notes"] = _notes(content)
    return content


def _model_card(subject: _Subject) -> dict[str, Any]:
    weights = subject.folder / "generator.safetensors"
    return {"digest": file_digest(weights), "bytes": weights.stat().st_size,
            "generator": subject.reposer.settings.generator, "resolution": subject.reposer.resolution,
            "texel": subject.reposer.texel, "trained_on": subject.reposer.origin,
            "settings": subject.reposer.settings.model_dump(mode="json")}


def _judge_card(subject: _Subject, reals: Reals) -> dict[str, Any]:
    trained = subject.reposer.settings
    loss = trained.face if trained.face != "auto" else "builtin" if subject.reposer.origin == "synthetic" else "dlib"
    name = subject.instruments.embedder.name
    return {"embedder": name, "face_loss": loss if trained.weights.face > 0 else None,
            "judge_in_loss": trained.weights.face > 0 and loss == name, "separation": separation(reals).to_json()}


def _notes(content: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a figure."""
    counts, judge = content["counts"], content["judge"]
    notes = []
    if judge["judge_in_loss"]:
        notes.append(f"The judge of faces, {judge['embedder']}, was also in the model's loss: face figures flatter it.")
    if not counts["pairs"]:
        notes.append("No held-out person has two photos: nothing here is about re-posing. The pictures are "
                     "reconstructions of held-out people in their own pose.")
    elif counts["identities"] < 5 or content["metrics"]["ssim"].get("by") == "pair":
        notes.append("Pairs of fewer than five held-out people: intervals come from single pairs and are too narrow "
                     "to say anything about other people.")
    if counts["faces_left_out"]:
        notes.append(f"{counts['faces_left_out']} of {counts['pairs']} pairs do not show the face in both photos, or "
                     "too small: they are left out of the face figures.")
    without: dict[str, list[str]] = {}
    for metric in report.METRICS:
        figure = content["metrics"][metric.key]
        if figure["value"] is None and counts["pairs"]:
            without.setdefault(figure["reason"], []).append(metric.name)
    return notes + [f"No figure for {', '.join(names)}: {reason}." for reason, names in without.items()]


def _shown(evidence: _Evidence, most: int) -> list[Case]:
    """The sheet's questions: as many people as possible, everything from the source where the clothes are the same;
    with pairs of fewer than four people, half of the rows are reconstructions of others, if there are any."""
    plain = {(case.source, case.target): case for case in evidence.repose.cases}
    alone = evidence.reconstruction.cases
    few = len({case.identity for case in evidence.transfer.cases}) < 4
    reserved = min(len(alone), max(most // 2, 1)) if few else 0
    posed = pairs.spread(evidence.transfer.cases, max(most - reserved, 0))
    return ([plain.get((case.source, case.target), case) for case in posed]
            + (pairs.spread(alone, most - len(posed)) if few else []))


def _rows(subject: _Subject, cases: Sequence[Case]) -> list[sheet.Row]:
    """A row of pictures for each case: COLUMNS, over a studio backdrop where the background is ours to choose."""
    people, wall = subject.album, backdrop(subject.people.resolution)
    rows = []
    for batch in pairs.batches(cases, 16):
        painted, warped, real = (answer(people, batch, wall)
                                 for answer in (subject.painter.paint, WarpPainter().paint, truth))
        for k, case in enumerate(batch):
            pictures = [people[case.source].photo, sheet.colour_pose(people[case.target].iuv),
                        painted.images[k], warped.images[k], real.images[k]]
            rows.append(sheet.Row(pictures, _caption(subject, case)))
    return rows


def _caption(subject: _Subject, case: Case) -> str:
    source, target = subject.people.ids[case.source], subject.people.ids[case.target]
    return {"transfer": f"{case.identity}: {source} in pose and clothes of {target}",
            "repose": f"{case.identity}: {source} in pose of {target}, own clothes",
            "reconstruction": f"{case.identity}: {source} in its own pose (reconstruction: one photo only)"}[case.kind]


def _pictures(subject: _Subject, evidence: _Evidence, folder: Path) -> dict[str, list[sheet.Row]]:
    """Write the contact sheet and its rows one by one; return the rows for the report."""
    shown = _rows(subject, _shown(evidence, subject.settings.rows))
    (folder / "samples").mkdir()
    for number, row in enumerate(shown, 1):
        name = re.sub(r"[^\w.-]+", "_", row.caption.partition(":")[0])
        write_png(folder / "samples" / f"{number:02d}_{name}.png", sheet.strip(row.pictures))
    model = evidence.content["model"]
    subtitle = (f"held-out people ({subject.settings.split})  ·  generator {model['generator']}, "
                f"{model['resolution']} px  ·  model {model['digest'][:12]}")
    picture = sheet.contact_sheet("Contact sheet", subtitle, COLUMNS, shown,
                                  "This split has no people:\nthere is nothing to show.")
    write_png(folder / "contact_sheet.png", picture, compress_level=6)
    judged = evidence.transfer if evidence.transfer.cases else evidence.reconstruction
    order = figures.ranked(judged)
    best = [judged.cases[k] for k in order[:_EXTREMES]]
    worst = [judged.cases[k] for k in order[::-1][: min(_EXTREMES, len(order) - len(best))]]
    return {"sheet": shown, "best": _rows(subject, best), "worst": _rows(subject, worst)}


def _write(subject: _Subject, evidence: _Evidence, rows: dict[str, list[sheet.Row]], folder: Path) -> None:
    with machine_errors(folder):
        text = json.dumps(evidence.content, indent=1, allow_nan=False)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        lines = [json.dumps(line) for group in (evidence.transfer, evidence.repose, evidence.reconstruction)
                 for line in _pair_lines(subject.people, group)]
        (folder / "pairs.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        html = report.render(evidence.content, {part: report.strips(found) for part, found in rows.items()}, COLUMNS)
        (folder / report.FILE).write_text(html, encoding="utf-8")


def _pair_lines(people: PeopleDataset, group: Group) -> list[dict[str, Any]]:
    """The model's figures of each case, for comparing two models pair by pair."""
    measured, faces = group.model.measured, group.model.faces
    values = {name: getattr(measured, name) for name in figures.PER_CASE} | {"face_similarity": faces.output}
    return [{"kind": case.kind, "identity": case.identity, "source": people.ids[case.source],
             "target": people.ids[case.target],
             **{name: round(float(value[k]), 6) if value[k] == value[k] else None for name, value in values.items()}}
            for k, case in enumerate(group.cases)]


def _record(evidence: _Evidence, out: Path, recorder: Recorder) -> None:
    content = evidence.content
    values = {name: figure["value"] for name, figure in content["metrics"].items() if figure["value"] is not None}
    recorder.headline({name: value for name, value in values.items() if name in HEADLINE})
    every = {f"evaluate/{name}": value for name, value in values.items()}
    for baseline, found in content["baselines"].items():
        every |= {f"evaluate/{baseline}/{name}": figure["value"] for name, figure in found.items()
                  if figure["value"] is not None}
    every |= {f"evaluate/repose/{name}": figure["value"] for name, figure in content["repose"]["metrics"].items()
              if figure["value"] is not None}
    recorder.metrics(every | {f"evaluate/{name}": float(value) for name, value in content["counts"].items()})
    for name in ("metrics.json", "pairs.jsonl", "contact_sheet.png", report.FILE):
        recorder.artifact(out / name)
