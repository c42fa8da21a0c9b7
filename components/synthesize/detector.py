"""What a pose detector does to an exact map: wobbly borders, coarse and jittered U and V, lost and swapped parts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body import exact
from components.core.body.meshes import Floats

Bytes = NDArray[np.uint8]

# Left and right of the same limb, which detectors confuse.
_TWINS = ((3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 18), (19, 20), (21, 22))
_LIMBS = ((3,), (4,), (19, 21), (20, 22), (5,), (6,), (11, 13), (12, 14))


def _smooth(rng: np.random.Generator, height: int, width: int, sigma: float) -> Floats:
    """A smooth random field of unit spread."""
    field = exact.blurred(rng.standard_normal((height, width)).astype(np.float32), sigma)
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def detect(iuv: Bytes, rng: np.random.Generator, noise: float) -> Bytes:
    """The map [H, W, 3] as a detector might return it; `noise` 0 returns it as it is, 1 is a poor detector."""
    if noise <= 0:
        return iuv
    height, width = iuv.shape[:2]
    out = _wobble(iuv, rng, noise * height)
    out = _lose_and_swap(out, rng, noise)
    part = out[..., 0]
    body = part > 0
    levels = 255 - noise * 191  # 256 steps down to 64
    for channel in (1, 2):
        value = out[..., channel] + noise * (
            5.0 * _smooth(rng, height, width, height / 40) + 1.5 * rng.standard_normal((height, width))
        )
        value = np.rint(value / 255 * levels) / levels * 255
        out[..., channel] = np.where(body, np.clip(value, 0, 255), 0).astype(np.uint8)
    return out


def _wobble(iuv: Bytes, rng: np.random.Generator, scale: float) -> Bytes:
    """Every pixel reads from a little beside itself, each part with its own U and V; borders shift by about 1 %."""
    height, width = iuv.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sigma = max(1.0, height / 64)
    dx, dy = (0.006 * scale * _smooth(rng, height, width, sigma) for _ in range(2))
    return np.asarray(cv2.remap(iuv, x + dx, y + dy, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _lose_and_swap(iuv: Bytes, rng: np.random.Generator, noise: float) -> Bytes:
    out = iuv.copy()
    part = iuv[..., 0]
    for label in np.unique(part[part > 0]):
        count, regions, stats, _ = cv2.connectedComponentsWithStats((part == label).astype(np.uint8))
        for region in range(1, count):
            small = stats[region, cv2.CC_STAT_AREA] < 0.0012 * part.size
            if small and rng.random() < 0.6 * noise:
                out[regions == region] = 0
    for limb in _LIMBS:
        if rng.random() < 0.06 * noise:
            out[np.isin(part, limb)] = 0
    for a, b in _TWINS:
        if rng.random() < 0.03 * noise:
            keep = out[..., 0].copy()
            out[..., 0][keep == a], out[..., 0][keep == b] = b, a
    return out
