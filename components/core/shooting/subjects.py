"""Who is in front of the camera, from files: photos, cut out as the networks take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import InputError
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures.images import Pixels, read_upright
from components.core.pictures.iuv import read_iuv
from components.core.pictures.matte import read_matte
from components.core.settings import PreprocessSettings
from components.core.shooting.plain import person_estimated, pose_of


@dataclass(frozen=True)
class Subject:
    """A photo of whoever is in front of the camera; its DensePose map and its matte, if there are any."""

    photo: Path
    iuv: Path | None = None
    matte: Path | None = None


def cut_out(subject: Subject, settings: PreprocessSettings) -> PersonCrop:
    """The person of a photo. Raises `InputError`, naming the file, for one that cannot be used or shows nobody."""
    photo = read_upright(subject.photo, settings.max_megapixels)
    matte = (None if subject.matte is None else
             read_matte(subject.matte, photo.size, settings.max_megapixels, photo.orientation))
    with naming(subject.photo):
        if subject.iuv is None:
            return person_estimated(photo.pixels, settings, matte)
        iuv = read_iuv(subject.iuv, photo.size, photo.orientation).planes
        return person_from_photo(photo.pixels, iuv, settings, matte)


def target_pose(path: Path, settings: PreprocessSettings) -> Pixels:
    """A pose map file, or a photo of somebody in the pose, as a target uint8 [s, s, 3], s as it comes.

    Raises `InputError`, naming it, for one that cannot be used.
    """
    with naming(path):
        return pose_of(path, settings)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in errors about what was in it."""
    try:
        yield
    except InputError as error:
        raise error if error.path else InputError(error.problem, path=path, remedy=error.remedy) from None
