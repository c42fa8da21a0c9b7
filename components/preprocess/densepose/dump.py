"""Pose maps from a DensePose dump: what ``apply_net.py dump`` wrote, turned into a PNG for each photo.

A dump is a Python pickle, which can run code of whoever made it. Here only tensors and DensePose's results are unpacked
(torch's `weights_only`), and neither detectron2 nor DensePose has to be installed.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.core.errors import InputError, MachineError, machine_errors
from components.core.pictures.folder import PhotoFile, composed, list_photos
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import write_iuv
from components.core.progress import track
from components.core.settings import PreprocessSettings
from components.preprocess.densepose.detection import Detection
from components.preprocess.densepose.maps import pose_maps

_RESULTS = ("DensePoseChartResult", "DensePoseChartResultWithConfidences")
_HOMES = ("densepose.structures.chart_result", "densepose.structures")
_REMEDY = "write it with DensePose's `apply_net.py dump` and a chart configuration"


@dataclass(frozen=True)
class DumpSummary:
    """What came of a dump."""

    written: int
    kept: int
    """Photos that had a pose map already, which was left alone."""
    rejected: list[dict[str, str]]
    """{photo, reason} of entries of the dump that gave no pose map."""


def unpack_dump(dump: Path, photos: Path, out: Path | None, settings: PreprocessSettings) -> DumpSummary:
    """Write the pose maps of a dump into the folder `out` (default: the iuv/ of the folder `photos`), a PNG a photo.

    Photos are found by the names that the dump has. Of several people in one, ``settings.person`` says whom to
    take. Raises `InputError` for a file that is no such dump and for a dump of other photos.
    """
    files = list_photos(photos)
    by_name = {photo.name: photo for photo in files.photos}
    entries = list(_entries(dump))
    rejected: list[dict[str, str]] = []
    written = kept = 0
    for name, detections in track(entries, label="pose maps"):
        photo = _meant(name, by_name)
        if photo is None:
            rejected.append({"photo": name, "reason": "no such photo here"})
            continue
        if photo.iuv.exists() and photo.iuv.resolve() != dump.resolve():
            kept += 1
            continue
        try:
            pixels = read_photo(photo.path, settings.max_megapixels)
        except InputError as error:
            rejected.append({"photo": photo.name, "reason": error.problem})
            continue
        maps = pose_maps(detections, (pixels.shape[0], pixels.shape[1]), settings)
        if not maps:
            rejected.append({"photo": photo.name, "reason": "DensePose found nobody in it"})
            continue
        target = (out or files.folder / "iuv") / PurePosixPath(photo.name).with_suffix(".png")
        with machine_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_iuv(target, maps[0])
        written += 1
    if not written + kept:
        raise InputError(f"no pose map for any of {len(files.photos)} photos came of its {len(entries)} entries"
                         + (f", e.g. {rejected[0]['photo']}: {rejected[0]['reason']}" if rejected else ""), path=dump,
                         remedy="give --photos the folder that DensePose looked at")
    return DumpSummary(written, kept, rejected)


def _meant(name: str, photos: dict[str, PhotoFile]) -> PhotoFile | None:
    """The photo that a path on some machine names: as much of its end as there is here."""
    parts = PurePosixPath(composed(name.replace("\\", "/"))).parts
    return next((photos[end] for start in range(len(parts)) if (end := "/".join(parts[start:])) in photos), None)


def _entries(dump: Path) -> Iterator[tuple[str, list[Detection]]]:
    content = _unpickled(dump)
    if not isinstance(content, list) or not all(isinstance(one, dict) and "file_name" in one for one in content):
        raise InputError("no list of photos with their people", path=dump, remedy=_REMEDY)
    for entry in content:
        try:
            yield str(entry["file_name"]), _detections(entry)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"not what DensePose writes of {entry['file_name']} ({type(error).__name__})", path=dump,
                             remedy=_REMEDY) from None


def _detections(entry: dict[str, Any]) -> list[Detection]:
    people: Sequence[Any] = entry.get("pred_densepose", [])
    found = []
    for person, box, score in zip(people, entry.get("pred_boxes_XYXY", ()), entry.get("scores", ()), strict=True):
        x0, y0, x1, y1 = box.tolist()
        found.append(Detection(person.labels.numpy(), person.uv.numpy(), (x0, y0, x1 - x0, y1 - y0), float(score)))
    return found


def _unpickled(dump: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise MachineError("PyTorch, which a dump is read with, is not installed",
                           remedy="pip install 'photoshoot[train]'") from None
    known: list[Any] = [(type(name, (), {"__module__": home}), f"{home}.{name}")
                        for home in _HOMES for name in _RESULTS]
    try:
        with machine_errors(dump), torch.serialization.safe_globals(known):
            return torch.load(dump, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError("no such file", path=dump, remedy="check the name") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError,
            IndexError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise InputError(f"not a DensePose dump that can be read safely ({reason})", path=dump,
                         remedy=_REMEDY) from None
