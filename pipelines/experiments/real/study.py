"""``photoshoot experiment real``: real people, nobody trained on, in poses of others and in their own.

Every row of the table paints the same pictures, person by person; what was measured of a person in a row is one file
in the work folder, so an interrupted study goes on where it was, and its pictures are kept for the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.core.atomic import atomic_path
from components.core.digest import code_digest, file_digest, json_digest
from components.core.pictures.images import Pixels
from components.core.progress import task as progress
from photoshoot.model import Model
from pipelines.experiments.real import measuring
from pipelines.experiments.real.measures.judges import Judges, likeness
from pipelines.experiments.real.measuring import Instruments
from pipelines.experiments.real.pictures.people import Gathered, Subject, gather
from pipelines.experiments.real.pictures.poses import Task, pose_list, tasks
from pipelines.experiments.real.pictures.rows import Row, paint, rows, wanted

POSES = 6
_SIZES = (512, 1024)
_OF_PAINTED = ("head_psnr", "perceptual", "ssim", "seconds")
_QUALITY, _SHOWN, _TEXEL = 90, 512, 32


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    sizes: tuple[int, ...]
    photos: tuple[int, ...] = (1, 2, 4)
    poses: int = POSES
    perceptual: str = "builtin"
    portraits: bool = True


@dataclass(frozen=True)
class Shot:
    """One picture: of whom, in which pose, what was measured, and its file relative to the work folder."""

    row: str
    person: str
    kind: str
    key: str
    source: str
    target: str
    numbers: dict[str, float]
    looks: dict[str, list[float]]
    picture: str


@dataclass(frozen=True)
class Pair:
    """Two real photos compared."""

    person: str
    same: bool
    numbers: dict[str, float]


@dataclass(frozen=True)
class Findings:
    """All that was measured."""

    rows: list[Row]
    shots: list[Shot]
    pairs: list[Pair]
    photo_looks: dict[int, list[tuple[str, dict[str, list[float]]]]]
    """By side in pixels to which they were brought: (person, what the judge sees) of every real photo."""
    people: dict[str, list[str]]
    left_out: dict[str, str]
    poses: list[tuple[str, float]]
    """(photo, turn of the head in degrees) of the list."""
    photos: dict[str, str]
    """Photo -> file with the person cut out, relative to the work folder."""


def run(photos: Path, model: Model, work: Path, options: Options) -> Findings:
    """Paint and measure every row. Raises `InputError` for folders that `gather` does not take, and sizes that the
    model does not make, and what the networks raise where they are not to be had."""
    judges = Judges()
    people = gather(photos, model.preprocess, judges, work / "photos")
    poses = pose_list(people, options.poses)
    asked = {subject.name: tasks(subject, poses, options.poses, options.portraits) for subject in people.subjects}
    table = rows(options.sizes, options.photos)
    instruments = Instruments(judges, options.perceptual)
    kept = work / "rows" / _key(people, model.digest, options)
    shots: list[Shot] = []
    units = [(row, subject) for row in table for subject in people.subjects if wanted(row, asked[subject.name])]
    with progress("pictures", sum(len(wanted(row, asked[subject.name])) for row, subject in units)) as shown:
        for row, subject in units:
            mine = wanted(row, asked[subject.name])
            shots += _of_person(row, subject, mine, model, instruments, kept)
            shown.advance(len(mine), f"{row.name}, {subject.name}")
    looks: dict[int, list[tuple[str, dict[str, list[float]]]]] = {size: [] for size in options.sizes}
    pictures = {}
    for subject in people.subjects:
        for photo in subject.photos:
            for size, seen in looks.items():
                seen.append((subject.name, dict(instruments.looks_of_photo(photo, model.preprocess, size))))
            crop = photo.cut(model.preprocess, _SHOWN, _TEXEL)
            path = work / "photos" / f"{photo.digest[:16]}.jpg"
            _save(path, crop.photo)
            pictures[photo.name] = path.relative_to(work).as_posix()
    made = {shot.row for shot in shots}
    return Findings([row for row in table if row.name in made], shots, _pairs(people), looks,
                    {subject.name: [photo.name for photo in subject.photos] for subject in people.subjects},
                    people.left_out, [(photo.name, float(np.rad2deg(photo.turn))) for _, photo in poses], pictures)


def _key(people: Gathered, model_digest: str, options: Options) -> str:
    """A folder for what these photos, this model and this code give."""
    who = [[subject.name, *(photo.digest for photo in subject.photos)] for subject in people.subjects]
    code = [code_digest("core", "evaluate", packages=("pipelines/experiments/real/measures",
                                                      "pipelines/experiments/real/pictures", "photoshoot")),
            file_digest(Path(measuring.__file__))]
    return json_digest([who, model_digest, options.poses, options.perceptual, code])[:16]


def _of_person(row: Row, subject: Subject, asked: Sequence[Task], model: Model, instruments: Instruments,
               kept: Path) -> list[Shot]:
    """A person's pictures of a row: measured now, or read from the file of an earlier run."""
    path = kept / _plain(row.name) / f"{_plain(subject.name)}.json"
    known = {shot.key: shot for shot in _read(path)}
    missing = [task for task in asked if task.key not in known]
    for task, made in zip(missing, paint(row, missing, model) if missing else [], strict=True):
        numbers, looks = instruments.measure(task, made, model.preprocess)
        if row.painter == "photo":
            numbers |= dict.fromkeys(_OF_PAINTED, float("nan"))
        picture = path.with_name(f"{path.stem}-{json_digest(task.key)[:12]}.jpg")
        _save(picture, made.image)
        known[task.key] = Shot(row.name, subject.name, task.kind, task.key, task.sources[0].name, task.target.name,
                               numbers, dict(looks), picture.relative_to(kept.parent.parent).as_posix())
    shots = [known[task.key] for task in asked]
    if missing:
        with atomic_path(path) as partial:
            partial.write_text(json.dumps([asdict(shot) for shot in shots]), encoding="utf-8")
    return shots


def _read(path: Path) -> list[Shot]:
    try:
        content: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Shot(**row) for row in content]
    except (OSError, ValueError, TypeError):
        return []


def _save(path: Path, picture: Pixels) -> None:
    with atomic_path(path) as partial:
        Image.fromarray(picture).save(partial, "JPEG", quality=_QUALITY)


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _pairs(people: Gathered) -> list[Pair]:
    """Every two photos of the folder: what the judges say of real ones."""
    owned = [(subject.name, photo) for subject in people.subjects for photo in subject.photos]
    found = []
    for (one, first), (other, second) in combinations(owned, 2):
        both = likeness(first.face, second.face)
        found.append(Pair(one, one == other, {"found": 1.0, "sface": both.sface, "dlib": both.dlib, **both.same}))
    return found


def sizes_of(asked: Sequence[int] | None, own: int) -> tuple[int, ...]:
    """Sides of pictures, ascending, each once: those asked for, or the model's own, 512 and 1024."""
    return tuple(sorted(set(asked or (own, *_SIZES))))
