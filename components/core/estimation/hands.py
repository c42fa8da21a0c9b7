"""Hands that a photo does not show: in a pocket, under an arm, behind the back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.landmarks import numbering as at
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HAND_PARTS, HEAD_PARTS

_LEAST_LENGTH = 24.0
"""Pixels from the wrist to the knuckles above which the network would have found a hand."""
_HUE, _LIGHT = 0.06, 1.0
"""How far channels, as shares of the brightness, may be from the cheeks', and the logarithm of the brightness."""
_LEAST_SKIN = 0.25
"""Share of a hand's pixels that look like skin below which it is something else."""
_SURELY_SKIN, _SMOOTH = 0.3, 5
_CHEEKS_V, _CHEEKS_U = (105, 155), 90
"""Rows of the head's chart, and how far from the middle of the face, in 255ths."""
_LEAST_PIXELS = 20
_DARK = 0.02


def hidden_hands(photo: Pixels, iuv: Pixels, landmarks: Landmarks) -> NDArray[np.bool_]:
    """Where the pose map [H, W, 3] of a photo [H, W, 3] has a hand that is not seen there: [H, W].

    The network for hands does not find such a hand, and in its place there is little skin like the cheeks'. Either
    alone may be wrong: hands are gloved, or too small to be found.
    """
    hidden = np.zeros(iuv.shape[:2], np.bool_)
    right, left = HAND_PARTS
    missing = [part for part, side, found in ((left, 0, landmarks.left_hand), (right, 1, landmarks.right_hand))
               if found is None and _length(landmarks, side) >= _LEAST_LENGTH]
    cheeks = photo[_cheeks(iuv)] if missing else photo[:0, 0]
    if len(cheeks) < _LEAST_PIXELS:
        return hidden
    skin = np.median(cheeks, axis=0)
    for part in missing:
        hand = iuv[..., 0] == part
        like = _like(photo[hand], skin)
        if len(like) and like.mean() < _LEAST_SKIN:
            shows = np.zeros(hand.shape, np.uint8)
            shows[hand] = np.where(like > _SURELY_SKIN, 255, 0)
            hidden[hand & (cv2.medianBlur(shows, _SMOOTH) == 0)] = True
    return hidden


def _length(landmarks: Landmarks, side: int) -> float:
    """Pixels from the wrist to the knuckles; `side` 0 is the left hand."""
    wrist, *knuckles = (landmarks.body[points[side], :2] for points in (at.WRISTS, at.INDICES, at.PINKIES))
    return float(np.linalg.norm(np.mean(knuckles, axis=0) - wrist))


def _cheeks(iuv: Pixels) -> NDArray[np.bool_]:
    right, left = (iuv[..., 0] == part for part in HEAD_PARTS)
    beside = np.where(right, 255 - iuv[..., 1].astype(int), iuv[..., 1])
    low, high = _CHEEKS_V
    return np.asarray((right | left) & (beside < _CHEEKS_U) & (iuv[..., 2] >= low) & (iuv[..., 2] <= high), np.bool_)


def _like(pixels: Pixels, skin: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far pixels [N, 3] look like skin of a colour [3], in whatever light: 0..1."""
    colours, wanted = (values.astype(np.float64) / 255 + _DARK for values in (pixels, skin))
    bright, wanted_bright = colours.mean(1, keepdims=True), wanted.mean()
    hue = ((colours / bright - wanted / wanted_bright) ** 2).sum(1)
    light = np.abs(np.log(bright[:, 0] / wanted_bright)) < _LIGHT
    return np.asarray(np.exp(-hue / (2 * _HUE**2)) * light, np.float64)
