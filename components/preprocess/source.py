"""Where the pose maps of photos without one come from: nowhere, landmarks, or DensePose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from components.core.errors import InputError
from components.core.settings import PreprocessSettings
from components.preprocess.choice import beside
from components.preprocess.densepose.maps import PoseFinder, way_out
from components.preprocess.photos import Photo, PhotoFolder

Source = Callable[[Iterable[Photo]], Iterator[Photo]]
"""Passes photos on in order, with what each needs to have its people cut out."""


def source_of(folder: PhotoFolder, settings: PreprocessSettings) -> Source:
    """What `settings.pose_maps` asks for, ready to work.

    Raises, before the first photo, `InputError` where no photo has a pose map and nothing makes one, and what
    `estimation.prepare` raises where landmark networks are needed and cannot be had.
    """
    if settings.pose_maps == "densepose":
        return PoseFinder(folder, settings)
    lacking = [photo for photo in folder.photos if not photo.iuv.exists()]
    if settings.pose_maps == "given" and len(lacking) == len(folder.photos):
        raise InputError(f"none of the {len(folder.photos)} photos has a pose map", path=folder.path,
                         remedy=f"{way_out(folder)}; or preprocess.pose_maps=auto makes them from landmarks")
    if settings.pose_maps == "landmarks" or (settings.pose_maps == "auto" and lacking):
        from components.core.estimation.estimate import prepare

        prepare()
    return partial(beside, taken={photo.id for photo in folder.photos})
