"""The rows of the table: what paints, at which size, from how many photos."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.core.people.sources import merged
from components.core.pictures import texture
from components.core.pictures.images import Pixels
from components.core.settings import PreprocessSettings
from components.evaluate.measuring.methods import looked_up
from components.evaluate.measuring.quality import PLAIN, over
from photoshoot.model import Model
from photoshoot.photos import Photo
from pipelines.experiments.real.pictures.poses import EXACT, Task

Painter = Literal["photo", "warp", "model", "personalised"]
_TEXELS = (32, 256)
"""Fewest and most texels of a tile's side: a pose map tells 256 places along a chart."""


@dataclass(frozen=True)
class Row:
    """A row of the table. `photo`: the target photo itself at that size, what perfection would score. `personalised`:
    the model fitted first to the photos that it paints from, of which the target is none."""

    painter: Painter
    size: int
    photos: int = 1

    @property
    def name(self) -> str:
        """In files and tables."""
        many = "" if self.photos == 1 else f", {self.photos} photos"
        return f"{TITLES[self.painter]} {self.size} px{many}"


TITLES: dict[Painter, str] = {"photo": "real photo", "warp": "texture warp", "model": "model",
                             "personalised": "personalised model"}


_OF_ONE: tuple[Painter, ...] = ("photo", "warp", "model")
_OF_SEVERAL: tuple[Painter, ...] = ("warp", "model", "personalised")


@dataclass(frozen=True)
class Made:
    """A picture [S, S, 3] over plain grey with its matte [S, S], and the processor's seconds that it took."""

    image: Pixels
    matte: Pixels
    seconds: float


def rows(sizes: Sequence[int], photos: Sequence[int]) -> list[Row]:
    """Photo, warp and model at each size; from several photos at the largest, personalised too."""
    found = [Row(painter, size) for size in sizes for painter in _OF_ONE]
    several = [count for count in photos if count > 1]
    return found + [Row(painter, max(sizes), count) for count in several for painter in _OF_SEVERAL]


def wanted(row: Row, tasks: Sequence[Task]) -> list[Task]:
    """Those pictures that a row makes: real photos only of the person; several photos only where there are so many."""
    if row.painter == "photo":
        return [one for one in tasks if one.kind in EXACT]
    return [one for one in tasks if row.photos == 1 or (len(one.sources) >= row.photos and one.kind != "same")]


def paint(row: Row, tasks: Sequence[Task], model: Model) -> list[Made]:
    """The pictures of a row, in order."""
    if row.painter in ("model", "personalised"):
        return [_by_model(row, task, model) for task in tasks]
    make = _photo if row.painter == "photo" else _warped
    return [make(row, task, model.preprocess) for task in tasks]


def _by_model(row: Row, task: Task, model: Model) -> Made:
    """Through the same call that everybody makes."""
    photos = [Photo(one.photo, one.seen_iuv, one.matte) for one in task.sources[: row.photos]]
    grey = np.full((row.size, row.size, 3), PLAIN, np.uint8)
    if row.painter == "personalised":
        model = model.personalise(photos)  # once for the same photos
    start = time.process_time()
    shot = model.shoot(photos, task.target.iuv, background=grey, size=row.size)
    return Made(shot.images[0], shot.mattes[0], time.process_time() - start)


def _warped(row: Row, task: Task, settings: PreprocessSettings) -> Made:
    texel = int(np.clip(row.size // 4, *_TEXELS))
    start = time.process_time()
    pose = task.target.cut(settings, row.size, _TEXELS[0]).iuv
    sources = [one.cut(settings, row.size, texel, source=True) for one in task.sources[: row.photos]]
    one = merged(sources, pose, sources[:1])  # the others may show other clothes
    rendered = looked_up([texture.complete(one.texture, one.seen)[0]], pose[None], PLAIN)
    return Made(rendered.images[0], rendered.mattes[0], time.process_time() - start)


def _photo(row: Row, task: Task, settings: PreprocessSettings) -> Made:
    crop = task.target.cut(settings, row.size, _TEXELS[0])
    return Made(over(crop.photo, crop.matte), crop.matte, 0.0)
