"""Rims and specks: what a picture shows beside the person, and a light seam along their outline."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from components.core.pictures.images import Pixels

Mask = npt.NDArray[np.bool_]

_SIDE = 1024
_BEYOND, _RIM = 24, 6
"""Pixels in a picture of 1024."""
_FAINT = 0.05 * 255


def person_in(matte: Pixels, iuv: Pixels) -> Mask:
    """Where the person of a picture is, as far as its matte [S, S] and target pose map [S, S, 3] tell: the body, and
    what of the matte hangs together with it (hair, skirts); pieces by themselves are none of it."""
    body, solid = iuv[..., 0] > 0, matte > 127
    _, piece = cv2.connectedComponents((solid | body).astype(np.uint8))
    kept = np.unique(piece[body])
    return np.asarray(np.isin(piece, kept[kept > 0]), np.bool_)


def specks(matte: Pixels, person: Mask) -> float:
    """Share of the picture that lies beyond 24 px (of 1024) of the person and has a matte over .05."""
    if not person.any():
        return float("nan")
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(((matte > _FAINT) & (away > _BEYOND * len(matte) / _SIDE)).mean())


def light_rim(picture: Pixels, matte: Pixels, background: int) -> float:
    """How much lighter the person is within 6 px (of 1024) of the outline than just inside, in grey levels.

    `picture` [S, S, 3] shows them over a grey `background`, which is taken out again. The mean over the outline's strip
    of what is lighter; darker places count 0. NaN without a person.
    """
    solid = matte > 127
    if not solid.any():
        return float("nan")
    width = max(1.0, _RIM * len(matte) / _SIDE)
    # The frame is no outline: a figure that it cuts goes on beyond it.
    depth = cv2.distanceTransform(solid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    alpha = np.maximum(matte.astype(np.float32) / 255, 0.5)
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = np.clip((light - background * (1 - alpha)) / alpha, 0, 255)
    inner = ((depth > width) & (depth <= 3 * width)).astype(np.float32)
    total, share = (cv2.GaussianBlur(plane, (0, 0), 1.5 * width) for plane in (light * inner, inner))
    strip = solid & (depth <= width) & (share > 1e-3)
    if not strip.any():
        return float("nan")
    return float(np.maximum(light[strip] - total[strip] / share[strip], 0).mean())
