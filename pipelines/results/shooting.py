"""The verb `shoot`: new photos of a person from a registered version."""

from __future__ import annotations

from collections.abc import Sequence
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
    from components.shoot.generate import ShootSummary


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


def shoot_with_version(home: Home, model_name: str, version: str, subject: Subject | Sequence[Subject],
                       poses: Sequence[Path], out: Path, background: Path | None = None,
                       size: int | None = None) -> ShootSummary:
    """Paint the person of one or several photos in every pose with a registered version (a number, or an alias such as
    champion), `size` pixels large (default: as the photos support).

    Raises `InputError` when there is no such version, or for pictures that cannot be used.
    """
    from components.shoot.generate import generate

    versions = Versions(model_name, home.tracking_uri)
    with versions.files(versions.get(version)) as folder:
        cut = PreprocessSettings.model_validate_json((folder / PREPROCESS).read_text(encoding="utf-8"))
        return generate(folder / GENERATOR, subject, poses, out, background=background, preprocess=cut,
                        size=size)
