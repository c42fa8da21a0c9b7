"""How long a plain photo takes to understand: pose maps from landmarks, mattes, and what else makes either."""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np

from components.core.estimation.estimate import cut_out, estimate_people, prepare
from components.core.pictures.images import Pixels
from components.core.pictures.matte import grabcut_matte
from components.core.settings import DensePoseSettings, SynthesizeSettings
from components.preprocess.bench.photos import seconds
from components.synthesize.folder import photos_of

_PEOPLE, _HEIGHT = 4, 1024
_GRABCUT_SIDE = 256


def bench() -> dict[str, float]:
    """Processor milliseconds per photo of a synthetic person, 1024 px high, on one core; medians over four people.

    `map_ms`: finding people, landmarks, fit and pose map; `matte_ms`: the matte with the person's own colours, on top;
    `grabcut_ms`: GrabCut at 256 px; `densepose_ms`: DensePose's pose maps, where detectron2 is installed. Prints the
    table. Raises what `estimation.prepare` raises where a network is not to be had.
    """
    cv2.setNumThreads(1)
    prepare()
    found: dict[str, list[float]] = {}
    for photo in _photos():
        for name, value in _measured(photo).items():
            found.setdefault(name, []).append(value)
    figures = {name: float(np.median(values)) for name, values in found.items()}
    for name, value in figures.items():
        print(f"estimation {name:<13} {value:8.1f}")
    return figures


def _photos() -> list[Pixels]:
    settings = SynthesizeSettings.model_validate(
        {"people": _PEOPLE, "photos_per_person": 1, "outfits_per_person": 1, "height": _HEIGHT, "back_views": 0})
    return [photo.rgb for index in range(_PEOPLE) for _, _, photo in photos_of(settings, index)]


def _measured(photo: Pixels) -> dict[str, float]:
    people = estimate_people(photo)  # warms up, too
    person = people[0]
    iuv = np.asarray(cv2.resize(person.iuv, (_GRABCUT_SIDE, _GRABCUT_SIDE), interpolation=cv2.INTER_NEAREST), np.uint8)
    small = np.asarray(cv2.resize(photo, (_GRABCUT_SIDE, _GRABCUT_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    nowhere = np.zeros((_GRABCUT_SIDE, _GRABCUT_SIDE), bool)
    works = {"map_ms": lambda: estimate_people(photo), "matte_ms": lambda: cut_out(photo, person),
             "grabcut_ms": lambda: grabcut_matte(small, iuv, nowhere)}
    if importlib.util.find_spec("detectron2") is not None:
        from components.preprocess.densepose.detectron import Detectron

        detector = Detectron(DensePoseSettings())
        works["densepose_ms"] = lambda: detector.detect([detector.prepare(photo)])
    times = seconds(*works.values())
    return {name: 1e3 * min(each) for name, each in zip(works, times, strict=True)}
