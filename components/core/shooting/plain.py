"""Plain photos, without a pose map: the person in them, or the pose they are in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import InputError
from components.core.people.person import PersonCrop, person_from_photo, pose_square
from components.core.pictures.images import Pixels, read_photo
from components.core.pictures.iuv import is_pose_map, read_iuv
from components.core.pictures.kinds import sniffed
from components.core.settings import PreprocessSettings

if TYPE_CHECKING:
    from components.core.estimation.estimate import Estimate

_START = 64
_NO_PICTURES = {"NumPy array", "DensePose dump", "NumPy archive"}


def person_estimated(photo: Pixels, settings: PreprocessSettings, matte: Pixels | None = None) -> PersonCrop:
    """Cut the largest person of a photo [H, W, 3] out; `matte` [H, W] is the user's own.

    Raises `InputError` for nobody, or nobody that can be used, and what `estimation.prepare` raises.
    """
    from components.core.estimation.estimate import best_estimate  # LiteRT only where it is needed

    return person_of(best_estimate(photo, settings.min_confidence), photo, settings, matte)


def person_of(found: Estimate, photo: Pixels, settings: PreprocessSettings, matte: Pixels | None = None) -> PersonCrop:
    """Cut somebody who was found in a photo [H, W, 3] out. Raises `InputError` where they cannot be used."""
    from components.core.estimation.estimate import cut_out

    if matte is not None or settings.matte != "auto":
        return person_from_photo(photo, found.seen_iuv, settings, matte)
    own = cut_out(photo, found)
    return person_from_photo(photo, found.seen_iuv, settings, own.alpha, own.foreground)


def pose_estimated(photo: Pixels, settings: PreprocessSettings) -> Pixels:
    """The pose of the largest person of a photo, a target uint8 [s, s, 3], s as it comes. Raises as the above."""
    from components.core.estimation.estimate import best_estimate

    return pose_square(best_estimate(photo, settings.min_confidence).iuv, settings)


def pose_of(path: Path, settings: PreprocessSettings) -> Pixels:
    """A file as a target pose uint8 [S, S, 3]: a pose map, or a photo of somebody in that pose.

    Raises `InputError`, naming the file, for one that is neither, and what `person_estimated` raises.
    """
    photo = as_photo(path, settings)
    return pose_square(read_iuv(path).planes, settings) if photo is None else pose_estimated(photo, settings)


def as_photo(path: Path, settings: PreprocessSettings) -> Pixels | None:
    """The pixels of a file that is a photo; None for one that is, or tries to be, a pose map."""
    try:
        with open(path, "rb") as file:
            name = sniffed(file.read(_START))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("no such file", path=path, remedy="check the name") from None
    if name in _NO_PICTURES:
        return None
    photo = read_photo(path, settings.max_megapixels)
    return None if is_pose_map(photo) else photo
