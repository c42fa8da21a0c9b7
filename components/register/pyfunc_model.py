"""The registered model's code (MLflow models-from-code): bytes of pictures in, bytes of a picture out.

MLflow keeps a copy of this file with every version and runs it when the version is loaded; all it needs is this
package. Nothing here imports it.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from components.core.errors import InputError
from components.core.networks.generator import Reposer
from components.core.pictures.images import encode_png, read_photo
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import shoot
from components.core.shooting.sitters import Sitter, cut_out, target_pose


class PhotoshootModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]  # mlflow.pyfunc is untyped
    """Re-pose people, a row each.

    Columns, each the bytes of an image file: `source_photo` and `source_pose`, its DensePose map (RGB = (I, U, V), or
    (V, U, I)); `target_pose`, the pose map to imitate; optionally `source_matte` and `background`. Further photos of
    the person, in any order: `more_photos` and `more_poses`, lists of as many image files (none or an empty list where
    a row has no more), optionally `more_mattes`. In JSON, where a picture is base64, so are those in lists. Column
    out: `image`, PNG bytes.
    """

    def load_context(self, context: Any) -> None:
        """Read the generator and how its data were cut out."""
        self._reposer = Reposer.load(Path(context.artifacts["generator"]))
        text = Path(context.artifacts["preprocess"]).read_text(encoding="utf-8")
        self._settings = PreprocessSettings.model_validate_json(text)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Paint each row's source in its target pose. Raises `InputError` naming the column that cannot be used."""
        return pd.DataFrame({"image": [self._paint(row) for row in model_input.to_dict("records")]})

    def _paint(self, row: dict[str, Any]) -> bytes:
        with tempfile.TemporaryDirectory() as name:
            files = _files(row, Path(name))
            sitters = [Sitter(files["source_photo"], files["source_pose"], files.get("source_matte")),
                       *_more(row, Path(name))]
            wall = read_photo(files["background"], self._settings.max_megapixels) if "background" in files else None
            person = [cut_out(sitter, self._settings) for sitter in sitters]
            pose = target_pose(files["target_pose"], self._settings)
        return encode_png(shoot(self._reposer, person, [pose], wall).images[0])


def _files(row: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The row's pictures as files named after their columns, for the readers that everything else uses too."""
    files = {}
    for column, data in row.items():
        # An optional column that only some rows fill holds None or NaN in the others.
        if isinstance(data, bytes | bytearray) and data:
            files[column] = folder / column
            files[column].write_bytes(data)
    return files


def _more(row: dict[str, Any], folder: Path) -> list[Sitter]:
    """The row's further photos as files ``more_photos-0`` and so on. Raises `InputError` where numbers differ."""
    columns: list[list[Path]] = []
    for column in ("more_photos", "more_poses", "more_mattes"):
        pictures = row.get(column)
        found = [] if pictures is None or isinstance(pictures, float) else list(pictures)
        columns.append([folder / f"{column}-{number}" for number in range(len(found))])
        for path, data in zip(columns[-1], found, strict=True):
            # Inside a list MLflow's server leaves base64 as it came.
            path.write_bytes(base64.b64decode(data) if isinstance(data, str) else bytes(data))
    photos, poses, mattes = columns
    if len(photos) != len(poses) or len(mattes) not in (0, len(photos)):
        raise InputError(f"{len(photos)} more_photos, {len(poses)} more_poses, {len(mattes)} more_mattes",
                         remedy="give one pose map, and one matte or none at all, for each photo, in the same order")
    own: Sequence[Path | None] = mattes or [None] * len(photos)
    return [Sitter(*files) for files in zip(photos, poses, own, strict=True)]


mlflow.models.set_model(PhotoshootModel())
