"""The head: its bones and flesh as a star-shaped surface around the middle between the ears, at eye level.

A place on the head is a direction (azimuth, elevation) in radians; the face is painted there and the pose map reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats, Mesh, grid_triangles, length
from components.core.body.template import EYE_LEVEL

CENTRE = np.array([0.0, EYE_LEVEL, 0.004], np.float32)
"""Where the head's middle lies in the resting template."""


@dataclass(frozen=True)
class HeadShape:
    """Proportions around 1 (0.85..1.15) and the size of the nose and ears."""

    width: float
    jaw: float
    chin: float
    cheek: float
    length: float
    nose_length: float
    nose_width: float
    ears: float


def _spaced(knots: tuple[float, ...], counts: tuple[int, ...]) -> Floats:
    pieces = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(knots, knots[1:], counts, strict=False)]
    return np.asarray(np.deg2rad(np.concatenate([*pieces, [knots[-1]]])), np.float32)


ELEVATIONS = _spaced((-90, -58, -8, 30, 90), (6, 26, 14, 14))
AZIMUTHS = _spaced((-180, -100, -36, 36, 100, 180), (10, 16, 34, 16, 10))


def directions() -> tuple[Floats, Floats, Floats]:
    """Azimuth [V], elevation [V] and unit direction [V, 3] of the head's grid of vertices (row-major, upward)."""
    elevation, azimuth = (g.ravel() for g in np.meshgrid(ELEVATIONS, AZIMUTHS, indexing="ij"))
    return azimuth, elevation, unit(azimuth, elevation)


def unit(azimuth: Floats, elevation: Floats) -> Floats:
    """Unit vectors [N, 3] of directions."""
    flat = exact.cos(elevation)
    return np.stack([flat * exact.sin(azimuth), exact.sin(elevation), flat * exact.cos(azimuth)], 1).astype(np.float32)


def head_triangles() -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Triangles of the head's grid."""
    return grid_triangles(len(ELEVATIONS), len(AZIMUTHS))


@lru_cache(maxsize=8)
def head_mesh(shape: HeadShape) -> Mesh:
    """The head's surface in resting template coordinates, one vertex per grid direction."""
    ray = directions()[2]
    distance = np.full(len(ray), 0.16, np.float32)
    for _ in range(11):  # sphere tracing inward from outside
        distance = np.maximum(distance - 0.85 * _field(ray * distance[:, None], shape), 0.02)
    return Mesh(ray * distance[:, None] + CENTRE, head_triangles())


def _ball(p: Floats, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Floats:
    axes = np.array(radii, np.float32)
    q: Floats = (p - np.array(centre, np.float32)) / axes
    size, slope = length(q), length(q / axes)
    return np.asarray(size * (size - 1.0) / np.maximum(slope, 1e-6), np.float32)


def _join(a: Floats, b: Floats, soft: float) -> Floats:
    h = np.clip(0.5 + 0.5 * (b - a) / soft, 0, 1)
    return np.asarray(b + (a - b) * h - soft * h * (1 - h), np.float32)


def _field(points: Floats, s: HeadShape) -> Floats:
    """Roughly the distance to the head, metres from `CENTRE`."""
    p = points.copy()
    p[:, 0] = np.abs(p[:, 0]) / s.width
    p[:, 1] = np.where(p[:, 1] < 0, p[:, 1] / s.length, p[:, 1])
    f = _ball(p, (0, 0.028, -0.014), (0.079, 0.099, 0.099))
    f = _join(f, _ball(p, (0, -0.038, 0.030), (0.064 * s.jaw, 0.070, 0.062)), 0.04)
    f = _join(f, _ball(p, (0.022 * s.jaw, -0.085, 0.048), (0.022 * s.jaw, 0.020, 0.028)), 0.035)
    f = _join(f, _ball(p, (0, -0.092, 0.068), (0.017, 0.017 * s.chin, 0.017 * s.chin)), 0.025)
    f = _join(f, _ball(p, (0.040, -0.028, 0.058), (0.022, 0.020, 0.022 * s.cheek)), 0.025)
    f = _join(f, _ball(p, (0.022, 0.024, 0.074), (0.026, 0.008, 0.012)), 0.018)  # brow ridge
    hollow = _ball(p, (0.031, -0.002, 0.104), (0.020, 0.013, 0.018))
    f = np.maximum(f, -_join(hollow, np.full_like(hollow, 1.0), 0.01) - 0.002)
    tip = -0.034 * s.nose_length
    f = _join(f, _ball(p, (0, 0.45 * tip, 0.092), (0.0085 * s.nose_width, 0.026, 0.013)), 0.014)
    f = _join(f, _ball(p, (0, tip, 0.103), (0.0105 * s.nose_width, 0.0100, 0.014 * s.nose_length)), 0.010)
    f = _join(f, _ball(p, (0.0105 * s.nose_width, tip - 0.002, 0.094), (0.0075, 0.007, 0.009)), 0.008)
    f = _join(f, _ball(p, (0, -0.066, 0.086), (0.024, 0.012, 0.012)), 0.014)  # lips
    return _join(f, _ball(p, (0.080, -0.010, -0.006), (0.010, 0.030 * s.ears, 0.018 * s.ears)), 0.010)
