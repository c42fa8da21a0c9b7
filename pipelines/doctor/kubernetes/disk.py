"""How much of a node's disk each task fills, from the number and size of the photos, and whether the nodes have it.

KFP's launcher copies a task's inputs to the node's disk before it starts, and its outputs lie there until they are
sent, which is more than `scratch`. Upper bounds, in bytes: pictures count as if PNG did not make them smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from components.core.errors import PhotoshootError
from components.core.settings import Settings
from components.core.stores.storage import open_location
from pipelines.doctor.finding import Finding, ok, problem, warning
from pipelines.doctor.kubernetes.nodes import allocatable, amount, nodes_of
from pipelines.profile import POOLS, Profile

if TYPE_CHECKING:
    from kubernetes.client import V1Node

_CROP_BYTES = 3 + 3 + 1
"""Per pixel of a crop: colour, pose map, matte."""
_TEXEL_BYTES = 24 * (3 + 1)
"""Per texel of a chart: 24 charts, colour and what was seen."""
_FACE_BYTES = 256 * 256 * 3
_BASE = 1 << 30
"""What every task writes besides: logs, models, reports."""
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Amount:
    """Photos by number and size."""

    count: int
    bytes: int
    synthetic: bool = False


def amount_of_photos(photos: str | None, settings: Settings) -> Amount:
    """Of a folder or gs:// prefix; without one, of the people that are to be synthesised.

    Raises `PhotoshootError` where they cannot be listed.
    """
    if photos is None:
        made = settings.synthesize
        count = made.people * made.photos_per_person
        return Amount(count, count * made.height * made.height * _CROP_BYTES, synthetic=True)
    stamps = open_location(photos).stamps()
    sizes = {name: int(stamp.split()[0]) for name, stamp in stamps.items()}
    pictures = [name for name in sizes if name.lower().endswith(_PICTURES)
                and not name.startswith(("iuv/", "matte/"))]
    return Amount(len(pictures), sum(sizes.values()))


def needs(tasks: Iterable[str], photos: Amount, settings: Settings) -> dict[str, int]:
    """Bytes of the node's disk that each task fills at most, one person a photo."""
    made = settings.preprocess
    large = made.large_of(photos.count, photos.synthetic)
    person = (made.resolution**2 + large**2) * _CROP_BYTES + made.texel**2 * _TEXEL_BYTES + _FACE_BYTES
    people = photos.count * person
    share = -(-people // made.shards)
    special = {"synthesize": photos.bytes, "preprocess": photos.bytes + (people if made.shards == 1 else share),
               "preprocess-part": photos.bytes + share, "gather": 2 * people}
    return {task: _BASE + special.get(task, people) for task in tasks}


def disk_findings(nodes: Sequence[V1Node], profile: Profile, needed: Mapping[str, int]) -> list[Finding]:
    """For each pool, whether its largest node has the disk that its hungriest task needs."""
    found = []
    for name in POOLS:
        here = {task: need for task, need in needed.items() if profile.step(task).pool == name}
        offers = [allocatable(node, "ephemeral-storage") for node in nodes_of(nodes, profile.pool(name))]
        if not here or not any(offers):
            continue  # no node yet, or none that says how much disk it has
        task = max(here, key=lambda one: here[one])
        what, largest, wanted = f"{name} nodes: disk for {task}", max(offers), Decimal(here[task])
        shown = f"at most {amount('storage', largest)} on a node", f"{amount('storage', wanted)} for these photos"
        if largest >= wanted:
            found.append(ok(what, *shown))
        else:
            more = "more preprocess.shards, or " if task == "preprocess-part" else ""
            found.append(problem(what, *shown, f"{more}nodes with larger disks (--disk-size)"))
    return found


def looked_up(photos: str | None, settings: Settings, tasks: Sequence[str]) -> tuple[dict[str, int], list[Finding]]:
    """What tasks need; nothing and a warning where the photos cannot be listed from here."""
    try:
        return needs(tasks, amount_of_photos(photos, settings), settings), []
    except PhotoshootError as error:
        return {}, [warning("disk of the nodes", f"photos cannot be listed: {error.problem}", "their number and size",
                            error.remedy or "check --photos")]
