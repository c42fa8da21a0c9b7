"""How long a matte takes, beside GrabCut's on the same photo."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from components.core.matting.refine import refine
from components.core.pictures.images import Pixels, read_photo
from components.core.pictures.iuv import read_iuv
from components.core.pictures.matte import grabcut_matte
from components.preprocess.bench.photos import draw, seconds

_CELL = 6
"""Pixels of the photo to one of the mask: a person of 1000 px in a network's 256 with room around."""
_GRABCUT_SIDE = 256


def bench() -> dict[str, float]:
    """Milliseconds of one core for a drawn photo of 768 x 1024: {matte_ms, grabcut_ms}. Prints the table.

    The mask is the figure's own as a network would give it, soft over some pixels; GrabCut works at 256 px.
    """
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw(Path(folder), 1)[0]
        photo = read_photo(drawn.path)
        iuv = read_iuv(drawn.iuv, photo.shape[:2]).planes
    mask = _rough(iuv)
    small, pose = (np.asarray(cv2.resize(what, (_GRABCUT_SIDE, _GRABCUT_SIDE), interpolation=how), np.uint8)
                  for what, how in ((photo, cv2.INTER_AREA), (iuv, cv2.INTER_NEAREST)))
    nowhere = np.zeros((_GRABCUT_SIDE, _GRABCUT_SIDE), bool)
    refine(photo, mask)  # warms up
    times = seconds(lambda: refine(photo, mask), lambda: grabcut_matte(small, pose, nowhere))
    figures = {name: 1e3 * min(found) for name, found in zip(("matte_ms", "grabcut_ms"), times, strict=True)}
    for name, value in figures.items():
        print(f"matte {name:<12} {value:8.2f}")
    return figures


def _rough(iuv: Pixels) -> Pixels:
    height, width = iuv.shape[:2]
    body = np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))
    small = cv2.resize(body, (width // _CELL, height // _CELL), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cv2.GaussianBlur(small, (3, 3), 0), (width, height)), np.uint8)
