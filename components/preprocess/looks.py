"""What `preprocess` makes of a photo, in pictures for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from components.core.errors import InputError
from components.core.people.dataset import PersonRecord
from components.core.pictures.images import Pixels, decode_png, read_photo
from components.core.settings import PreprocessSettings
from components.preprocess.person import Rejected, people_of_photo
from components.preprocess.photos import Photo

_THUMBNAIL = 384
"""Longer side of the whole photo, in pixels."""
_FRAME = (255, 196, 0)


@dataclass(frozen=True)
class Look:
    """A person of a photo, or a photo that was left out."""

    photo: str
    """Its name."""
    whole: Pixels | None = None
    """uint8 RGB [h, w, 3]: the photo made small, a frame around the person; None where it cannot be read."""
    record: PersonRecord | None = None
    """Of a person who was taken."""
    crop: Pixels | None = None
    """uint8 RGB [S, S, 3]; with its pose map, or, where somebody was left out, the small photo with theirs."""
    iuv: Pixels | None = None
    matte: Pixels | None = None
    texture: Pixels | None = None
    """uint8 RGBA, clear where nothing was seen."""
    reason: str | None = None
    """Why it was left out."""


def looks_of(photo: Photo, settings: PreprocessSettings) -> list[Look]:
    """`people_of_photo`, to be looked at: a look for each person of a photo and each reason to leave one out."""
    whole = _whole(photo, settings)
    return [_left_out(one, photo, whole, settings) if isinstance(one, Rejected) else
            _taken(one.record, one.members, whole) for one in people_of_photo(photo, settings)]


def _taken(record: PersonRecord, members: dict[str, bytes], whole: tuple[Pixels, float] | None) -> Look:
    planes = {name: decode_png(members[name]) for name in ("photo", "iuv", "matte", "texture", "seen")}
    texture = np.dstack([planes["texture"], planes["seen"]])
    framed = None
    if whole is not None:
        framed = whole[0].copy()
        x0, y0, x1, y1 = (round(edge * whole[1]) for edge in record.box)
        cv2.rectangle(framed, (x0, y0), (x1, y1), _FRAME, 2)
    return Look(record.photo, framed, record, planes["photo"], planes["iuv"], planes["matte"], texture)


def _left_out(one: Rejected, photo: Photo, whole: tuple[Pixels, float] | None, settings: PreprocessSettings) -> Look:
    """With what the landmark networks found in it, where they looked."""
    if whole is None or photo.iuv.exists() or settings.pose_maps not in ("auto", "landmarks"):
        return Look(one.photo, None if whole is None else whole[0], reason=one.reason)
    from components.core.estimation.estimate import estimate_people

    small = whole[0]
    maps = [found.iuv for found in estimate_people(small)]
    planes = np.zeros_like(small)
    for iuv in reversed(maps):  # the largest last: it is in front
        planes = np.where(iuv[..., :1] > 0, iuv, planes)
    return Look(one.photo, small, crop=small if maps else None, iuv=planes if maps else None, reason=one.reason)


def _whole(photo: Photo, settings: PreprocessSettings) -> tuple[Pixels, float] | None:
    """The photo made small, and by how much."""
    try:
        pixels = read_photo(photo.path, settings.max_megapixels)
    except InputError:
        return None
    height, width = pixels.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), scale
