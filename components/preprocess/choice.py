"""Of several people in a photo: whom to take, and what they are called."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels
from components.preprocess.photos import Photo

_MOST_PEOPLE = 99
"""More people than that are in no photo that can be taken apart."""


def chosen(maps: Sequence[Pixels], person: str) -> list[int]:
    """Which of the people's pose maps [H, W, 3] to take, whoever covers most pixels first.

    `person` chooses: "largest", the one who covers most pixels; "centre", the one whose middle is nearest the
    picture's; "all". Maps without a pixel of body count for nothing.
    """
    covered = [int(np.count_nonzero(iuv[..., 0])) for iuv in maps]
    found = sorted((i for i in range(len(maps)) if covered[i]), key=lambda i: -covered[i])
    if person == "centre":
        found = sorted(found, key=lambda i: _off_centre(maps[i]))
    return found if person == "all" else found[:1]


def person_ids(id: str, taken: Container[str]) -> Iterator[str]:
    """Ids for the people of one photo: ``id``, ``id-2``, ``id-3``, ...; those that another photo has are left to it."""
    yield id
    for number in count(2):
        if f"{id}-{number}" not in taken:
            yield f"{id}-{number}"


def beside(photos: Iterable[Photo], taken: Container[str]) -> Iterator[Photo]:
    """The photos, each told which ids of further people in it are other photos' (`taken` holds all photos' ids)."""
    for photo in photos:
        ids = (f"{photo.id}-{number}" for number in range(2, _MOST_PEOPLE + 1))
        mine = tuple(id for id in ids if id in taken)
        yield replace(photo, taken=mine) if mine else photo


def others_of(planes: Pixels, people: Sequence[Pixels]) -> NDArray[np.bool_] | None:
    """Where others of these people's pose maps [H, W, 3] are, and `planes`, which is one of them, is not."""
    bodies = [one[..., 0] > 0 for one in people if one is not planes]
    return np.asarray(np.any(bodies, axis=0) & (planes[..., 0] == 0)) if bodies else None


def _off_centre(iuv: Pixels) -> float:
    """Distance of a body's centre of mass from the picture's middle, squared, in pixels."""
    ys, xs = np.nonzero(iuv[..., 0])
    height, width = iuv.shape[:2]
    return float((ys.mean() - (height - 1) / 2) ** 2 + (xs.mean() - (width - 1) / 2) ** 2)
