"""New photos of a person from a trained model: `generate(model, photo, pose_map, poses, out)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.core.settings import PreprocessSettings
    from components.shoot.generate import ShootSummary, Sitter


def generate(model: Path, sitter: Sitter, poses: Sequence[Path], out: Path, *, background: Path | None = None,
             clothes: Sitter | None = None, preprocess: PreprocessSettings | None = None) -> ShootSummary:
    """Paint the sitter in every target pose and write a PNG for each into the folder `out`; see `generate.run`."""
    from components.shoot.generate import run  # torch is imported here, not by everyone who reads the command line

    return run(model, sitter, poses, out, background=background, clothes=clothes, preprocess=preprocess)
