"""DensePose's weights: those published by name, fetched once and checked; a path; or gs://."""

from __future__ import annotations

from pathlib import Path

from components.core.digest import file_digest
from components.core.errors import DataError, InputError, SettingsError
from components.core.settings import DensePoseSettings
from components.core.stores.known_weights import KnownWeights, file_at, published_file
from components.core.stores.storage import is_remote

_SITE = "https://dl.fbaipublicfiles.com/densepose"
_ENDS = ("_R_101_FPN", "_R_101_FPN_DL", "_R_50_FPN", "_R_50_FPN_DL")

PUBLISHED: dict[str, str] = {
    "densepose_rcnn_R_50_FPN_s1x_legacy": "164832157/model_final_d366fa.pkl",
    "densepose_rcnn_R_101_FPN_s1x_legacy": "164832182/model_final_10af0e.pkl",
    "densepose_rcnn_R_50_FPN_s1x": "165712039/model_final_162be9.pkl",
    "densepose_rcnn_R_101_FPN_s1x": "165712084/model_final_c6ab63.pkl",
    "densepose_rcnn_R_50_FPN_DL_s1x": "165712097/model_final_0ed407.pkl",
    "densepose_rcnn_R_101_FPN_DL_s1x": "165712116/model_final_844d15.pkl",
    "densepose_rcnn_R_50_FPN_WC1_s1x": "173862049/model_final_289019.pkl",
    "densepose_rcnn_R_101_FPN_WC1_s1x": "171402969/model_final_9e47f0.pkl",
    "densepose_rcnn_R_50_FPN_DL_WC1_s1x": "173067973/model_final_b1e525.pkl",
    "densepose_rcnn_R_101_FPN_DL_WC1_s1x": "173858525/model_final_f359f3.pkl",
    "densepose_rcnn_R_50_FPN_WC2_s1x": "173861455/model_final_3abe14.pkl",
    "densepose_rcnn_R_101_FPN_WC2_s1x": "173860702/model_final_5ea023.pkl",
    "densepose_rcnn_R_50_FPN_DL_WC2_s1x": "173859335/model_final_60fed4.pkl",
    "densepose_rcnn_R_101_FPN_DL_WC2_s1x": "173294801/model_final_6e1ed1.pkl",
    "densepose_rcnn_R_50_FPN_WC1M_s1x": "217144516/model_final_48a9d9.pkl",
    "densepose_rcnn_R_101_FPN_WC1M_s1x": "216453687/model_final_0a7287.pkl",
    "densepose_rcnn_R_50_FPN_DL_WC1M_s1x": "216245703/model_final_61971e.pkl",
    "densepose_rcnn_R_101_FPN_DL_WC1M_s1x": "216245771/model_final_0ebeb3.pkl",
    "densepose_rcnn_R_50_FPN_WC2M_s1x": "216245640/model_final_d79ada.pkl",
    "densepose_rcnn_R_101_FPN_WC2M_s1x": "216245682/model_final_e354d9.pkl",
    "densepose_rcnn_R_50_FPN_DL_WC2M_s1x": "216245758/model_final_7bfb43.pkl",
    "densepose_rcnn_R_101_FPN_DL_WC2M_s1x": "216245790/model_final_de6e7a.pkl",
}
"""Configuration -> its weights below the site and the configuration's name. The six digits in a file's name are the
first of its MD5 (detectron2's model zoo says so), which is all the digest that is published; `DensePoseSettings.sha256`
asks for a whole one. Licence: CC BY-SA 3.0."""


def weights_file(settings: DensePoseSettings, config: Path, site: str = _SITE) -> Path:
    """The file of the weights that the settings name, on this machine; `config` is the configuration's file.

    Raises `SettingsError` where there are none by that name, `InputError` for a path without a file, `DataError` where
    the digest is another, and for published ones what `published_file` raises.
    """
    name = config.stem if settings.weights == "auto" else settings.weights
    if name in PUBLISHED:
        path = published_file(published_weights(name, site), name)
    elif settings.weights == "auto":
        raise SettingsError(f"there are no published weights for the configuration {name}",
                            remedy="give their path or gs:// address as preprocess.densepose.weights")
    elif is_remote(name) or Path(name).is_file():
        path = file_at(name)
    else:
        raise InputError("no such weights", path=name, remedy="check preprocess.densepose.weights; published are "
                         f"those of {', '.join(f'densepose_rcnn{end}_s1x' for end in _ENDS)} and others")
    if settings.sha256 and file_digest(path) != settings.sha256:
        raise DataError(f"sha256 is {file_digest(path)[:12]}..., preprocess.densepose.sha256 says "
                        f"{settings.sha256[:12]}...", path=path, remedy="bring the right file, or the right digest")
    return path


def published_weights(name: str, site: str = _SITE) -> KnownWeights:
    """One of `PUBLISHED`, as other weights by name are described."""
    file = Path(PUBLISHED[name])
    return KnownWeights(file.name, "", f"{site}/{name}/{PUBLISHED[name]}", "CC BY-SA 3.0",
                        md5=file.stem.rpartition("_")[2], needed_by="preprocess.densepose.weights")
