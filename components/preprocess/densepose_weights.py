"""DensePose's weights: those published by name, fetched once and checked; a path; or gs://."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError, SettingsError, machine_errors
from components.core.progress import task
from components.core.settings import DensePoseSettings
from components.core.storage import open_location

CACHE = "PHOTOSHOOT_CACHE"
_SITE = "https://dl.fbaipublicfiles.com/densepose"
_BLOCK = 1 << 20
_TIMEOUT_S = 30.0
_TRIES = 3
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

    Published and gs:// weights are kept in ``$PHOTOSHOOT_CACHE/densepose`` (default ``~/.cache/photoshoot``). Raises
    `SettingsError` where there are none by that name, `InputError` for a path without a file, `DataError` where the
    digest is another, `MachineError` where they cannot be fetched.
    """
    name = config.stem if settings.weights == "auto" else settings.weights
    if name in PUBLISHED:
        path = _cached(name, PUBLISHED[name], site)
    elif settings.weights == "auto":
        raise SettingsError(f"there are no published weights for the configuration {name}",
                            remedy="give their path or gs:// address as preprocess.densepose.weights")
    elif "://" in name:
        path = _from_bucket(name)
    else:
        path = Path(name)
        if not path.is_file():
            raise InputError("no such weights", path=path, remedy="check preprocess.densepose.weights; published are "
                             f"those of {', '.join(f'densepose_rcnn{end}_s1x' for end in _ENDS)} and others")
    if settings.sha256 and file_digest(path) != settings.sha256:
        raise DataError(f"sha256 is {file_digest(path)[:12]}..., preprocess.densepose.sha256 says "
                        f"{settings.sha256[:12]}...", path=path, remedy="bring the right file, or the right digest")
    return path


def _folder() -> Path:
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "photoshoot") / "densepose"


def _cached(name: str, file: str, site: str) -> Path:
    """Published weights, fetched unless they are there; checked when they are fetched."""
    path = _folder() / f"{name}_{Path(file).name}"
    if path.is_file():
        return path
    digits = Path(file).stem.rpartition("_")[2]
    url = f"{site}/{name}/{file}"
    with atomic_path(path) as temporary:
        for attempt in range(1, _TRIES + 1):
            try:
                found = _fetch(url, temporary)
                break
            except (urllib.error.URLError, TimeoutError, ConnectionError, EOFError) as error:
                if attempt == _TRIES or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                    raise MachineError(f"DensePose's weights cannot be fetched from {url} ({error})",
                                       remedy="fetch them elsewhere and give their path as "
                                              "preprocess.densepose.weights") from None
                time.sleep(2.0 ** (attempt - 1))
        if not found.startswith(digits):
            raise DataError(f"MD5 is {found[:6]}..., its name says {digits}", path=url, remedy="fetch them again")
    return path


def _fetch(url: str, to: Path) -> str:
    """Write what `url` has to `to`; returns its MD5. Raises `EOFError` when the connection ended too soon."""
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, open(to, "wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        received = 0
        with task("densepose weights, MB", length >> 20 if length else None) as shown:
            while block := answer.read(_BLOCK):
                file.write(block)
                digest.update(block)
                shown.advance((received + len(block) >> 20) - (received >> 20))
                received += len(block)
    if received < length:
        raise EOFError(f"{received} of {length} bytes came")
    return digest.hexdigest()


def _from_bucket(address: str) -> Path:
    """Weights at gs://; kept under their address."""
    folder, _, name = address.rpartition("/")
    path = _folder() / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}"
    if not path.is_file():
        data = open_location(folder).read_bytes(name)
        with machine_errors(path), atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return path
