"""The registered model's code (MLflow models-from-code): bytes of pictures in, bytes of a picture out.

MLflow keeps a copy of this file with every version and runs it when the version is loaded; all it needs is this
package. Nothing here imports it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import pandas as pd

from components.core.images import encode_png, read_photo
from components.core.iuv import read_iuv
from components.core.matte import read_matte
from components.core.networks.generator import Reposer
from components.core.person import person_from_photo, pose_crop
from components.core.settings import PreprocessSettings
from components.core.shooting import shoot


class PhotoshootModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]  # mlflow.pyfunc is untyped
    """Re-pose people, a row each.

    Columns, each the bytes of an image file: `source_photo` and `source_pose`, its DensePose map (RGB = (I, U, V), or
    (V, U, I)); `target_pose`, the pose map to imitate; optionally `source_matte` and `background`. Column out:
    `image`, PNG bytes.
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
        most = self._settings.max_megapixels
        with tempfile.TemporaryDirectory() as name:
            files = _files(row, Path(name))
            photo = read_photo(files["source_photo"], most)
            size = photo.shape[0], photo.shape[1]
            matte = read_matte(files["source_matte"], size, most) if "source_matte" in files else None
            wall = read_photo(files["background"], most) if "background" in files else None
            person = person_from_photo(photo, read_iuv(files["source_pose"], size).planes, self._settings, matte)
            pose = pose_crop(read_iuv(files["target_pose"]).planes, self._settings)
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


mlflow.models.set_model(PhotoshootModel())
