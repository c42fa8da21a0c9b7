"""The verb `shoot`: new photos of a person from a registered version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import tracking
from components.core.errors import InputError
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

    folder = _artifacts(home, model_name, version)
    cut = PreprocessSettings.model_validate_json((folder / "preprocess.json").read_text(encoding="utf-8"))
    return generate(folder / "generator.safetensors", sitter, poses, out, background=background, preprocess=cut)


def _artifacts(home: Home, model_name: str, version: str) -> Path:
    mlflow = tracking.client(home.tracking_uri)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        if version.isdigit():
            mlflow.get_model_version(model_name, version)
        else:
            version = str(mlflow.get_model_version_by_alias(model_name, version).version)
    except MlflowException:
        raise InputError(f"no version {version} of {model_name}", path=home.tracking_uri,
                         remedy="`photoshoot versions` lists them; `photoshoot run` makes one") from None
    # The address of the files, not models:/name/version: that one MLflow would look up in its global registry.
    files = mlflow.get_model_version_download_uri(model_name, version)
    folder = download_artifacts(artifact_uri=files, tracking_uri=home.tracking_uri)
    return Path(folder) / "artifacts"
