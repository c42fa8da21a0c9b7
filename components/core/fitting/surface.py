"""The surface that is fitted: the resting template and a head of middling proportions, as one bag of triangles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from components.core.body.head import HeadShape, directions, head_mesh
from components.core.body.meshes import Floats, Ints
from components.core.body.template import BONE, BONES, template

HEAD_SHAPE = HeadShape(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_STEP = 0.02


@dataclass(frozen=True)
class Surface:
    """Vertices at rest and how bones move them.

    `points` [V, 3] metres at rest; `weights` [V, 17]; `coordinates` [V, 3] what charts are read from: the resting place
    on the body, (azimuth, elevation, 0) radians on the head; `is_head` [T] whether a triangle is the head's.
    """

    points: Floats
    weights: Floats
    coordinates: Floats
    triangles: Ints
    is_head: NDArray[np.bool_]
    body_size: int


@lru_cache(maxsize=1)
def surface() -> Surface:
    """The surface; built once per process."""
    skin = template(_STEP)
    head = head_mesh(HEAD_SHAPE)
    azimuth, elevation, _ = directions()
    on_head = np.zeros((len(head.points), len(BONES)), np.float32)
    on_head[:, BONE["head"]] = 1
    size = len(skin.mesh.points)
    facing = np.stack([azimuth, elevation, np.zeros_like(azimuth)], 1)
    return Surface(
        points=np.concatenate([skin.mesh.points, head.points]).astype(np.float32),
        weights=np.concatenate([skin.weights, on_head]),
        coordinates=np.concatenate([skin.mesh.points, facing]).astype(np.float32),
        triangles=np.concatenate([skin.mesh.triangles, head.triangles + size]).astype(np.int32),
        is_head=np.arange(len(skin.mesh.triangles) + len(head.triangles)) >= len(skin.mesh.triangles),
        body_size=size,
    )


def posed_points(rest: Floats, matrix: Floats, offset: Floats) -> Floats:
    """Vertices [V, 3] that lie at `rest` [V, 3], where bones [17, 3, 3], [17, 3] move them (linear blend skinning)."""
    blend = surface().weights @ np.concatenate([matrix.reshape(-1, 9), offset], 1)
    moved = np.einsum("vij,vj->vi", blend[:, :9].reshape(-1, 3, 3), rest)
    return np.asarray(moved + blend[:, 9:], np.float32)
