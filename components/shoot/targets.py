"""What pictures are to be painted in: poses by name, by chance, from photos and from pose maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import InputError
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import read_iuv
from components.core.settings import PreprocessSettings
from components.core.shooting.plain import as_photo
from components.core.shooting.sitting import Shown
from components.core.shooting.subjects import naming, target_pose

if TYPE_CHECKING:
    from components.core.poses.physique import Physique
    from components.core.poses.pose import Pose

RANDOM = "random"
COUNT = 8
_DRAWN = 512
_AWAY = {"back"}
_HARD = {"hand-raised", "hand-at-face"}
"""Poses with a hand beside the head come last, unless tags are asked for: hands are what is painted worst."""


@dataclass(frozen=True)
class Target:
    """A pose to paint in."""

    name: str
    pose: Pose | None
    """A pose of the library or learned from a photo; None for a pose map, which is painted as it is."""
    file: Path | None = None
    chosen: bool = False
    """Whether it was chosen here, and may be exchanged for another."""

    @property
    def face(self) -> bool:
        """Whether the face is to be seen for certain."""
        return self.pose is not None and not _AWAY & set(self.pose.tags)

    def map(self, body: Callable[[], Physique], settings: PreprocessSettings) -> Pixels:
        """The target pose map, uint8 [s, s, 3], in the proportions of `body`."""
        if self.pose is None:
            assert self.file is not None
            return target_pose(self.file, settings)
        from components.core.poses.drawing import target_map

        return target_map(self.pose, body(), _DRAWN)


@dataclass(frozen=True)
class Asked:
    """Which poses are wanted."""

    poses: Sequence[str | Pose] = ()
    """Poses or their names, files (pose maps, photos of somebody in the pose), or ``random``; none: `count` fitting
    ones."""
    tags: Sequence[str] = ()
    """Of poses that are chosen by chance."""
    count: int | None = None
    seed: int = 0
    own: Path | None = None
    """Folder of the user's own poses."""

    def by_chance(self) -> int:
        """How many poses are to be chosen. Raises `InputError` where the options go against each other."""
        random = sum(pose == RANDOM for pose in self.poses)
        if self.count is not None and self.count < 1:
            raise InputError("no picture is asked for", remedy="give --count 1 or more")
        if self.count is not None and self.poses and not random:
            raise InputError("--count is about poses that are chosen by chance",
                             remedy="leave it out, or add --pose random")
        if not self.poses:
            return self.count or COUNT
        return max(random, self.count - (len(self.poses) - random)) if random and self.count else random


def given_targets(asked: Asked, settings: PreprocessSettings) -> list[Target]:
    """The poses that were given by name or as files, in order. Raises `InputError` for what cannot be used."""
    poses: Mapping[str, Pose] | None = None
    targets = []
    for spec in asked.poses:
        if spec == RANDOM:
            continue
        if not isinstance(spec, str):
            targets.append(Target(spec.name, spec))
            continue
        path = Path(spec)
        if path.suffix or path.exists() or "/" in spec:
            targets.append(_of_file(path, settings))
            continue
        from components.core.poses.library import library, named

        poses = library(asked.own) if poses is None else poses
        targets.append(Target(spec, named(spec, poses)))
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise InputError("two target poses have the same name", remedy="give each pose map its own name")
    return targets


def chosen_targets(asked: Asked, seen: Shown, without: Sequence[str]) -> Iterator[Target]:
    """Fitting poses in an order of chance. Raises `InputError` where no pose with the tags fits the photos."""
    from components.core.poses.library import drawn_by_lot, library, tagged

    poses = tagged(asked.tags, library(asked.own))
    fitting = {name: pose for name, pose in poses.items() if seen.fits(pose) and name not in without}
    if not fitting:
        why = "; ".join(seen.notes()) or "all that have these tags are asked for already"
        raise InputError(f"no pose fits: {why}", remedy="ask for other tags, name a pose, or bring another photo")
    order = drawn_by_lot(fitting, asked.seed)
    if not asked.tags:
        order.sort(key=lambda pose: bool(_HARD & set(pose.tags)))
    return (Target(pose.name, pose, chosen=True) for pose in order)


def taken(targets: Iterator[Target], count: int) -> list[Target]:
    """The next `count`, or as many as there are."""
    return list(islice(targets, count))


def _of_file(path: Path, settings: PreprocessSettings) -> Target:
    """A pose map stays as it is; a photo's pose is learned, so that nobody gets the body of who is in it."""
    with naming(path):
        photo = as_photo(path, settings)
        if photo is None:
            read_iuv(path)  # said now, not after other pictures were painted
            return Target(path.stem, None, path)
        from components.core.estimation.estimate import best_estimate
        from components.core.fitting.fit import fit
        from components.core.poses.learn import learned

        landmarks = best_estimate(photo, settings.min_confidence).landmarks
        size = landmarks.mask.shape[0], landmarks.mask.shape[1]
        pose = learned("from-photo", path.name[:100], landmarks, fit(landmarks, size), size)
        return Target(path.stem, pose, path)
