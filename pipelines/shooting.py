"""The verb `shoot`: new photos of a person from a registered version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.registry import GENERATOR, PREPROCESS, Versions
from components.core.settings import PreprocessSettings
from pipelines.home import Home

if TYPE_CHECKING:
    from components.shoot.generate import ShootSummary, Sitter


def shoot_with_version(home: Home, model_name: str, version: str, sitter: Sitter, poses: Sequence[Path], out: Path,
                       background: Path | None = None) -> ShootSummary:
    """Paint `sitter` in every pose with a registered version (a number, or an alias such as champion).

    Raises `InputError` when there is no such version, or for pictures that cannot be used.
    """
    from components.shoot.generate import generate

    versions = Versions(model_name, home.tracking_uri)
    with versions.files(versions.get(version)) as folder:
        cut = PreprocessSettings.model_validate_json((folder / PREPROCESS).read_text(encoding="utf-8"))
        return generate(folder / GENERATOR, sitter, poses, out, background=background, preprocess=cut)
