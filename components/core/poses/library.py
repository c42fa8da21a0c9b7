"""The poses that there are: those that ship with the package, mirrored ones among them, and a home's own."""

from __future__ import annotations

import difflib
import random
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from components.core.errors import InputError
from components.core.poses.pose import FRAMINGS, TAGS, Pose, read_pose

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "poses"
_ORDER = ("portrait", "half", "knees", "portrait", "half", "full")
"""How near the pictures of a shoot are, in turn: faces are largest in portraits."""


def library(own: Path | None = None) -> dict[str, Pose]:
    """All poses by name, the package's and then those of the folder `own`, which go first where names are the same.

    Raises `InputError`, naming the file, for one that is not a pose.
    """
    poses = dict(_shipped())
    if own is not None and own.is_dir():
        for path in sorted(own.glob("*.yaml")):
            pose = read_pose(path)
            poses[pose.name] = pose
    return poses


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, Pose]:
    poses = {}
    for path in sorted(SHIPPED.glob("*.yaml")):
        pose = read_pose(path)
        poses[pose.name] = pose
        if pose.mirrored_as:
            poses[pose.mirrored_as] = pose.mirrored()
    return dict(sorted(poses.items()))


def named(name: str, poses: Mapping[str, Pose]) -> Pose:
    """A pose by its name. Raises `InputError`, with the nearest names, for one that there is not."""
    if name not in poses:
        raise InputError(f"there is no pose {name}", remedy=_nearest(name, poses, "photoshoot poses lists them all"))
    return poses[name]


def tagged(tags: Sequence[str], poses: Mapping[str, Pose]) -> dict[str, Pose]:
    """Poses that have all of `tags`. Raises `InputError` for an unknown tag, and where there is no such pose."""
    for tag in tags:
        if tag not in TAGS:
            raise InputError(f"there is no tag {tag}", remedy=_nearest(tag, TAGS, f"there are {', '.join(TAGS)}"))
    found = {name: pose for name, pose in poses.items() if set(tags) <= set(pose.tags)}
    if not found:
        raise InputError(f"no pose is tagged {' and '.join(tags)}", remedy="ask for fewer tags")
    return found


def drawn_by_lot(poses: Mapping[str, Pose], seed: int, spread: bool = True) -> list[Pose]:
    """All of `poses` in an order of chance that `seed` determines, whatever order they come in.

    With `spread` near and far framings take turns, and the mirrored twin of a pose comes after all others.
    """
    lot = random.Random(seed)
    order = [poses[name] for name in sorted(poses)]
    lot.shuffle(order)
    if not spread:
        return order
    first: list[Pose] = []
    twins: list[Pose] = []
    seen = set[str]()
    for pose in order:
        (twins if pose.mirrored_as in seen else first).append(pose)
        seen.add(pose.name)
    return [*_in_turn(first), *_in_turn(twins)]


def _in_turn(poses: Sequence[Pose]) -> list[Pose]:
    waiting = {framing: [pose for pose in poses if pose.framing == framing] for framing in FRAMINGS}
    out: list[Pose] = []
    while len(out) < len(poses):
        for framing in _ORDER:
            if waiting[framing]:
                out.append(waiting[framing].pop(0))
    return out


def _nearest(name: str, known: Collection[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, list(known), 3, 0.5)
    near += [one for one in known if name in one and one not in near][: 3 - len(near)]
    return f"did you mean {' or '.join(near)}? {otherwise}" if near else otherwise
