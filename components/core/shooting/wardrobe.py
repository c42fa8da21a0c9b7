"""Clothes to be drawn by chance: from the wardrobe that ships, or from a folder of photos of people who wear them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from components.core.errors import DataError, InputError
from components.core.pictures.folder import list_photos
from components.core.shooting.subjects import Subject

WARDROBE = "wardrobe"
"""Folder of `components/core/data`, written by `make wardrobe` (`pipelines.pretraining.wardrobe`)."""


def wardrobe(folder: Path | None = None) -> list[Subject]:
    """Photos of somebody's clothes, by name: those of a folder as `list_photos` reads it, pose maps and mattes among
    them where there are any; None: the synthetic outfits that ship.

    Raises `InputError` for a folder that is missing or without photos, `DataError` where the own one is incomplete.
    """
    if folder is None:
        place = Path(str(resources.files("components.core") / "data" / WARDROBE))
        try:
            return wardrobe(place)
        except InputError:
            raise DataError("the wardrobe that ships is missing", path=place,
                            remedy="install the package anew, or make it with `make wardrobe`") from None
    return [Subject(file.path, file.iuv if file.iuv.is_file() else None, file.matte)
            for file in list_photos(folder).photos]


def drawn(clothes: Sequence[Subject], seed: int) -> Iterator[Subject]:
    """Clothes in an order of chance, without end: none comes again before all came."""
    rng = np.random.default_rng(seed % 2**64)
    while clothes:
        for index in rng.permutation(len(clothes)):
            yield clothes[index]


def random_clothes(seed: int) -> Subject:
    """One of the outfits that ship; the same for the same seed, any integer. Raises `DataError` as `wardrobe`."""
    return next(drawn(wardrobe(), seed))
