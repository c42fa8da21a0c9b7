"""A page of people's photos: pose map, matte and texture of each, how sure, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from components.core.artifacts.evaluation import SOURCES
from components.core.atomic import atomic_path
from components.core.pictures.images import Pixels
from components.core.progress import task
from components.core.settings import PreprocessSettings
from components.evaluate.report import page as report
from components.evaluate.report.sheet import over_photo
from components.preprocess.looks import Look, looks_of
from components.preprocess.photos import Photo, PhotoFolder
from components.preprocess.pool import cores, map_in_order
from components.preprocess.source import source_of

PAGES = Path(__file__).parent
COLUMNS = ["photo", "pose map over it", "matte", "texture"]
_SIDE, _TEXEL = 256, 32
_FEW_PHOTOS = 8
_GREEN = (0, 177, 64)
"""Behind mattes: a rim of the old background shows on it."""


@dataclass(frozen=True)
class PeopleSummary:
    """What the page shows."""

    photos: int
    shown: int
    """Photos that were looked at: all, or as many as were asked for, evenly spread."""
    people: int
    pose_maps: dict[str, int]
    """People by where their pose map comes from."""
    mattes: dict[str, int]
    rejected: list[dict[str, str]]
    """{photo, reason} of what was left out."""


@dataclass(frozen=True)
class _Entry:
    strip: report.Strip
    photo: str
    reason: str | None
    pose_source: str = ""
    matte_source: str = ""
    confidence: float = 1.0


def write_people_page(photos: Path, out: Path, settings: PreprocessSettings, most: int) -> PeopleSummary:
    """Write the page of a folder of photos; of more than `most` photos a sample, evenly spread.

    One HTML file with everything inside. Photos that were left out come first, then people, the least sure first.
    Raises `InputError` as `preprocess` does for the folder, and `MachineError`.
    """
    folder = PhotoFolder.open(photos)
    chosen = _spread(folder.photos, most)
    settings = settings.model_copy(update={"resolution": max(_SIDE, settings.resolution), "texel": _TEXEL})
    entries = list(_entries(folder, chosen, settings))
    out_of = [entry for entry in entries if entry.reason is not None]
    people = sorted((entry for entry in entries if entry.reason is None), key=lambda entry: entry.confidence)
    summary = PeopleSummary(
        len(folder.photos), len(chosen), len(people), _counted(entry.pose_source for entry in people),
        _counted(entry.matte_source for entry in people),
        [{"photo": entry.photo, "reason": entry.reason or ""} for entry in out_of])
    html = report.environment(PAGES).get_template("people.html").render(
        s=asdict(summary), name=folder.path.resolve().name, columns=COLUMNS, sources=SOURCES,
        people=[entry.strip for entry in people], out=[entry.strip for entry in out_of], least=settings.min_confidence)
    with atomic_path(out) as partial_file:
        partial_file.write_text(html, encoding="utf-8")
    return summary


def _entries(folder: PhotoFolder, chosen: Sequence[Photo], settings: PreprocessSettings) -> Iterator[_Entry]:
    posed = source_of(folder, settings)(chosen)
    workers = 1 if len(chosen) <= _FEW_PHOTOS else cores()
    with task("people", len(chosen)) as shown:
        for entries in map_in_order(partial(_look, settings=settings), posed, workers):
            yield from entries
            shown.advance()


def _look(photo: Photo, settings: PreprocessSettings) -> list[_Entry]:
    return [_left_out(look) if look.record is None else _person(look) for look in looks_of(photo, settings)]


def _person(look: Look) -> _Entry:
    record = look.record
    assert record is not None and look.crop is not None and look.iuv is not None
    assert look.matte is not None and look.texture is not None
    alpha = look.matte[..., None] / 255
    over_green = np.rint(look.crop * alpha + np.asarray(_GREEN) * (1 - alpha)).astype(np.uint8)
    whole = look.crop if look.whole is None else look.whole
    pictures = (whole, over_photo(look.crop, look.iuv), over_green, look.texture)
    sure = 1.0 if record.confidence is None else record.confidence
    told = [f"{record.id}: pose map from {SOURCES[record.pose_source]}",
            "" if record.confidence is None else f"confidence {sure:.2f}", f"seen from the {record.view}", record.notes]
    caption = "; ".join(one for one in told if one)
    return _Entry(_strip(pictures, caption), record.photo, None, record.pose_source, record.matte_source, sure)


def _left_out(look: Look) -> _Entry:
    pictures = [] if look.whole is None else [look.whole]
    if look.crop is not None and look.iuv is not None:
        pictures.append(over_photo(look.crop, look.iuv))
    return _Entry(_strip(pictures, f"{look.photo}: {look.reason}"), look.photo, look.reason)


def _strip(pictures: Sequence[Pixels], caption: str) -> report.Strip:
    return report.Strip(tuple(report.encode(_square(picture), f"{name} of {caption}")
                              for name, picture in zip(COLUMNS, pictures, strict=False)), caption)


def _square(picture: Pixels) -> Pixels:
    """On a clear square, in the middle."""
    height, width = picture.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width, : picture.shape[2]] = picture
    if picture.shape[2] == 3:
        square[top : top + height, left : left + width, 3] = 255
    return square


def _counted(sources: Iterator[str]) -> dict[str, int]:
    return dict(Counter(sources).most_common())


def _spread(photos: Sequence[Photo], most: int) -> list[Photo]:
    if len(photos) <= most:
        return list(photos)
    return [photos[round(number * (len(photos) - 1) / max(1, most - 1))] for number in range(most)]
