"""preprocess: photos with pose maps in, the people data set out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from components.core.people import PeopleDataset
from components.core.people_writer import EncodedPerson, PeopleWriter
from components.core.progress import Task, task
from components.core.recorder import NoRecord, Recorder
from components.core.settings import PreprocessSettings
from components.preprocess.person import Rejected, encode_person
from components.preprocess.photos import Photo, PhotoFolder
from components.preprocess.pool import cores, map_in_order

_FEW_PHOTOS = 12
"""Up to this many photos are done in this process: starting workers takes longer."""


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


def preprocess(photos: Path, out: Path, settings: PreprocessSettings,
               recorder: Recorder | None = None) -> PreprocessSummary:
    """Make the people data set `out` from the folder `photos`.

    A photo that cannot be used is listed with its reason and skipped. Interrupted work goes on when called again:
    finished shards are kept in ``<out>.partial``, which becomes `out` when all are there, byte for byte what an
    uninterrupted run writes. Raises `InputError` for a folder without usable photos, `MachineError`.
    """
    recorder = recorder or NoRecord()
    folder = PhotoFolder.open(photos)
    plain = settings.model_dump(mode="json")
    shards = [folder.photos[start : start + settings.shard_size]
              for start in range(0, len(folder.photos), settings.shard_size)]
    with PeopleWriter(Path(out), resolution=settings.resolution, texel=settings.texel, origin=folder.origin,
                      settings=plain, plan=folder.plan(plain)) as writer:
        left = [number for number in range(len(shards)) if not writer.has(number)]
        todo = [photo for number in left for photo in shards[number]]
        workers = 1 if len(todo) <= _FEW_PHOTOS else cores()
        results = map_in_order(partial(encode_person, settings=settings), todo, workers)
        with task("preprocess", len(folder.photos), done=len(folder.photos) - len(todo)) as shown:
            for number in left:
                _write_shard(writer, number, shards[number], results, shown)
        writer.finish(len(shards))
    people = PeopleDataset.open(out)
    summary = _summary(people)
    recorder.params({"people": {"digest": people.digest, "origin": people.origin}})
    recorder.metrics({"accepted": summary.accepted, "rejected": len(summary.rejected), "coverage": summary.coverage,
                      "faces_seen": summary.faces_seen})
    recorder.dataset("people", str(photos), people.digest, "preprocess")
    return summary


def _write_shard(writer: PeopleWriter, number: int, photos: list[Photo],
                 results: Iterator[EncodedPerson | Rejected], shown: Task) -> None:
    with writer.shard(number) as shard:
        for result in islice(results, len(photos)):
            if isinstance(result, Rejected):
                shard.reject(result.photo, result.reason)
                shown.advance(note=f"left out {result.photo}")
            else:
                shard.add(result)
                shown.advance()


def _summary(people: PeopleDataset) -> PreprocessSummary:
    coverage = people.column("coverage")
    return PreprocessSummary(
        accepted=len(people), rejected=[{"photo": photo, "reason": reason} for photo, reason in people.rejected],
        origin=people.origin, resolution=people.resolution, texel=people.texel, digest=people.digest,
        coverage=sum(coverage) / len(coverage), views=dict(sorted(Counter(people.column("view")).items())),
        faces_seen=sum(people.column("face_seen")))
