"""The clustering step: embed, group, split, score, show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.cluster.assign import SET_ASIDE, Clusters, assign
from components.cluster.embed import Embedded, embed
from components.cluster.montage import MOST_FACES, MOST_ROWS, Pixels, Row, head_crop, montage
from components.cluster.score import Agreement, bcubed, pairwise
from components.cluster.split import split_identities
from components.core.atomic import atomic_folder
from components.core.errors import InputError
from components.core.faces import load_embedder
from components.core.identities import SPLITS, Assignment, Identities
from components.core.images import write_png
from components.core.people import PeopleDataset
from components.core.recorder import Recorder
from components.core.settings import ClusterSettings

FORMAT = "photoshoot.scores/1"
LIKE_NOBODY = "the face is like nobody else's"


@dataclass(frozen=True)
class ClusterSummary:
    """What came out. Agreement is with labels.csv and None where there is none; `labelled` photos count in it."""

    people: int
    embedder: str
    method: str
    k: int
    silhouette: float
    identities: dict[str, int]
    """Identities per split."""
    photos: dict[str, int]
    """Photos per split."""
    one_photo_people: dict[str, int]
    """Identities with a single photo per split: reconstructed, never re-posed."""
    set_aside: list[dict[str, str]]
    """person, photo and reason of everybody without an identity."""
    labelled: int
    bcubed: Agreement | None
    pairwise: Agreement | None


def run(people: Path, out: Path, settings: ClusterSettings, recorder: Recorder) -> ClusterSummary:
    """See `components.cluster.cluster`."""
    dataset = PeopleDataset.open(people)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    embedder = load_embedder(_embedder_name(settings, dataset), device)
    faces = embed(dataset, embedder, device)
    if len(faces.indices) == 0:
        raise InputError(f"none of {len(dataset)} people has a face large enough to tell who it is", path=people,
                         remedy="bring photos that show faces, or a larger preprocess.resolution")
    same_person = embedder.same_person_at(float(np.median(faces.heads)))
    clusters = assign(faces.embeddings, settings.method, settings.identities, same_person, settings.seed)
    rows = _rows(dataset, faces, clusters, settings)
    reasons = faces.left_out | {int(faces.indices[at]): LIKE_NOBODY
                                for at in np.flatnonzero(clusters.labels == SET_ASIDE)}
    summary = _summary(dataset, rows, reasons, clusters, embedder.name, settings)
    identities = Identities(rows, dataset.digest, {"format": FORMAT, **asdict(summary)})
    picture = _montage(dataset, rows, reasons)
    with atomic_folder(out) as folder:
        identities.write(folder)
        write_png(folder / "montage.png", picture)
    _record(recorder, people, dataset, summary, picture)
    return summary


def _embedder_name(settings: ClusterSettings, people: PeopleDataset) -> str:
    if settings.embedder != "auto":
        return settings.embedder
    return "builtin" if people.origin == "synthetic" else "dlib"


def _rows(people: PeopleDataset, faces: Embedded, clusters: Clusters, settings: ClusterSettings) -> list[Assignment]:
    """A row per person of the data set, in its order."""
    names = {int(index): f"person-{label + 1:04d}"
             for index, label in zip(faces.indices, clusters.labels, strict=True) if label != SET_ASIDE}
    confidence = dict(zip(faces.indices.tolist(), clusters.confidence.tolist(), strict=True))
    digests = people.column("photo_digest")
    photos: dict[str, list[str]] = {}
    for index, name in names.items():
        photos.setdefault(name, []).append(digests[index])
    splits = split_identities(photos, settings.validation, settings.test, settings.seed)
    return [Assignment(person_id, names.get(index), confidence[index] if index in names else 0.0,
                       splits[names[index]] if index in names else None)
            for index, person_id in enumerate(people.ids)]


def _summary(people: PeopleDataset, rows: Sequence[Assignment], reasons: dict[int, str], clusters: Clusters,
             embedder: str, settings: ClusterSettings) -> ClusterSummary:
    sizes: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    for row in rows:
        if row.identity is not None and row.split is not None:
            of_split = sizes[row.split]
            of_split[row.identity] = of_split.get(row.identity, 0) + 1
    labels = people.labels
    scored = [row for row in rows if row.identity is not None and row.person_id in labels]
    found, truth = [row.identity for row in scored], [labels[row.person_id] for row in scored]
    photos = people.column("photo")
    return ClusterSummary(
        people=len(people), embedder=embedder, method=settings.method, k=clusters.k, silhouette=clusters.silhouette,
        identities={split: len(counts) for split, counts in sizes.items()},
        photos={split: sum(counts.values()) for split, counts in sizes.items()},
        one_photo_people={split: list(counts.values()).count(1) for split, counts in sizes.items()},
        set_aside=[{"person": people.ids[index], "photo": photos[index], "reason": reason}
                   for index, reason in sorted(reasons.items())],
        labelled=len(scored),
        bcubed=bcubed(found, truth) if scored else None,
        pairwise=pairwise(found, truth) if scored else None,
    )


def _montage(people: PeopleDataset, rows: Sequence[Assignment], reasons: dict[int, str]) -> Pixels:
    """The identities with most photos first, then those set aside, MOST_ROWS at most."""
    members: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.identity is not None:
            members.setdefault(row.identity, []).append(index)
    names = sorted(members, key=lambda name: (-len(members[name]), name))
    shown = names[: MOST_ROWS - bool(reasons)]
    drawn = [Row(name, str(rows[members[name][0]].split), len(members[name]),
                 [_face(people, index, f"{rows[index].confidence:.2f}") for index in members[name][:MOST_FACES]])
             for name in shown]
    if reasons:
        drawn.append(Row("nobody", "set aside", len(reasons),
                         [_face(people, index, "") for index in sorted(reasons)[:MOST_FACES]]))
    note = "below each face: confidence"
    if len(shown) < len(names):
        note += f"; {len(names) - len(shown)} more identities with fewer photos are in identities.parquet"
    return montage(drawn, note)


def _face(people: PeopleDataset, index: int, caption: str) -> tuple[Pixels, str]:
    person = people[index]
    return head_crop(person.photo, person.record.head_box) if person.face is None else person.face, caption


def _record(recorder: Recorder, source: Path, people: PeopleDataset, summary: ClusterSummary, picture: Pixels) -> None:
    figures: dict[str, Any] = {
        "identities": float(summary.k),
        "silhouette": summary.silhouette,
        "set_aside": float(len(summary.set_aside)),
        **{f"identities_{split}": float(count) for split, count in summary.identities.items()},
        **{f"photos_{split}": float(count) for split, count in summary.photos.items()},
    }
    for name, agreement in (("bcubed", summary.bcubed), ("pairwise", summary.pairwise)):
        if agreement is not None:
            figures |= {f"{name}_{part}": value for part, value in asdict(agreement).items() if value is not None}
    recorder.metrics(figures)
    recorder.headline({key: figures[key] for key in ("identities", "bcubed_f") if key in figures})
    recorder.dataset("people", str(source), people.digest, "clustering")
    recorder.image("identities", picture)
