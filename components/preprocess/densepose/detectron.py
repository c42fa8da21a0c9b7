"""DensePose by detectron2, in batches. The only room that imports detectron2; `densepose.py` says when it is needed."""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components.core.errors import DataError, MachineError, SettingsError
from components.core.pictures.images import Pixels
from components.core.settings import DensePoseSettings
from components.preprocess.densepose.detection import WAYS_OUT, Detection
from components.preprocess.densepose.weights import weights_file

_MOST_SIDE = 2048
"""Outputs are sampled at no more than this many pixels along the photo's longer side: the networks know no more than
112 x 112 of a person, and 25 charts at the size of a camera's photo take gigabytes."""


@dataclass(frozen=True)
class Prepared:
    """A photo at the size that the network takes, [h, w, 3] in its channel order, and the size to answer at."""

    picture: Pixels
    size: tuple[int, int]


class Detectron:
    """DensePose with a configuration and weights, on one device.

    Raises `MachineError` where detectron2 is missing or the device is, `SettingsError` for a configuration that is
    unknown, broken, or not chart-based, and `DataError` for weights that are not the configuration's.
    """

    def __init__(self, settings: DensePoseSettings) -> None:
        import torch

        if settings.device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        else:
            device = settings.device
        config, path = _configuration(settings, device)
        self._torch = torch
        self._shortest, self._longest = int(config.INPUT.MIN_SIZE_TEST), int(config.INPUT.MAX_SIZE_TEST)
        self._flip = config.INPUT.FORMAT == "BGR"
        self._model = _model(config, weights_file(settings, path), device)
        self._extract = importlib.import_module("densepose.vis.extractor").DensePoseResultExtractor()

    def prepare(self, photo: Pixels) -> Prepared:
        """Scale a photo [H, W, 3] as the configuration asks (shorter side, but no more than so much of the longer)."""
        height, width = photo.shape[:2]
        factor = self._shortest / min(height, width) if self._shortest else 1.0
        factor = min(factor, self._longest / max(height, width)) if self._longest else factor
        side = max(1, round(width * factor)), max(1, round(height * factor))
        small = cv2.resize(photo, side, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        least = min(1.0, _MOST_SIDE / max(height, width))
        size = max(1, round(height * least)), max(1, round(width * least))
        return Prepared(np.ascontiguousarray(small[..., ::-1] if self._flip else small, np.uint8), size)

    def size(self, prepared: Prepared) -> tuple[int, int]:
        """(height, width) in whose pixels `detect` answers."""
        return prepared.size

    def detect(self, prepared: Sequence[Prepared]) -> list[list[Detection]]:
        """The people in each photo, surest first, in one pass of the networks.

        Raises `MachineError` when the device has too little memory for the batch.
        """
        torch = self._torch
        batch = [{"image": torch.from_numpy(one.picture.transpose(2, 0, 1).astype(np.float32)),
                  "height": one.size[0], "width": one.size[1]} for one in prepared]
        try:
            with torch.inference_mode():
                return [self._people(output["instances"]) for output in self._model(batch)]
        except torch.OutOfMemoryError:
            raise MachineError(f"DensePose needs more memory for {len(batch)} photos at once than the device has",
                               remedy="lower preprocess.densepose.batch") from None

    def _people(self, instances: Any) -> list[Detection]:
        people = []
        for index in range(len(instances)):
            # One by one: each result holds labels and U, V of its whole box.
            results, boxes = self._extract(instances[index])
            if results is None or boxes is None:
                continue
            x, y, width, height = (float(value) for value in boxes[0].tolist())
            people.append(Detection(results[0].labels.cpu().numpy(), results[0].uv.float().cpu().numpy(),
                                    (x, y, width, height), float(instances.scores[index])))
        return people


def _configuration(settings: DensePoseSettings, device: str) -> tuple[Any, Path]:
    """The configuration node and its file."""
    try:
        get_cfg = importlib.import_module("detectron2.config").get_cfg
        densepose = importlib.import_module("densepose")
    except ImportError as error:
        raise MachineError(f"detectron2 cannot be used ({error})", remedy=WAYS_OUT) from None
    path = _config_file(settings.config, Path(str(densepose.__file__)).parent)
    config = get_cfg()
    densepose.add_densepose_config(config)
    try:
        config.merge_from_file(str(path), allow_unsafe=False)
        config.merge_from_list(list(settings.overrides))
    except Exception as error:  # a YAML error, an unknown key, a value of another type: each is another class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"not a configuration of DensePose's ({reason})", path=path,
                            remedy="check preprocess.densepose.config and overrides") from None
    if "Embedding" in str(config.MODEL.ROI_DENSEPOSE_HEAD.PREDICTOR_NAME):
        raise SettingsError("a configuration for continuous surface embeddings, which have no body parts", path=path,
                            remedy="choose a chart-based one, e.g. densepose_rcnn_R_50_FPN_s1x")
    config.MODEL.WEIGHTS = ""
    config.MODEL.DEVICE = device
    config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = min(settings.min_score, config.MODEL.ROI_HEADS.SCORE_THRESH_TEST)
    config.freeze()
    return config, path


def _config_file(name: str, package: Path) -> Path:
    """The file of a configuration by path, or by name in the folder configs inside or beside the package densepose."""
    if Path(name).suffix in (".yaml", ".yml"):
        if not Path(name).is_file():
            raise SettingsError("no such configuration", path=name, remedy="check preprocess.densepose.config")
        return Path(name)
    folders = [folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir()]
    known = {path.stem: path for folder in reversed(folders) for path in sorted(folder.rglob("densepose_*.yaml"))
             if "quick_schedules" not in path.parts}
    if not known:
        raise SettingsError(f"DensePose's configurations are not installed: there is no configuration {name}",
                            remedy="install DensePose as docs/densepose.md says, or give a configuration's path")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        raise SettingsError(f"no DensePose configuration {name}",
                            remedy=f"did you mean {near[0]}?" if near else f"see {folders[0]}")
    return known[name]


def _model(config: Any, weights: Path, device: str) -> Any:
    """The networks with their weights, for inference."""
    build_model = importlib.import_module("detectron2.modeling").build_model
    base = importlib.import_module("densepose.modeling.densepose_checkpoint").DensePoseCheckpointer
    missing: list[str] = []

    class Checkpointer(base):  # type: ignore[misc, valid-type]
        """Notes what the weights lack: detectron2 only logs it, and goes on with random numbers."""

        def _load_model(self, checkpoint: Any) -> Any:
            incompatible = super()._load_model(checkpoint)
            missing.extend(incompatible.missing_keys)
            missing.extend(key for key, _, _ in incompatible.incorrect_shapes)
            return incompatible

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    logging.getLogger("detectron2").setLevel(logging.ERROR)
    try:
        model = build_model(config).eval()
    except (RuntimeError, AssertionError) as error:
        raise MachineError(f"DensePose does not run on {device}: {str(error).splitlines()[0]}",
                           remedy="choose another preprocess.densepose.device") from None
    try:
        Checkpointer(model).load(str(weights))
    except Exception as error:  # whatever unpickling a file that is none of ours may raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"not weights of DensePose's ({reason})", path=weights,
                        remedy="check preprocess.densepose.weights") from None
    if missing:
        raise DataError(f"not the weights of this configuration: {len(missing)} tensors are missing or of another "
                        f"shape, e.g. {missing[0]}", path=weights,
                        remedy="choose preprocess.densepose.config and weights that belong together")
    return model
