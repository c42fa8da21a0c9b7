"""The code of registered versions: bytes of pictures in, bytes of a picture out, through MLflow.

MLflow keeps a small file with every version and runs it when the version is loaded. All that the file does is to ask
for `served` by the format that it was written for, so that what is behind may move and change; a format once used is
served for ever.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

from components.core.artifacts.version import SERVING_FORMAT
from components.core.documents import MOST_YAML, read_bytes, yaml_value
from components.core.errors import DataError, InputError, MachineError
from components.core.pictures.images import encode_png
from components.core.record.custody import refuse
from components.core.record.registry import Versions
from components.core.record.registry_file import is_unwritten
from photoshoot.model import load_files
from photoshoot.photos import Photo

_META = "registered_model_meta"
"""What MLflow writes into a version's folder when it loads it by name: {model_name, model_version}."""
_log = logging.getLogger("photoshoot.serving")


class PhotoshootModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]  # mlflow.pyfunc is untyped
    """Re-pose people, a row each.

    Columns, each the bytes of an image file: `source_photo`; `target_pose`, the pose map to imitate, or a photo of
    somebody in that pose; optionally `source_pose`, the photo's DensePose map (RGB = (I, U, V), or (V, U, I); without
    it one is made from landmarks), `source_matte` and `background`. Further photos of the person, in any order:
    `more_photos`, a list of image files (none or an empty list where a row has no more), optionally `more_poses` and
    `more_mattes`, as many. In JSON, where a picture is base64, so are those in lists. Column
    out: `image`, PNG bytes.
    """

    def load_context(self, context: Any) -> None:
        """Read the generator and how its data were cut out, once they are known to be those that were registered.

        Raises `DataError`, which names the file, where they are not.
        """
        _check(Path(context.artifacts["generator"]).parents[1])
        self._model = load_files(Path(context.artifacts["generator"]), Path(context.artifacts["preprocess"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Paint each row's source in its target pose. Raises `InputError` naming the column that cannot be used.

        `params` may hold `size`, the pictures' side in pixels; 0: what the photos support. Versions that were
        registered before there was such a parameter paint in the model's own size.
        """
        size = int((params or {}).get("size", self._model.resolution)) or None
        return pd.DataFrame({"image": [self._paint(row, size) for row in model_input.to_dict("records")]})

    def _paint(self, row: dict[str, Any], size: int | None) -> bytes:
        with tempfile.TemporaryDirectory() as name:
            files = _files(row, Path(name))
            photos = [Photo(files["source_photo"], files.get("source_pose"), files.get("source_matte")),
                      *_more(row, Path(name))]
            pictures = self._model.shoot(photos, files["target_pose"], background=files.get("background"),
                                         size=size)
        return encode_png(pictures.images[0])


def served(format: str) -> PhotoshootModel:
    """The code of a version whose file was written for this format. Raises `DataError` for one not known here."""
    if format != SERVING_FORMAT:
        raise DataError(f"the version was registered as {format}, this photoshoot serves {SERVING_FORMAT}",
                        remedy="install the photoshoot version in its requirements")
    return PhotoshootModel()


def _check(folder: Path) -> None:
    """Hold a version's files against the registry that it was loaded from; what is odd, and that there is none to
    ask, is logged. Only what MLflow fetched by a registry's name is asked about, not a folder of somebody's own."""
    try:
        said = yaml_value(read_bytes(folder / _META, MOST_YAML))
        name, number = str(said["model_name"]), str(said["model_version"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    uri = mlflow.get_registry_uri()
    if is_unwritten(uri):
        return
    try:
        versions = Versions(name, uri)
        odd = versions.doubts(versions.get(number), folder)
        versions.champion()
    except (InputError, MachineError) as error:
        _log.warning("the files of version %s of %s are not checked: %s", number, name, error)
        return
    for note in versions.notes:
        _log.warning("%s", note)
    refuse(name, number, odd, uri)


def _files(row: dict[str, Any], folder: Path) -> dict[str, Path]:
    """The row's pictures as files named after their columns, for the readers that everything else uses too."""
    files = {}
    for column, data in row.items():
        # An optional column that only some rows fill holds None or NaN in the others.
        if isinstance(data, bytes | bytearray) and data:
            files[column] = folder / column
            files[column].write_bytes(data)
    return files


def _more(row: dict[str, Any], folder: Path) -> list[Photo]:
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
    if len(poses) not in (0, len(photos)) or len(mattes) not in (0, len(photos)):
        raise InputError(f"{len(photos)} more_photos, {len(poses)} more_poses, {len(mattes)} more_mattes",
                         remedy="give one pose map and one matte for each photo, in the same order, or none at all")
    nothing: list[Path | None] = [None] * len(photos)
    return [Photo(*files) for files in zip(photos, poses or nothing, mattes or nothing, strict=True)]
