"""The photos: readable, complete, their pose maps of the right size and order; and buckets that runs write to."""

from __future__ import annotations

import importlib.util
import secrets
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from components.core.artifacts.photos import LABELS, SYNTHETIC
from components.core.errors import PhotoshootError
from components.core.pictures.folder import looked_at
from components.core.pictures.images import read_upright
from components.core.pictures.iuv import read_iuv
from components.core.stores.storage import Location, address, is_remote, open_location
from components.preprocess.photos import Photo, PhotoFolder
from pipelines.doctor.checks import of_error
from pipelines.doctor.finding import Finding, ok, problem, warning

_PHOTOS, _POSES, _LABELS = "photos", "pose maps", "labels"
_SAMPLE_HERE, _SAMPLE_REMOTE = 12, 6
PoseMaps = Literal["auto", "given", "landmarks", "densepose"]


@dataclass(frozen=True)
class Maker:
    """What gives photos a pose map that come without."""

    pose_maps: PoseMaps = "auto"
    """As `preprocess.pose_maps` says."""
    elsewhere: bool = False
    """Whether it works in the image of the step, not on this machine."""


def photos(uri: str | Path, maker: Maker) -> list[Finding]:
    """What `preprocess` would find at a folder or gs:// prefix; pose maps are looked at in a sample."""
    if not is_remote(uri):
        return _folder(PhotoFolder.open(Path(uri)), str(uri), _SAMPLE_HERE, maker)
    location = open_location(uri)
    with tempfile.TemporaryDirectory(prefix="photoshoot-doctor-") as temporary:
        folder = Path(temporary)
        _skeleton(location, folder)
        found = PhotoFolder.open(folder)
        chosen = _sample([photo for photo in found.photos if photo.iuv.exists()], _SAMPLE_REMOTE)
        files = [path for photo in chosen for path in (photo.path, photo.iuv)]
        location.fetch([path.relative_to(folder).as_posix() for path in files], folder)
        return _folder(found, address(uri), _SAMPLE_REMOTE, maker)


def _skeleton(location: Location, folder: Path) -> None:
    """Empty files of the same names, and the files that are read as a whole: enough to open the folder by its rules."""
    whole = []
    for name in location.list():
        parts, read = PurePosixPath(name).parts, PurePosixPath(name).name.lower() in (LABELS, SYNTHETIC)
        if ".." in parts or not (read or looked_at(name)):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        if read and len(parts) <= 2:
            whole.append(name)
    location.fetch(whole, folder)


def _folder(folder: PhotoFolder, shown: str, size: int, maker: Maker) -> list[Finding]:
    there = folder.photos
    kind = "synthetic people" if folder.origin == "synthetic" else "photos"
    found = [ok(_PHOTOS, f"{len(there)} {kind} at {shown}", "photos that can be read")]
    with_map = [photo for photo in there if photo.iuv.exists()]
    found += _missing(len(there), len(there) - len(with_map), maker)
    if with_map:
        found.append(_pose_maps(_sample(with_map, size)))
    labels = {photo.label for photo in there if photo.label}
    if labels:
        count = sum(1 for photo in there if photo.label)
        found.append(ok(_LABELS, f"{count} of {len(there)} photos, {len(labels)} identities"))
    return found


_MAKERS = {"auto": ("landmarks make them", "ai_edge_litert", "ai-edge-litert", "pip install 'photoshoot[landmarks]'"),
           "densepose": ("DensePose makes them", "densepose", "DensePose",
                         "install detectron2 and DensePose (docs/densepose.md), or preprocess.pose_maps=auto")}
"""Setting -> what is said where it is there; its module; its name; how to get it."""


def _missing(count: int, missing: int, maker: Maker) -> list[Finding]:
    what, told = "photos without a pose map", f"{missing} of {count}"
    every = maker.pose_maps == "landmarks"
    if not missing and not every:
        return [ok(what, "none")]
    make = problem if missing == count or every else warning
    if maker.pose_maps == "given":
        return [make(what, f"{told}: they are left out", "0",
                     "bring iuv/<stem>.png, or preprocess.pose_maps=auto makes them from landmarks")]
    makes, module, name, mend = _MAKERS["auto" if every else maker.pose_maps]
    if every:
        told, makes = f"all {count}" if missing else f"none of {count}", "landmarks make all, preprocess.pose_maps says"
    if maker.elsewhere or importlib.util.find_spec(module):
        return [ok(what, f"{told}: {makes}")]
    return [make(what, f"{told}, and {name} is not installed", name, mend)]


def lacking(uri: str | Path) -> bool:
    """Whether a folder has photos without a pose map; True where that cannot be known before they are fetched."""
    if is_remote(uri):
        return True
    try:
        return any(not photo.iuv.exists() for photo in PhotoFolder.open(Path(uri)).photos)
    except PhotoshootError:  # the business of who opens it
        return True


def _pose_maps(sample: Sequence[Photo]) -> Finding:
    """Whether photos can be read, and order and size of their pose maps, as `preprocess` will find them."""
    orders: Counter[str] = Counter()
    broken: list[Finding] = []
    for photo in sample:
        try:
            read = read_upright(photo.path)
            orders[read_iuv(photo.iuv, read.size, read.orientation).order] += 1
        except (PhotoshootError, OSError) as error:
            broken.append(of_error(_POSES, error) if isinstance(error, PhotoshootError)
                          else problem(_POSES, f"{photo.name}: {error}", "", "copy the file again"))
    told = ", ".join(f"{count} as {order}" for order, count in orders.most_common())
    wanted = "the photo's size, one channel order"
    if broken:
        first = broken[0]
        make = problem if not orders else warning
        return make(_POSES, f"{len(broken)} of {len(sample)} looked at cannot be used, e.g. {_name(first.found)}",
                    wanted, first.how_to_mend)
    if len(orders) > 1:
        return warning(_POSES, f"of {len(sample)} looked at, {told}", wanted,
                       "each is read by its own order; check that they come from tools you know")
    return ok(_POSES, f"all {len(sample)} looked at fit their photo, {told}", wanted)


def _name(found: str) -> str:
    """Without the folder that stands in for a bucket."""
    place, separator, rest = found.partition(": ")
    return f"{Path(place).name}: {rest}" if separator else found


def _sample(there: Sequence[Photo], size: int) -> list[Photo]:
    """Evenly spread, first and last among them."""
    if len(there) <= size:
        return list(there)
    return [there[round(index * (len(there) - 1) / (size - 1))] for index in range(size)]


def writable(uri: str, what: str = "artifacts") -> list[Finding]:
    """Whether a folder or gs:// prefix can be written and read, by a file that is taken away again."""
    location, name = open_location(uri), f"photoshoot-doctor-{secrets.token_hex(4)}"
    mend = "grant this account roles/storage.objectUser on the bucket"
    try:
        location.write_bytes(name, b"trial")
        same = location.read_bytes(name) == b"trial"
    except PhotoshootError as error:
        return [of_error(what, error, mend, wanted="can be written and read")]
    if not same:
        return [problem(what, f"{uri} returns something other than what was written", "the same", "check the store")]
    if not _removed(uri, name):
        return [warning(what, f"{uri} is written and read, but {name} cannot be deleted", "can be deleted too", mend)]
    return [ok(what, f"{uri} is written, read, deleted", "can be written and read")]


def _removed(uri: str, name: str) -> bool:
    if not is_remote(uri):
        (Path(uri) / name).unlink(missing_ok=True)
        return True
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import storage

    bucket, _, prefix = address(uri).removeprefix("gs://").partition("/")
    try:
        storage.Client().bucket(bucket).blob("/".join(part for part in (prefix.strip("/"), name) if part)).delete()
    except GoogleAPICallError:
        return False
    return True
