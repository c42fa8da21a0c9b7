"""Into which poses: a fixed list from the folder's own photos, turned heads among them, and everybody's own photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from components.core.faces.head import head_box
from pipelines.experiments.real.pictures.people import Gathered, Portrayed, Subject

Kind = Literal["others", "portrait", "own", "same"]
KINDS: dict[Kind, str] = {
    "others": "in the poses of other people",
    "portrait": "in the poses of other people, head and shoulders",
    "own": "in the poses of their own other photos",
    "same": "in the pose of the very photo",
}
EXACT: tuple[Kind, ...] = ("own", "same")
"""Kinds of which a photo shows what the picture should look like."""
_OWN = 4
_DOWN, _ASIDE = 0.45, 1.4
"""How far below the neck and to the sides a portrait reaches, in heights of the head with its neck."""


@dataclass(frozen=True)
class Task:
    """One picture to make: the source photo first, then more of the person that may be used; and the target."""

    subject: str
    kind: Kind
    sources: list[Portrayed]
    target: Portrayed

    @property
    def key(self) -> str:
        """What it is called in files and on the page."""
        return f"{self.kind}: {self.sources[0].name} as {self.target.name}"


def pose_list(people: Gathered, most: int) -> list[tuple[str, Portrayed]]:
    """(person, photo) in an order that anybody would find again: first the most frontal head, then, again and again,
    the one turned least like those before; each person once. Of it everybody takes the first that are not theirs."""
    rest = [(subject.name, photo) for subject in people.subjects for photo in subject.photos]
    rest.sort(key=lambda one: (abs(one[1].turn), one[1].digest))
    chosen: list[tuple[str, Portrayed]] = []
    while rest and len(chosen) <= most:
        turns = np.asarray([photo.turn for _, photo in chosen])
        best = max(rest, key=lambda one: float(np.abs(turns - one[1].turn).min())) if chosen else rest[0]
        chosen.append(best)
        rest = [one for one in rest if one[0] != best[0]]
    return chosen


def head_and_shoulders(whole: Portrayed) -> Portrayed:
    """The same photo, of whose pose map only head and shoulders are left."""
    box = head_box(whole.iuv)
    if box is None:
        return whole
    x0, y0, x1, y1 = box
    tall, middle = y1 - y0, (x0 + x1) / 2
    iuv = np.zeros_like(whole.iuv)
    left, right = max(0, round(middle - _ASIDE * tall)), round(middle + _ASIDE * tall)
    bottom = round(y1 + _DOWN * tall)
    iuv[:bottom, left:right] = whole.iuv[:bottom, left:right]
    return replace(whole, iuv=iuv)


def tasks(subject: Subject, poses: Sequence[tuple[str, Portrayed]], most: int, portraits: bool = True) -> list[Task]:
    """The pictures to make of one person: at most `most` poses of others, whole and as `portraits`, up to four of their
    own other photos (each from one that is not it), and the pose of the first photo itself."""
    photos = subject.photos
    others = [pose for name, pose in poses if name != subject.name][:most]
    found = [Task(subject.name, "others", list(photos), pose) for pose in others]
    if portraits:
        found += [Task(subject.name, "portrait", list(photos), head_and_shoulders(pose)) for pose in others]
    for number, target in enumerate(photos[:_OWN] if len(photos) > 1 else []):
        rest = [*photos[number + 1 :], *photos[:number]]
        found.append(Task(subject.name, "own", rest, target))
    found.append(Task(subject.name, "same", [photos[0]], photos[0]))
    return found
