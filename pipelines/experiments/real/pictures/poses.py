"""Into which poses: a fixed list from the folder's own photos, turned heads among them, and everybody's own photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.experiments.real.pictures.people import Gathered, Portrayed, Sitter

Kind = Literal["others", "own", "same"]
KINDS: dict[Kind, str] = {
    "others": "in the poses of other people",
    "own": "in the poses of their own other photos",
    "same": "in the pose of the very photo",
}
_OWN = 4


@dataclass(frozen=True)
class Task:
    """One picture to make: the source photo first, then more of the person that may be used; and the target."""

    sitter: str
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
    rest = [(sitter.name, photo) for sitter in people.sitters for photo in sitter.photos]
    rest.sort(key=lambda one: (abs(one[1].turn), one[1].digest))
    chosen: list[tuple[str, Portrayed]] = []
    while rest and len(chosen) <= most:
        turns = np.asarray([photo.turn for _, photo in chosen])
        best = max(rest, key=lambda one: float(np.abs(turns - one[1].turn).min())) if chosen else rest[0]
        chosen.append(best)
        rest = [one for one in rest if one[0] != best[0]]
    return chosen


def tasks(sitter: Sitter, poses: Sequence[tuple[str, Portrayed]], most: int) -> list[Task]:
    """The pictures to make of one person: at most `most` poses of others, up to four of their own other photos (each
    from one that is not it), and the pose of the first photo itself."""
    photos = sitter.photos
    others = [pose for name, pose in poses if name != sitter.name][:most]
    found = [Task(sitter.name, "others", list(photos), pose) for pose in others]
    for number, target in enumerate(photos[:_OWN] if len(photos) > 1 else []):
        rest = [*photos[number + 1 :], *photos[:number]]
        found.append(Task(sitter.name, "own", rest, target))
    found.append(Task(sitter.name, "same", [photos[0]], photos[0]))
    return found
