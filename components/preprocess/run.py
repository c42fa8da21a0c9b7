"""preprocess: photos with pose maps in, the people data set out; alone, or as one of several tasks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path

from components.core.digest import code_digest
from components.core.errors import InputError
from components.core.people.assembly import LeftOut, assemble, link_part
from components.core.people.dataset import PeopleDataset
from components.core.people.kept_shards import KeptShards
from components.core.people.writer import EncodedPerson, PartWriter, Plan, remove_abandoned
from components.core.progress import Task, task
from components.core.record.recorder import NoRecord, Recorder
from components.core.settings import PreprocessSettings
from components.core.stores.storage import address, is_remote
from components.preprocess.checking.quality import duplicates
from components.preprocess.person import Rejected, people_of_photo
from components.preprocess.photos import Photo, PhotoFolder
from components.preprocess.pool import cores, map_in_order
from components.preprocess.source import Source, source_of

_FEW_PHOTOS = 12
"""Up to this many photos are done in this process: starting workers takes longer."""
_FEWEST_SHARDS, _SMALLEST_SHARD = 32, 8
"""Small folders are cut finer than settings.shard_size, so that several tasks share them and little is done twice."""
_ABANDONED_AFTER_S = 7 * 86400.0
"""Interrupted work that nobody went on with for so long is removed when other work begins."""
_NO_CONTENT = {"shards"}
"""Settings that change who does the work and not what comes of it."""


@dataclass(frozen=True)
class PreprocessSummary:
    """What came of the photos."""

    accepted: int
    rejected: list[dict[str, str]]
    """{photo, reason} of each photo left out, in order of name."""
    origin: str
    resolution: int
    texel: int
    digest: str
    coverage: float
    """Mean share of the atlas that a photo shows."""
    views: dict[str, int] = field(default_factory=dict)
    """People seen from the front, the side and the back."""
    faces_seen: int = 0
    pose_maps: dict[str, int] = field(default_factory=dict)
    """People by where their pose map comes from: given, landmarks, densepose."""
    mattes: dict[str, int] = field(default_factory=dict)
    """People by where their matte comes from: given, landmarks, grabcut, silhouette."""


@dataclass(frozen=True)
class PartSummary:
    """What one of several tasks did."""

    part: str
    photos: int
    shards: list[int]


def preprocess(photos: Path, out: Path, settings: PreprocessSettings, recorder: Recorder | None = None, *,
               state: Path | str | None = None) -> PreprocessSummary:
    """Make the people data set `out` from the folder `photos`.

    A photo that cannot be used is listed with its reason and skipped. Interrupted work goes on when called again:
    finished shards are kept in ``<out>.partial``, or in ``state/preprocess/`` where `state`, a folder or gs:// address,
    is given, until all are there; then `out` appears, byte for byte what an uninterrupted run writes. On gs:// they
    stay: `out` is still to be sent somewhere. Raises `InputError` for a folder without usable photos, `MachineError`.
    """
    folder, plan, settings = _plan(photos, settings)
    source = source_of(folder, settings)
    with PartWriter(_work(Path(out), state, plan), plan) as writer:
        kept = _kept(state, plan)
        _make(writer, folder, source, settings, range(plan.shards), "preprocess", cores(), kept)
        try:
            assemble([writer.folder], Path(out), repeated_by(settings))
        except InputError:
            writer.discard()
            raise
        writer.discard()
    return summarise(Path(out), str(photos), recorder)


def preprocess_part(photos: Path, out: Path, settings: PreprocessSettings, part: str, *,
                    state: Path | str | None = None, at_once: int = 1) -> PartSummary:
    """Do the share `part`, written as ``2/3`` for the second of three, of what `preprocess` does.

    `out` gets every third shard; `gather` makes the people data set of all parts. It may stay without shards when
    there are more parts than shards. `at_once` parts run beside each other on this machine and share its cores.
    Interrupted work goes on as in `preprocess`. Raises as `preprocess` does.
    """
    number, of = _share(part)
    folder, plan, settings = _plan(photos, settings)
    source = source_of(folder, settings)
    mine = range(number - 1, plan.shards, of)
    with PartWriter(_work(Path(out), state, plan, f"-{number}-of-{of}"), plan) as writer:
        workers = max(1, cores() // min(at_once, of))
        kept = _kept(state, plan)
        done = _make(writer, folder, source, settings, mine, f"preprocess {part}", workers, kept)
        link_part(writer.folder, Path(out), mine)
        writer.discard()
    return PartSummary(part, done, list(mine))


def summarise(out: Path, source: str, recorder: Recorder | None = None) -> PreprocessSummary:
    """Read what came of it and record it; `source` says what the data set was made from."""
    recorder = recorder or NoRecord()
    people = PeopleDataset.open(out)
    coverage, seen = people.column("coverage"), people.column("face_seen")
    summary = PreprocessSummary(
        accepted=len(people), rejected=[{"photo": photo, "reason": reason} for photo, reason in people.rejected],
        origin=people.origin, resolution=people.resolution, texel=people.texel, digest=people.digest,
        coverage=sum(coverage) / len(coverage), views=dict(sorted(Counter(people.column("view")).items())),
        faces_seen=sum(seen), pose_maps=people.counted("pose_source"), mattes=people.counted("matte_source"))
    recorder.params({"people": {"digest": people.digest, "origin": people.origin}})
    recorder.metrics({"accepted": summary.accepted, "rejected": len(summary.rejected), "coverage": summary.coverage,
                      "faces_seen": summary.faces_seen})
    recorder.dataset("people", source, people.digest, "preprocess")
    return summary


def repeated_by(settings: PreprocessSettings) -> LeftOut:
    """How to tell which pictures repeat an earlier one: the same rule for one task and for many."""
    return partial(duplicates, distance=settings.repeats)


def _plan(photos: Path, settings: PreprocessSettings) -> tuple[PhotoFolder, Plan, PreprocessSettings]:
    """The photos, what is to be made of them, and the settings with the larger crops' side decided."""
    folder = PhotoFolder.open(photos)
    large = settings.large_of(len(folder.photos), folder.origin == "synthetic")
    settings = settings.model_copy(update={"large": large})
    # Without larger crops a data set is what it was before there were any, its digest too.
    content = settings.model_dump(mode="json", exclude=_NO_CONTENT | (set() if large else {"large"}))
    inputs = hashlib.sha256(f"{folder.plan(content)} {code_digest('core', 'preprocess')}".encode()).hexdigest()
    shards = -(-len(folder.photos) // shard_photos(len(folder.photos), settings.shard_size))
    plan = Plan(inputs=inputs, resolution=settings.resolution, texel=settings.texel, origin=folder.origin,
                settings=content, shards=shards, large=large)
    return folder, plan, settings


def shard_photos(photos: int, most: int) -> int:
    """Photos per shard: `most`, less in a small folder. Depends on nothing else, or parts would not fit together."""
    return min(most, max(_SMALLEST_SHARD, -(-photos // _FEWEST_SHARDS)))


def _kept(state: Path | str | None, plan: Plan) -> KeptShards | None:
    """Where finished shards outlive this machine, if on gs://: all parts share it, however many they are."""
    return KeptShards(f"{address(state)}/preprocess/{plan.inputs[:24]}") if state and is_remote(state) else None


def _work(out: Path, state: Path | str | None, plan: Plan, share: str = "") -> Path:
    """Where finished shards wait. Under a pipeline `out` is another one in every run, so it goes by the plan."""
    if state is None or is_remote(state):
        return out.with_name(out.name + ".partial")
    name, state = plan.inputs[:24], Path(state)
    remove_abandoned(state / "preprocess", _ABANDONED_AFTER_S, but=name)
    return state / "preprocess" / f"{name}{share}"


def _share(part: str) -> tuple[int, int]:
    with suppress(ValueError):
        number, of = (int(one) for one in part.split("/"))
        if 1 <= number <= of:
            return number, of
    raise InputError(f"{part!r} is not a part", remedy="write the second of three parts as 2/3")


def _make(writer: PartWriter, folder: PhotoFolder, source: Source, settings: PreprocessSettings,
          shards: Sequence[int], label: str, workers: int, kept: KeptShards | None) -> int:
    """Write the shards that are missing; returns how many photos all of them hold."""
    if kept:
        kept.bring(writer)
    size = shard_photos(len(folder.photos), settings.shard_size)
    photos = {number: folder.photos[number * size : (number + 1) * size] for number in shards}
    left = [number for number in shards if not writer.has(number)]
    todo = [photo for number in left for photo in photos[number]]
    total = sum(len(some) for some in photos.values())
    workers = 1 if len(todo) <= _FEW_PHOTOS else workers
    # Shard by shard, so that what is in one batch of DensePose's does not hang on where a run was interrupted.
    posed = chain.from_iterable(source(photos[number]) for number in left)
    results = map_in_order(partial(people_of_photo, settings=settings), posed, workers)
    with task(label, total, done=total - len(todo)) as shown:
        for number in left:
            _write_shard(writer, number, photos[number], results, shown)
            if kept:
                kept.keep(writer, number)
    return total


def _write_shard(writer: PartWriter, number: int, photos: list[Photo],
                 results: Iterator[list[EncodedPerson | Rejected]], shown: Task) -> None:
    with writer.shard(number) as shard:
        for people in islice(results, len(photos)):
            note = ""
            for result in people:
                if isinstance(result, Rejected):
                    shard.reject(result.photo, result.reason)
                    note = f"left out {result.photo}"
                else:
                    shard.add(result)
            shown.advance(note=note)
