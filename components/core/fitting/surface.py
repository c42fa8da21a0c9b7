"""The surface that is fitted: the resting template, without a head of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from components.core.body.meshes import Floats, Ints
from components.core.body.template import template

_STEP = 0.02


@dataclass(frozen=True)
class Surface:
    """`points` [V, 3] metres at rest, `weights` [V, 17] of the bones, `triangles` [T, 3]."""

    points: Floats
    weights: Floats
    triangles: Ints


@lru_cache(maxsize=1)
def surface() -> Surface:
    """The surface; built once per process (a quarter of a second)."""
    skin = template(_STEP)
    return Surface(skin.mesh.points.astype(np.float32), skin.weights, skin.mesh.triangles)


def posed_points(rest: Floats, matrix: Floats, offset: Floats) -> Floats:
    """Vertices [V, 3] that lie at `rest` [V, 3], where bones [17, 3, 3], [17, 3] move them (linear blend skinning)."""
    blend = surface().weights @ np.concatenate([matrix.reshape(-1, 9), offset], 1)
    moved = np.einsum("vij,vj->vi", blend[:, :9].reshape(-1, 3, 3), rest)
    return np.asarray(moved + blend[:, 9:], np.float32)
