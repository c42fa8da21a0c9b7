"""Covered faces: sunglasses over the eyes, a mask over the mouth. Noticed in an aligned face, and drawn on one.

What is covered is told by what a face has in that place: the white of an eye and its light, the edges of lips and
nostrils. It is asked of the aligned face (`head.CANONICAL_FACE`), whichever detector or pose map it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from components.core.faces.head import CANONICAL_FACE, CHIP

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Cover = Literal["eyes", "mouth"]
COVERS: tuple[Cover, ...] = ("eyes", "mouth")

_POINTS = CANONICAL_FACE * CHIP
_BRIGHT, _EYES = 85, 0.42
"""A covered eye: this percentile of the lightness around both eyes is less than that share of the skin's. Of 100
portraits with bare eyes 5 % are below .56; of those with opaque sunglasses drawn on, half are below .25."""
_UNIFORM, _FLAT, _OTHER, _TINTED = 0.02, 0.05, 8.0, 30.0
"""A covered mouth: the lightness around it varies by less than the first share of the skin's; or by less than the
second (bare: 5 % below .09), and its colour is that far from the skin's in a and b of CIE Lab (bare: half below 7),
which the lips of a pale face in a soft photo are not; or its colour is farther than any bare one's (27)."""


def cover_of(chip: Pixels) -> Cover | None:
    """What is covered of an aligned face uint8 RGB [CHIP, CHIP, 3]; None where eyes and mouth are seen."""
    lab = np.asarray(cv2.cvtColor(chip, cv2.COLOR_RGB2LAB), np.float64)
    right, left, nose, right_mouth, left_mouth = _POINTS
    eyes = np.concatenate([_patch(lab, right, 10, 7), _patch(lab, left, 10, 7)])[:, 0]
    forehead = np.median(_patch(lab, (nose[0], right[1] - 22), 18, 5), axis=0)
    beside = [np.add(right, (2, 28)), np.add(left, (-2, 28))]
    cheeks = np.median(np.concatenate([_patch(lab, cheek, 7, 5) for cheek in beside]), axis=0)
    light = max(float(forehead[0]), float(cheeks[0]), 1.0)
    if np.percentile(eyes, _BRIGHT) < _EYES * light:
        return "eyes"
    mouth = _patch(lab, np.add((right_mouth + left_mouth) / 2, (0, 2)), 22, 10)
    tint = float(np.hypot(*(np.median(mouth, axis=0) - forehead)[1:]))
    varies = float(mouth[:, 0].std()) / max(float(forehead[0]), 1.0)
    covered = varies < _UNIFORM or (varies < _FLAT and tint > _OTHER) or tint > _TINTED
    return "mouth" if covered else None


def with_cover(chip: Pixels, cover: Cover) -> Pixels:
    """The aligned face with dark glasses, or a mask from the bridge of the nose to the chin, drawn on."""
    drawn = chip.copy()
    right, left, nose, right_mouth, left_mouth = _POINTS
    apart = float(left[0] - right[0])
    if cover == "eyes":
        for eye in (right, left):
            centre = tuple(round(float(value)) for value in np.add(eye, (0, 0.04 * apart)))
            cv2.ellipse(drawn, centre, (round(0.4 * apart), round(0.3 * apart)), 0, 0, 360, (24, 22, 24), -1,
                        cv2.LINE_AA)
        height = round(float(right[1]))
        cv2.line(drawn, (round(float(right[0] - apart)), height), (round(float(left[0] + apart)), height),
                 (24, 22, 24), 4, cv2.LINE_AA)
        return drawn
    top, low = float(right[1] + 0.5 * (nose[1] - right[1])), float(right_mouth[1] + 0.9 * apart)
    middle = float((right_mouth[0] + left_mouth[0]) / 2)
    outline = [(middle - 1.05 * apart, top + 6), (middle, top), (middle + 1.05 * apart, top + 6),
               (middle + 0.8 * apart, low - 20), (middle + 0.4 * apart, low), (middle - 0.4 * apart, low),
               (middle - 0.8 * apart, low - 20)]
    cv2.fillPoly(drawn, [np.asarray(np.round(outline), np.int32)], (150, 185, 210), cv2.LINE_AA)
    return drawn


def _patch(lab: Floats, middle: Sequence[float] | Floats, across: int, along: int) -> Floats:
    x, y = round(float(middle[0])), round(float(middle[1]))
    return lab[y - along : y + along + 1, x - across : x + across + 1].reshape(-1, 3)
