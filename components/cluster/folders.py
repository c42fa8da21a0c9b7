"""Folders that already say who is who: taken as identities, and checked by the faces in them.

A check never moves anybody. It names folders whose faces are one person and faces that are not the person of their
folder, with pictures, for somebody to look at; `leak` stops the run where one face is on both sides of the split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from components.cluster.faces.embed import Embedded
from components.cluster.faces.montage import MOST_FACES, MOST_ROWS, Pixels, Row, montage
from components.cluster.grouping.assign import EXACT, Clusters, by_first_photo, respecting, silhouette
from components.cluster.grouping.tree import (
    Floats,
    Labels,
    Links,
    Rule,
    centres,
    distances_between,
    tree_of,
)
from components.core.errors import InputError, SettingsError

METHOD: Final = "folders"
NO_FOLDER = "it is in no person's folder, or not alone in its photo"
_MOST = 100
"""Findings that are listed of each kind; all are counted."""


@dataclass(frozen=True)
class Alike:
    """Two identities whose faces are one person, with the two photos that are nearest to each other."""

    folders: tuple[str, str]
    photos: tuple[str, str]
    distance: float
    """Root mean square over all pairs of a photo of one and a photo of the other."""
    limit: float
    """Distance at or below which two groups of so many photos are one person."""


@dataclass(frozen=True)
class Mixed:
    """Photos of an identity that show one other person, and whose faces they are like, where anybody's here."""

    folder: str
    photos: list[str]
    of: int
    """How many photos the folder has with a face."""
    like: str | None
    distance: float
    """Mean distance to the person whom most photos of the folder show."""
    limit: float
    """Distance from which they are somebody else."""


@dataclass(frozen=True)
class FolderCheck:
    """What the faces say about the folders."""

    alike: list[Alike] = field(default_factory=list)
    mixed: list[Mixed] = field(default_factory=list)
    alike_count: int = 0
    mixed_count: int = 0

    def lines(self) -> list[str]:
        """A sentence for each finding."""
        lines = [f"{one.folders[0]} and {one.folders[1]} seem to be one person: {one.photos[0]}, {one.photos[1]}"
                 for one in self.alike]
        for mixed in self.mixed:
            whose = "somebody else" if mixed.like is None else mixed.like
            lines.append(f"{len(mixed.photos)} of {mixed.of} photos in {mixed.folder} seem to show {whose}: "
                         f"{', '.join(mixed.photos[:3])}{', ...' if len(mixed.photos) > 3 else ''}")
        return lines

    def renamed(self, photos: Mapping[str, str]) -> FolderCheck:
        """The same with other names of the photos."""
        return replace(self, alike=[replace(one, photos=(photos[one.photos[0]], photos[one.photos[1]]))
                                    for one in self.alike],
                       mixed=[replace(one, photos=[photos[photo] for photo in one.photos]) for one in self.mixed])


def in_folders(faces: Embedded, ids: Sequence[str], said: Mapping[str, str]) -> Embedded:
    """The faces of photos that are in somebody's folder. Raises `InputError` where there are no such folders."""
    if not said:
        raise InputError("cluster.method=folders, but the photos are not in two or more sub-folders, one per person",
                         remedy="sort them into photos/NAME/, or leave cluster.method out")
    kept = np.asarray([ids[index] in said for index in faces.indices], np.bool_)
    return faces.take(kept, NO_FOLDER)


def by_folder(embeddings: Floats, folders: Sequence[str], k: int | None, rule: Rule, links: Links,
              by_hand: Callable[[Clusters], Mapping[int, str]]) -> tuple[Clusters, dict[int, str]]:
    """The folders [n] as groups, and the name of each; what was decided by hand (`links`, `by_hand`) comes first.

    Raises `SettingsError` where `k` is given.
    """
    if k is not None:
        raise SettingsError("cluster.identities has no meaning for folders, which say themselves how many there are",
                            remedy="leave cluster.identities or cluster.method out")
    names = sorted(set(folders))
    number = {name: index for index, name in enumerate(names)}
    first = respecting(np.asarray([number[folder] for folder in folders], np.int64), links)
    labels = by_first_photo(first)
    silhouettes = silhouette(embeddings, labels, rule.near)
    confidence = np.round(np.clip(silhouettes, 0, 1), 4).astype(np.float32)
    clusters = Clusters(labels, confidence, int(labels.max()) + 1, round(float(silhouettes.mean()), 6))
    given = dict(by_hand(clusters))
    for label, folder in zip(labels.tolist(), first.tolist(), strict=True):
        # Photos that were split off by hand have a number that is no folder's.
        if folder < len(names) and label not in given and names[folder] not in given.values():
            given[label] = names[folder]
    return clusters, given


def check_folders(embeddings: Floats, labels: Labels, names: Sequence[str], photos: Sequence[str],
                  rule: Rule) -> FolderCheck:
    """Compare identities by their faces: `embeddings` [n, d] of length one, `labels` [n] 0..k-1, `names` [k].

    Two are one person where `rule` would join them. Of one, whoever the rule parts from most of its photos is somebody
    else from half-way between the rule's limit and strangers' distance on: one person's photos are parted more easily.
    """
    points = np.ascontiguousarray(embeddings, np.float32)
    groups = _Groups(points, labels)
    alike = sorted(_alike(groups, names, photos, rule), key=lambda one: (one.distance - one.limit, one.folders))
    mixed = sorted((found for label in range(len(names)) for found in _mixed(groups, label, names, photos, rule)),
                   key=lambda one: (one.limit - one.distance, one.folder, one.photos))
    return FolderCheck(alike[:_MOST], mixed[:_MOST], len(alike), len(mixed))


@dataclass
class _Groups:
    points: Floats
    labels: Labels

    def __post_init__(self) -> None:
        self.centres = centres(self.points, self.labels)
        self.sizes = np.bincount(self.labels).astype(np.float64)
        away = ((self.points - self.centres[self.labels]) ** 2).sum(axis=1)
        self.spread = np.bincount(self.labels, away) / self.sizes

    def members(self, label: int) -> Labels:
        """Where the photos of a group are."""
        return np.asarray(np.flatnonzero(self.labels == label), np.int64)

    def distances(self, some: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Root mean square distance [k] of some photos [m, d] to all photos of each group."""
        centre = some.mean(axis=0)
        spread = ((some - centre) ** 2).sum(axis=1).mean()
        apart = ((self.centres - centre) ** 2).sum(axis=1)
        return np.asarray(np.sqrt(apart + spread + self.spread), np.float64)


def _alike(groups: _Groups, names: Sequence[str], photos: Sequence[str], rule: Rule) -> list[Alike]:
    found = []
    for a in range(len(names)):
        own = groups.members(a)
        distances = groups.distances(groups.points[own])
        limits = rule.limit(np.full(len(names), groups.sizes[a]), groups.sizes)
        for b in np.flatnonzero(distances <= limits).tolist():
            if b > a:
                other = groups.members(b)
                between = distances_between(groups.points[own], groups.points[other])
                one, two = divmod(int(between.argmin()), between.shape[1])
                first, second = sorted([(names[a], photos[own[one]]), (names[b], photos[other[two]])])
                found.append(Alike((first[0], second[0]), (first[1], second[1]), float(distances[b]), float(limits[b])))
    return found


def _mixed(groups: _Groups, label: int, names: Sequence[str], photos: Sequence[str], rule: Rule) -> list[Mixed]:
    members = groups.members(label)[:EXACT]
    if len(members) < 2:
        return []
    own = groups.points[members]
    distances = distances_between(own, own)
    parts = tree_of(distances).cut(rule)
    sizes = np.bincount(parts)
    main = int(sizes.argmax())
    found = []
    for part in range(len(sizes)):
        some = parts == part
        limit = (float(rule.limit(np.asarray([sizes[part]]), np.asarray([sizes[main]]))[0]) + rule.far) / 2
        distance = float(distances[some][:, parts == main].mean())
        if part != main and distance >= limit:
            found.append(Mixed(names[label], [photos[index] for index in members[some]], len(members),
                               _like(groups, own[some], label, names, rule), distance, limit))
    return found


def _like(groups: _Groups, some: Floats, label: int, names: Sequence[str], rule: Rule) -> str | None:
    distances = groups.distances(some)
    distances[label] = np.inf
    nearest = int(distances.argmin())
    limit = rule.limit(np.asarray([float(len(some))]), groups.sizes[[nearest]])[0]
    return names[nearest] if distances[nearest] <= limit else None


def picture_of(check: FolderCheck, identity: Mapping[str, str | None], split: Mapping[str, str | None],
               face: Callable[[str], Pixels]) -> Pixels | None:
    """Each finding as two rows of faces, one below the other; None where there is nothing to show.

    `identity` and `split` are those of photos by name, in order; `face` gives a photo's face.
    """
    def row(title: str, some: Sequence[str]) -> Row:
        return Row(title, str(split[some[0]]), len(some), [(face(photo), "") for photo in some[:MOST_FACES]])

    def of(name: str, but: Sequence[str] = ()) -> list[str]:
        return [photo for photo, one in identity.items() if one == name and photo not in but]

    rows: list[Row] = []
    for alike in check.alike[: MOST_ROWS // 4]:
        rows += [row(alike.folders[0], of(alike.folders[0])), row(f"= {alike.folders[1]}?", of(alike.folders[1]))]
    for mixed in check.mixed[: (MOST_ROWS - len(rows)) // 2]:
        others = of(mixed.folder, mixed.photos)
        rows += [row(mixed.folder, others), row(f"not {mixed.folder}?", mixed.photos)]
    if not rows:
        return None
    shown = len(rows) // 2
    note = f"{shown} of {check.alike_count + check.mixed_count} findings" if rows else ""
    return montage(rows, note)


def figures_of(check: FolderCheck) -> dict[str, float]:
    """What is recorded of a check."""
    return {"folders_alike": float(check.alike_count), "folders_mixed": float(check.mixed_count)}
