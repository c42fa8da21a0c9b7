"""Surfaces are closed and face outward, the z-buffer agrees with geometry, skinning keeps the skin whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.body.head import HeadShape, head_mesh
from components.core.body.meshes import Mesh, ellipsoid, from_field, length, tube, vertex_normals
from components.core.body.rasteriser import rasterise
from components.core.body.skinning import bone_transforms, skin
from components.core.body.template import BONES, PARENT, template
from components.synthesize.pose import sample_pose

TURN = np.arange(20) / 20 * 2 * np.pi
RING = np.stack([np.cos(TURN), np.sin(TURN), np.zeros(20)], 1)
AVERAGE = HeadShape(1, 1, 1, 1, 1, 1, 1, 1)


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.points[mesh.triangles[:, k]].astype(np.float64) for k in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


def test_ball_from_a_field_has_the_ball_s_volume_and_normals() -> None:
    mesh = from_field(lambda p: length(p) - 0.5, np.full(3, -0.7, np.float32), np.full(3, 0.7, np.float32), 0.07)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.03)
    assert length(mesh.points) == pytest.approx(0.5, abs=2e-3)
    outward = (vertex_normals(mesh.points, mesh.triangles) * mesh.points).sum(1) / 0.5
    assert outward.min() > 0.97


def test_body_is_one_closed_surface() -> None:
    mesh = template().mesh
    edges = np.concatenate([mesh.triangles[:, [0, 1]], mesh.triangles[:, [1, 2]], mesh.triangles[:, [2, 0]]]).astype(
        np.int64
    )
    forward = edges[:, 0] * len(mesh.points) + edges[:, 1]
    backward = edges[:, 1] * len(mesh.points) + edges[:, 0]
    assert np.array_equal(np.sort(forward), np.sort(backward)), "every edge has a triangle on both sides"


@pytest.mark.parametrize(
    "mesh",
    [
        ellipsoid((0.1, 0.2, 0.3), (0.1, 0.2, 0.3)),
        tube(RING, 0.1, closed=True),
        head_mesh(AVERAGE),
        template().mesh,
    ],
    ids=["ellipsoid", "tube", "head", "body"],
)  # fmt: skip
def test_surfaces_face_outward(mesh: Mesh) -> None:
    assert volume(mesh) > 0


def test_skin_weights_sum_to_one() -> None:
    weights = template().weights
    assert weights.min() >= 0
    assert weights.sum(1) == pytest.approx(1, abs=1e-5)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=15, deadline=None)
def test_posing_turns_bones_without_tearing_the_skin(seed: int, back: bool) -> None:
    pose = sample_pose(np.random.default_rng(seed), back)
    stretch = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    matrix, offset = bone_transforms(pose, stretch)
    assert matrix @ matrix.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (len(BONES), 1, 1)), abs=1e-4)
    posed = skin(template().mesh.points, template().weights, matrix, offset)
    edge = template().mesh.triangles[:, :2]
    assert length(posed[edge[:, 0]] - posed[edge[:, 1]]).max() < 0.1
    assert (abs(np.rad2deg(pose.yaw)) <= 50) != back


def test_bones_hang_from_their_parents() -> None:
    assert all(parent < bone for bone, parent in enumerate(PARENT))


def test_nearest_fragment_wins_and_weights_interpolate() -> None:
    # Two triangles over the same pixels, the second nearer; both face the camera (clockwise on the screen).
    screen = np.array([[0, 0, 2], [0, 20, 2], [20, 0, 2], [0, 0, 1], [0, 10, 1], [10, 0, 1]], np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    fragments = rasterise(screen, triangles, 24, 24, np.zeros(2, bool))
    nearest = fragments.nearest(24 * 24).reshape(24, 24)
    assert fragments.triangle[nearest[2, 2]] == 1
    assert fragments.triangle[nearest[8, 8]] == 0
    assert nearest[20, 20] == -1
    assert fragments.weight.sum(1) == pytest.approx(1, abs=1e-5)
    place = (screen[triangles[fragments.triangle]] * fragments.weight[..., None]).sum(1)
    assert place[:, 0] == pytest.approx(fragments.pixel % 24 + 0.5, abs=1e-3)
    assert place[:, 1] == pytest.approx(fragments.pixel // 24 + 0.5, abs=1e-3)


def test_triangles_that_face_away_are_dropped_unless_two_sided() -> None:
    screen = np.array([[0, 0, 1], [10, 0, 1], [0, 10, 1]], np.float32)
    triangle = np.array([[0, 1, 2]], np.int32)
    assert len(rasterise(screen, triangle, 12, 12, np.zeros(1, bool)).pixel) == 0
    assert len(rasterise(screen, triangle, 12, 12, np.ones(1, bool)).pixel) > 30


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_shared_edges_leave_no_holes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.array([[1, 1], [1, 31], [31, 31], [31, 1]]) + rng.uniform(-1, 1, (4, 2))
    middle = rng.uniform(8, 24, (1, 2))
    screen = np.concatenate([np.concatenate([corners, middle]), np.ones((5, 1))], 1).astype(np.float32)
    triangles = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]], np.int32)
    covered = rasterise(screen, triangles, 32, 32, np.ones(4, bool)).nearest(32 * 32).reshape(32, 32) >= 0
    assert covered[3:29, 3:29].all()
