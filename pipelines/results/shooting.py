"""The verb `shoot`: new photos of a person from a registered version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.version import PREPROCESS
from components.core.errors import InputError
from components.core.record.registry import Versions
from components.core.settings import PreprocessSettings
from pipelines.home.folder import Home

if TYPE_CHECKING:
    from components.core.shooting.subjects import Subject
    from components.shoot.session import SessionSummary, Wishes

OWN_POSES = "poses"
"""Folder of a home's own poses."""


def subjects(photos: Sequence[Path], iuvs: Sequence[Path] = (), mattes: Sequence[Path] = ()) -> list[Subject]:
    """A person's photos and, where there are any, their pose maps and mattes, the first with the first and so on.

    Raises `InputError` where their numbers differ.
    """
    from components.core.shooting.subjects import Subject

    for what, option, files in (("pose maps", "--iuv", iuvs), ("mattes", "--matte", mattes)):
        if files and len(files) != len(photos):
            raise InputError(f"{len(photos)} photos, but {len(files)} {what}",
                             remedy=f"give {option} once for each --photo, in the same order, or not at all")
    nothing: Sequence[Path | None] = [None] * len(photos)
    return [Subject(*files) for files in zip(photos, iuvs or nothing, mattes or nothing, strict=True)]


def shoot_with_version(home: Home, model_name: str, version: str, subject: Sequence[Subject], wishes: Wishes,
                       out: Path | None = None) -> tuple[SessionSummary, Path]:
    """Paint the person of one or several photos with a registered version (a number, or an alias such as champion):
    the pictures, and the folder they are in, `out` or a new one here, photoshoot-<date>.

    Raises `InputError` when there is no such version, or for pictures that cannot be used.
    """
    from components.shoot.session import photoshoot

    versions = Versions(model_name, home.tracking_uri)
    found = versions.get(version)
    with versions.files(found) as folder:
        cut = PreprocessSettings.model_validate_json((folder / PREPROCESS).read_text(encoding="utf-8"))
        place = out or new_folder(Path.cwd(), date.today())
        made_by = f"{model_name} version {found.number}"
        return photoshoot(folder / GENERATOR, subject, wishes, place, made_by, preprocess=cut), place


def new_folder(parent: Path, day: date) -> Path:
    """photoshoot-<date>, or where that exists photoshoot-<date>-2 and so on."""
    first = parent / f"photoshoot-{day.isoformat()}"
    return next(path for number in count(1)
                if not (path := first if number == 1 else first.with_name(f"{first.name}-{number}")).exists())
