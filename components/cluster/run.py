"""The clustering step: embed, group, name, split, score, show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.cluster.byhand.overrides import Ruling, read_overrides, ruling
from components.cluster.covers import SAID, Covered, Embed, bare, join_covered, plain_groups, try_covers
from components.cluster.faces.embed import Embedded, embed, vectors
from components.cluster.faces.montage import overview
from components.cluster.faces.subjects import Subjects
from components.cluster.folders import (
    METHOD,
    FolderCheck,
    by_folder,
    check_folders,
    figures_of,
    in_folders,
    picture_of,
)
from components.cluster.grouping.assign import SET_ASIDE, Clusters, assign
from components.cluster.grouping.doubt import doubtful
from components.cluster.grouping.tree import Floats, Links, Rule
from components.cluster.leak import Across, nearest_across
from components.cluster.members import Member, names_of, read_members, splits_before, write_members
from components.cluster.score import Agreement, bcubed, pairwise
from components.cluster.split import split_together
from components.core.atomic import atomic_folder
from components.core.errors import InputError
from components.core.faces.recognition import FaceEmbedder, load_embedder
from components.core.people.identities import SPLITS, Assignment, Identities, Split
from components.core.pictures.images import Pixels, write_png
from components.core.record.recorder import Recorder
from components.core.settings import ClusterSettings

FORMAT = "photoshoot.scores/1"
LIKE_NOBODY = "the face is like nobody else's"
BY_HAND = "set aside by hand"
NOT_PLAIN = "{}, and it is not plain whose face it is"
MONTAGE, FOLDERS = "montage", "folders"
"""Pictures by name: all identities, and what the faces say against the folders."""


@dataclass(frozen=True)
class Doubt:
    """An identity that may be the same person as another, and the mean distance between their photos."""

    identity: str
    like: str
    distance: float


@dataclass(frozen=True)
class ClusterSummary:
    """What came out. Agreement is with labels.csv and None where there is none; `labelled` photos count in it."""

    people: int
    embedder: str
    method: str
    k: int
    silhouette: float
    same_person: float
    """Distance below which two single photos were taken for one person."""
    identities_per_split: dict[str, int]
    photos_per_split: dict[str, int]
    one_photo_people: dict[str, int]
    """Identities with a single photo per split: reconstructed, never re-posed."""
    set_aside: list[dict[str, str]]
    """person, photo and reason of everybody without an identity."""
    decided: int
    """Photos about which something was decided by hand."""
    nearest_across: Across | None
    """The nearest pair of faces across the split."""
    labelled: int
    bcubed: Agreement | None
    pairwise: Agreement | None
    pairwise_f: float | None
    covered: Covered | None = None
    """Faces behind sunglasses or masks; None for synthetic people, and where folders say who is who."""
    doubtful: list[Doubt] = field(default_factory=list)
    """Identities of one or two photos that may be somebody else's: in the same split as they are."""
    folders: FolderCheck | None = None
    """What the faces say about the folders that were taken as identities; None where the faces decided themselves."""


@dataclass(frozen=True)
class Sorted:
    """The summary, and the photos of each identity."""

    summary: ClusterSummary
    identities: dict[str, list[str]]


def run(subjects: Subjects, source: Path, out: Path | None, settings: ClusterSettings, recorder: Recorder) -> Sorted:
    """Sort `subjects`, which come from `source`; write into the folder `out`, or nowhere. See `components.cluster`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    decisions = [] if settings.overrides is None else read_overrides(settings.overrides)
    before = [] if settings.previous is None else read_members(settings.previous)
    embedder = load_embedder(_embedder_name(settings, subjects), device)
    faces = embed(subjects, embedder, device)
    faces = _without_aside(faces, ruling(decisions, subjects.keys))
    if settings.method == METHOD:
        faces = in_folders(faces, subjects.ids, subjects.said)
    if len(faces.indices) == 0:
        raise InputError(f"none of {len(subjects.ids)} people has a face large enough to tell who it is", path=source,
                         remedy="bring photos that show faces, or a larger preprocess.resolution")
    ruled = ruling(decisions, subjects.keys)
    links = ruled.links.take(faces.indices)
    rule = _rule(settings, embedder, faces)

    def embedded(chips: Sequence[Pixels]) -> Floats:
        return vectors(list(chips), embedder, device)

    # Where people say who is who, and where nobody is real, nothing is doubted.
    spread = None if subjects.synthetic or settings.method == METHOD else embedder.strangers.spread
    clusters, named, covered = _grouped(subjects, faces, rule, links, ruled.names, settings, embedded, spread)
    near = {} if spread is None else _near(faces, clusters, links, rule, spread)
    members, doubts = _members(subjects, faces, clusters, named, before, settings, near)
    across = _across(faces, members, embedder, rule, settings)
    summary = _summary(subjects, members, clusters, embedder, rule, across, settings,
                       int((ruled.links.pinned | ruled.aside).sum()))
    summary = replace(summary, covered=covered, doubtful=doubts)
    pictures = {MONTAGE: overview([(member.identity, member.split, member.confidence) for member in members],
                                  subjects.picture)}
    if settings.method == METHOD:
        found = _checked(faces, clusters, members, rule)
        summary = replace(summary, folders=found.renamed(dict(zip(subjects.ids, subjects.photos, strict=True))))
        pictures |= _findings(subjects, members, found)
    if out is not None:
        _write(out, subjects, members, summary, pictures)
    _record(recorder, source, subjects, summary, pictures)
    if across is not None:
        across.check()  # last: what was found is needed to mend it by hand
    return Sorted(summary, _photos_of(members))


def _grouped(subjects: Subjects, faces: Embedded, rule: Rule, links: Links, names: Mapping[int, str],
             settings: ClusterSettings, embedded: Embed,
             spread: float | None) -> tuple[Clusters, Mapping[int, str], Covered | None]:
    """The groups of faces, the names that are known beforehand, by hand or of folders, and what became of covered
    faces; strangers' `spread` is None where nobody is real."""
    if settings.method == METHOD:
        return *by_folder(faces.embeddings, [subjects.said[subjects.ids[index]] for index in faces.indices],
                          settings.identities, rule, links, lambda clusters: _named(clusters, links.atom, names)), None
    keys = subjects.keys
    kept = bare(faces.covers, links.pinned)
    at = np.flatnonzero(kept)
    clusters = assign(faces.embeddings[at], settings.method, settings.identities, rule, settings.seed, links.take(at),
                      [keys[index] for index in faces.indices[at]])
    covered = None
    if spread is not None:
        plain = plain_groups(faces.embeddings[at], clusters, rule, spread)
        control = None if kept.all() else try_covers(
            faces.embeddings[at], plain, lambda place: subjects.picture(int(faces.indices[at[place]])), embedded, rule,
            faces.covers[at] == "")
        clusters, covered = join_covered(faces.embeddings, kept, clusters, plain, rule, control)
    return clusters, _named(clusters, links.atom, names), covered


def _checked(faces: Embedded, clusters: Clusters, members: Sequence[Member], rule: Rule) -> FolderCheck:
    rows = [members[index] for index in faces.indices]
    names = {int(label): str(row.identity) for label, row in zip(clusters.labels, rows, strict=True)}
    return check_folders(faces.embeddings, clusters.labels, [names[label] for label in range(clusters.k)],
                         [row.person_id for row in rows], rule)


def _findings(subjects: Subjects, members: Sequence[Member], found: FolderCheck) -> dict[str, Pixels]:
    place = {member.person_id: index for index, member in enumerate(members)}
    picture = picture_of(
        found, {member.person_id: member.identity for member in members},
        {member.person_id: member.split for member in members}, lambda one: subjects.picture(place[one]))
    return {} if picture is None else {FOLDERS: picture}


def _embedder_name(settings: ClusterSettings, subjects: Subjects) -> str:
    if settings.embedder != "auto":
        return settings.embedder
    return "builtin-both" if subjects.synthetic else "sface"


def _rule(settings: ClusterSettings, embedder: FaceEmbedder, faces: Embedded) -> Rule:
    """Small heads look alike: strangers are nearer, and one person's photos have to be, too."""
    blurred = embedder.same_person_at(float(np.median(faces.heads))) / embedder.same_person_distance
    near = settings.same_person or embedder.same_person_distance * blurred
    return Rule(near, max(embedder.strangers.mean * blurred, near), embedder.strangers.share)


def _without_aside(faces: Embedded, ruled: Ruling) -> Embedded:
    return faces.take(~ruled.aside[faces.indices], BY_HAND)


def _named(clusters: Clusters, atoms: np.ndarray[Any, Any], names: Mapping[int, str]) -> dict[int, str]:
    """Cluster number -> the name that was given by hand to photos in it."""
    return {int(label): names[int(atom)] for label, atom in zip(clusters.labels, atoms, strict=True)
            if int(atom) in names}


def _members(subjects: Subjects, faces: Embedded, clusters: Clusters, given: Mapping[int, str],
             before: Sequence[Member], settings: ClusterSettings,
             near: Mapping[int, tuple[int, float]]) -> tuple[list[Member], list[Doubt]]:
    """A row per person, in order; and whose identity is in doubt: `near`, as of `doubtful`."""
    keys = subjects.keys
    groups: list[list[str]] = [[] for _ in range(clusters.k)]
    for index, label in zip(faces.indices.tolist(), clusters.labels.tolist(), strict=True):
        if label != SET_ASIDE:
            groups[label].append(keys[index])
    names = names_of(groups, given, before)
    by_name = dict(zip(names, groups, strict=True))
    doubts = [Doubt(names[group], names[other], distance) for group, (other, distance) in near.items()]
    splits = split_together(by_name, {one.identity: one.like for one in doubts}, settings.validation, settings.test,
                            settings.seed, splits_before(by_name, before))
    reasons = faces.left_out | {int(faces.indices[at]): _why_aside(str(faces.covers[at]))
                                for at in np.flatnonzero(clusters.labels == SET_ASIDE)}
    label_of = dict(zip(faces.indices.tolist(), clusters.labels.tolist(), strict=True))
    confidence = dict(zip(faces.indices.tolist(), clusters.confidence.tolist(), strict=True))
    members = []
    for index, (person_id, photo, key) in enumerate(zip(subjects.ids, subjects.photos, keys, strict=True)):
        name, split, sure = None, None, 0.0
        if index not in reasons:
            name, sure = names[label_of[index]], confidence[index]
            split = splits[name]
        members.append(Member(person_id, photo, key, name, split, sure, reasons.get(index)))
    return members, doubts


def _near(faces: Embedded, clusters: Clusters, links: Links, rule: Rule,
          spread: float) -> dict[int, tuple[int, float]]:
    """`doubtful` groups about which nothing was decided by hand."""
    decided = set(clusters.labels[links.pinned].tolist())
    found = doubtful(faces.embeddings, clusters.labels, rule, spread)
    return {group: other for group, other in found.items() if group not in decided}


def _why_aside(cover: str) -> str:
    return NOT_PLAIN.format(SAID[cover]) if cover else LIKE_NOBODY


def _across(faces: Embedded, members: Sequence[Member], embedder: FaceEmbedder, rule: Rule,
            settings: ClusterSettings) -> Across | None:
    rows = [members[index] for index in faces.indices]
    return nearest_across(faces.embeddings, [row.split for row in rows], [row.photo for row in rows],
                          [row.identity for row in rows], settings.leak_distance, embedder, rule.near)


def _photos_of(members: Sequence[Member]) -> dict[str, list[str]]:
    photos: dict[str, list[str]] = {}
    for member in members:
        if member.identity is not None:
            photos.setdefault(member.identity, []).append(member.photo)
    return photos


def _summary(subjects: Subjects, members: Sequence[Member], clusters: Clusters, embedder: FaceEmbedder, rule: Rule,
             across: Across | None, settings: ClusterSettings, decided: int) -> ClusterSummary:
    sizes: dict[Split, dict[str, int]] = {split: {} for split in SPLITS}
    for member in members:
        if member.identity is not None and member.split is not None:
            of_split = sizes[member.split]
            of_split[member.identity] = of_split.get(member.identity, 0) + 1
    labels = subjects.labels
    if settings.method == METHOD and labels == subjects.said:
        labels = {}  # folders agree with themselves
    scored = [member for member in members if member.identity is not None and member.person_id in labels]
    found, truth = [member.identity for member in scored], [labels[member.person_id] for member in scored]
    by_pairs = pairwise(found, truth) if scored else None
    return ClusterSummary(
        people=len(members), embedder=embedder.name, method=settings.method, k=clusters.k,
        silhouette=clusters.silhouette, same_person=rule.near,
        identities_per_split={split: len(counts) for split, counts in sizes.items()},
        photos_per_split={split: sum(counts.values()) for split, counts in sizes.items()},
        one_photo_people={split: list(counts.values()).count(1) for split, counts in sizes.items()},
        set_aside=[{"person": member.person_id, "photo": member.photo, "reason": str(member.reason)}
                   for member in members if member.identity is None],
        decided=decided, nearest_across=across, labelled=len(scored),
        bcubed=bcubed(found, truth) if scored else None,
        pairwise=by_pairs, pairwise_f=by_pairs.f if by_pairs else None,
    )


def _write(out: Path, subjects: Subjects, members: Sequence[Member], summary: ClusterSummary,
           pictures: Mapping[str, Pixels]) -> None:
    rows = (Assignment(one.person_id, one.identity, one.confidence, one.split) for one in members)
    identities = Identities(rows, subjects.digest, {"format": FORMAT, **asdict(summary)})
    with atomic_folder(out) as folder:
        identities.write(folder)
        write_members(folder, members)
        for name, picture in pictures.items():
            write_png(folder / f"{name}.png", picture)


def _record(recorder: Recorder, source: Path, subjects: Subjects, summary: ClusterSummary,
            pictures: Mapping[str, Pixels]) -> None:
    figures: dict[str, Any] = {
        "identities": float(summary.k),
        "silhouette": summary.silhouette,
        "set_aside": float(len(summary.set_aside)),
        **{f"identities_{split}": float(count) for split, count in summary.identities_per_split.items()},
        **{f"photos_{split}": float(count) for split, count in summary.photos_per_split.items()},
    }
    if summary.nearest_across is not None:
        figures["nearest_across_split"] = summary.nearest_across.distance
    for name, agreement in (("bcubed", summary.bcubed), ("pairwise", summary.pairwise)):
        if agreement is not None:
            figures |= {f"{name}_{part}": value for part, value in asdict(agreement).items() if value is not None}
    if summary.covered is not None:
        figures |= {"covered": float(summary.covered.noticed), "covered_joined": float(summary.covered.joined)}
        figures["doubtful"] = float(len(summary.doubtful))
    figures |= {} if summary.folders is None else figures_of(summary.folders)
    recorder.metrics(figures)
    recorder.headline({key: figures[key] for key in ("identities", "bcubed_f") if key in figures})
    recorder.dataset("people", str(source), subjects.digest, "clustering")
    recorder.image("identities", pictures[MONTAGE])
    if FOLDERS in pictures:
        recorder.image(FOLDERS, pictures[FOLDERS])
