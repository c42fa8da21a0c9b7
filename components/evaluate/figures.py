"""From measurements to figures: one group of questions, three painters, the same figures for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.core.settings import EvaluateSettings
from components.evaluate.album import Album
from components.evaluate.distances import set_distances
from components.evaluate.identity import Similarities, identity_figures, similarities
from components.evaluate.intervals import Figure, Resampler, difference
from components.evaluate.measure import Instruments, Measured, Reals, measure
from components.evaluate.painters import CopyPainter, ModelPainter, Painter, WarpPainter
from components.evaluate.pairs import Case
from components.evaluate.quality import Floats

PER_CASE = ("ssim", "psnr", "l1", "perceptual", "matte_iou")
NO_CASES = {
    "transfer": "no held-out person has two photos",
    "repose": "no two held-out photos of a person show the same clothes",
    "reconstruction": "no held-out person has a single photo",
}


@dataclass(frozen=True)
class Answer:
    """What one painter's answers to a group measured, and their faces against the real ones."""

    measured: Measured
    faces: Similarities
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Group:
    """A group of questions of one kind with everybody's answers; `answers` has "model" and the baselines by name."""

    kind: str
    cases: list[Case]
    answers: dict[str, Answer]

    @property
    def model(self) -> Answer:
        """The model's answers."""
        return self.answers["model"]

    def where(self, cases: Sequence[Case]) -> list[int]:
        """Positions in this group of the pairs of `cases`."""
        at = {(case.source, case.target): k for k, case in enumerate(self.cases)}
        return [at[case.source, case.target] for case in cases]

    def to_json(self) -> dict[str, object]:
        """Pairs, the model's metrics and the baselines' in plain values."""
        figures = {name: {key: figure.to_json() for key, figure in answer.figures.items()}
                   for name, answer in self.answers.items()}
        return {"pairs": len(self.cases), "metrics": figures.pop("model"), "baselines": figures}


def group(kind: str, people: Album, cases: Sequence[Case], model: ModelPainter, instruments: Instruments,
          reals: Reals, settings: EvaluateSettings, asked: Group | None = None) -> Group:
    """Ask the model and both baselines a group of questions. Distances between sets only for "transfer": the other
    groups are its parts, or people without a pair. `asked` is a group with the same pairs among its own, from which
    the copy of the source is taken: it does not depend on the question."""
    painters: list[Painter] = [model, WarpPainter()]
    if kind != "reconstruction":
        painters.append(CopyPainter())  # a photo copied into its own pose is the truth itself
    resampler = Resampler([case.identity for case in cases], settings.bootstrap, settings.seed)
    answers: dict[str, Answer] = {}
    for painter in painters:
        if asked and painter.name == CopyPainter.name:
            measured = asked.answers[painter.name].measured.take(asked.where(cases))
        else:
            measured = measure(people, cases, painter, instruments, f"{kind}: {painter.name.replace('_', ' ')}")
        faces = similarities(cases, measured, reals)
        figures = {name: resampler.mean(getattr(measured, name), nobody=NO_CASES[kind]) for name in PER_CASE}
        if kind == "reconstruction":
            figures["face_similarity"] = identity_figures(faces, resampler)["face_similarity"]
        else:
            figures |= identity_figures(faces, resampler)
        if kind == "transfer":
            figures |= set_distances(cases, measured, reals, least=settings.min_images, draws=settings.bootstrap,
                                     seed=settings.seed)
        answers[painter.name] = Answer(measured, faces, figures)
    ours, warped = (answers[name].measured.perceptual for name in (model.name, WarpPainter.name))
    answers[model.name].figures["over_warp"] = resampler.ratio(ours, warped, nobody=NO_CASES[kind])
    return Group(kind, list(cases), answers)


def gaps(held_out: Group, trained: tuple[Sequence[Case], Measured, Similarities],
         settings: EvaluateSettings) -> dict[str, dict[str, Figure]]:
    """A first look at memorisation: the same questions about people of the training split.

    For the masked difference and the face similarity: the figure on training people, on held-out people, and the gap
    (held-out minus training for the difference, training minus held-out for the similarity: above 0 is better on
    people it was trained on).
    """
    cases, measured, faces = trained
    inside = Resampler([case.identity for case in cases], settings.bootstrap, settings.seed)
    outside = Resampler([case.identity for case in held_out.cases], settings.bootstrap, settings.seed)
    nobody = "needs pairs of training and of held-out people"

    def three(train: Floats, held: Floats, sign: int) -> dict[str, Figure]:
        gap = difference((outside, sign * held), (inside, sign * train), nobody)
        return {"train": inside.mean(train, nobody=nobody), "held_out": outside.mean(held, nobody=nobody), "gap": gap}

    return {"l1": three(measured.l1, held_out.model.measured.l1, 1),
            "face_similarity": three(faces.output, held_out.model.faces.output, -1)}


def by_identity(questions: Group) -> list[dict[str, object]]:
    """The model's mean figures for each identity of a group, worst perceptual distance first."""
    answer, names = questions.model, np.asarray([case.identity for case in questions.cases])
    rows: list[dict[str, object]] = []
    for name in sorted(set(names.tolist())):
        mine = names == name
        row: dict[str, object] = {"identity": name, "pairs": int(mine.sum())}
        for key in ("perceptual", "ssim", "psnr", "matte_iou"):
            row[key] = _mean(getattr(answer.measured, key)[mine])
        row["face_similarity"] = _mean(answer.faces.output[mine])
        row["another_photo_similarity"] = _mean(answer.faces.another[mine])
        rows.append(row)
    return sorted(rows, key=lambda row: (-float(str(row["perceptual"] or 0)), str(row["identity"])))


def ranked(questions: Group) -> list[int]:
    """Cases of a group from the model's best to its worst answer, by perceptual distance."""
    distances = questions.model.measured.perceptual
    return [int(k) for k in np.argsort(distances, kind="stable") if np.isfinite(distances[k])]


def _mean(values: Floats) -> float | None:
    valid = values[np.isfinite(values)]
    return round(float(valid.mean()), 6) if len(valid) else None
