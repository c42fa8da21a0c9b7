"""Pose maps and mattes of plain photos as PNG files, for whatever needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from components.core.errors import InputError, machine_errors
from components.core.estimation.estimate import cut_out, estimate_people, prepare
from components.core.pictures.folder import list_photos
from components.core.pictures.images import read_photo, write_png
from components.core.pictures.iuv import Order
from components.core.progress import task
from components.core.settings import PreprocessSettings
from components.preprocess.choice import chosen, others_of, person_ids
from components.preprocess.pool import cores, map_in_order

_FEW_PHOTOS = 4
"""Up to this many photos are done in this process: starting workers takes longer."""


@dataclass(frozen=True)
class Wanted:
    """What is to be written, and how."""

    order: Order = "IUV"
    """Channels of the file as (red, green, blue)."""
    mattes: bool = False
    """Whether to write ``<stem>-matte.png`` as well."""
    overwrite: bool = False
    """Whether to make again what is there."""


@dataclass(frozen=True)
class PoseMapSummary:
    """What came of the photos."""

    photos: int
    written: int
    """Pose maps: several of a photo with several people, where all are taken."""
    kept: int
    """Photos whose pose map was there already and was left alone."""
    notes: list[dict[str, str]]
    """{photo, person, confidence, note} of each pose map written."""
    rejected: list[dict[str, str]]
    """{photo, reason} of photos, or people in them, without a pose map."""


@dataclass(frozen=True)
class _Job:
    photo: Path
    name: str
    target: Path
    taken: frozenset[str]
    """Stems of other photos' pose maps in the same folder."""


@dataclass(frozen=True)
class _Done:
    notes: tuple[dict[str, str], ...] = ()
    rejected: tuple[dict[str, str], ...] = ()


def write_pose_maps(sources: Sequence[Path], out: Path, settings: PreprocessSettings, wanted: Wanted) -> PoseMapSummary:
    """Write ``<stem>.png``, a pose map in DensePose's format, of each photo in `sources` to the folder `out`.

    Sources are photos and folders of photos; sub-folders are kept. A pose map has the photo's size as it is looked at,
    EXIF's orientation applied. Of several people ``settings.person`` says whom to take; further ones are
    ``<stem>-2.png`` and so on. Files that are there are kept, so that interrupted work goes on. Raises `InputError` for
    a source that is not there, two photos of one name, and an `out` where a pose map would take a photo's place;
    `MachineError`; and what `estimation.prepare` raises.
    """
    jobs = _jobs(sources, Path(out))
    todo = [job for job in jobs if wanted.overwrite or not _there(job.target, wanted.mattes)]
    if todo:
        prepare()
    workers = 1 if len(todo) <= _FEW_PHOTOS else cores()
    results = map_in_order(partial(_write, settings=settings, wanted=wanted), todo, workers)
    done = []
    with task("pose maps", len(jobs), done=len(jobs) - len(todo)) as shown:
        for job, one in zip(todo, results, strict=True):
            done.append(one)
            shown.advance(note=f"left out {job.name}" if one.rejected else "")
    notes = [note for one in done for note in one.notes]
    return PoseMapSummary(len(jobs), len(notes), len(jobs) - len(todo), notes,
                          [reason for one in done for reason in one.rejected])


def _jobs(sources: Sequence[Path], out: Path) -> list[_Job]:
    """A photo and where its pose map goes, for each photo. Raises `InputError` for two that would be one file."""
    found: dict[Path, tuple[Path, str]] = {}
    for path, name in _photos(sources):
        target = out / PurePosixPath(name).with_suffix(".png")
        if target in found and found[target][0].resolve() != path.resolve():
            raise InputError(f"{found[target][0]} and {path} would both be {target}", path=out,
                             remedy="rename one of them, or write them to two folders")
        if target.parent.resolve() == path.parent.resolve():
            raise InputError("its pose map would lie beside it under its name", path=path,
                             remedy=f"write to a folder of its own, e.g. --out {path.parent / 'iuv'}")
        found.setdefault(target, (path, name))
    stems: dict[Path, set[str]] = {}
    for target in found:
        stems.setdefault(target.parent, set()).add(target.stem)
    return [_Job(path, name, target, frozenset(stems[target.parent])) for target, (path, name) in found.items()]


def _photos(sources: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for source in sources:
        if source.is_dir():
            yield from ((photo.path, photo.name) for photo in list_photos(source).photos)
        elif source.is_file():
            yield source, source.name
        else:
            raise InputError("no such file or folder", path=source, remedy="check the name")


def _there(target: Path, mattes: bool) -> bool:
    return target.is_file() and (not mattes or _matte_of(target).is_file())


def _matte_of(target: Path) -> Path:
    return target.with_name(f"{target.stem}-matte.png")


def _write(job: _Job, settings: PreprocessSettings, wanted: Wanted) -> _Done:
    """Do the whole work on one photo; what is wrong with it is returned, a full disk is raised."""
    try:
        photo = read_photo(job.photo, settings.max_megapixels)
        found = estimate_people(photo)
        maps = [one.iuv for one in found]
        taken = chosen(maps, settings.person)
        if not taken:
            raise InputError("nobody is found in it")
    except InputError as error:
        return _Done(rejected=({"photo": job.name, "reason": error.problem},))
    with machine_errors(job.target):
        job.target.parent.mkdir(parents=True, exist_ok=True)
    notes, rejected = [], []
    people = list(zip(person_ids(job.target.stem, job.taken), taken, strict=False))
    # The photo's first map comes last: where it is there, all are.
    for id, index in reversed(people):
        one, target = found[index], job.target.with_name(f"{id}.png")
        if doubt := one.doubt(settings.min_confidence):
            rejected.append({"photo": job.name, "reason": f"{id}: {doubt}" if len(people) > 1 else doubt})
            continue
        if wanted.mattes:
            write_png(_matte_of(target), cut_out(photo, one, others_of(one.iuv, maps)).alpha)
        write_png(target, one.iuv if wanted.order == "IUV" else np.ascontiguousarray(one.iuv[..., ::-1]))
        said = list(one.confidence.notes)
        if left := len(found) - len(taken):
            said.append(f"{left} more in the photo: the {settings.person} is taken")
        notes.append({"photo": job.name, "person": id, "confidence": f"{one.confidence.score:.2f}",
                      "note": "; ".join(said)})
    return _Done(tuple(notes[::-1]), tuple(rejected[::-1]))
