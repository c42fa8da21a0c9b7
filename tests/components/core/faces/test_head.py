import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.core.faces.head import LANDMARKS, face_chip, face_points, face_seen, head_box, view

DrawHead = Callable[..., np.ndarray]

# Where the landmarks of the drawn ellipsoid are: (around, up) as in components/core/faces/head.py's description.
AROUND = np.asarray([-0.22, 0.20, 0.0, -0.13, 0.15])
UP = np.asarray([0.63, 0.63, 0.51, 0.39, 0.39])


def true_points(height: float, yaw: float, centre: tuple[float, float]) -> np.ndarray:
    rise = (UP - 0.5) / 0.48
    angle = np.pi * AROUND - np.radians(yaw)
    x = centre[0] + 0.36 * height * np.sqrt(1 - rise**2) * np.sin(angle)
    return np.stack([x, centre[1] - height / 2 * rise], axis=1)


def test_head_box_is_half_open_and_ignores_stray_pixels(draw_head: DrawHead) -> None:
    iuv = np.zeros((64, 64, 3), np.uint8)
    assert head_box(iuv) is None
    iuv[10:30, 20:36] = (23, 200, 128)
    assert head_box(iuv) == (20, 10, 36, 30)
    iuv[60, 2] = (24, 5, 5)
    assert head_box(iuv) == (20, 10, 36, 30)


@pytest.mark.parametrize(("yaw", "expected"), [(0, "front"), (30, "front"), (-30, "front"), (70, "side"), (-70, "side"),
                                               (150, "back"), (180, "back"), (-150, "back")])
def test_view_and_face_seen_follow_the_head(draw_head: DrawHead, yaw: float, expected: str) -> None:
    for height in (13.0, 60.0):
        iuv = draw_head(height=height, yaw=yaw)
        assert view(iuv) == expected
        assert face_seen(iuv) == (expected != "back")


def test_without_a_head_the_torso_decides() -> None:
    iuv = np.zeros((64, 64, 3), np.uint8)
    iuv[20:60, 10:50] = (2, 100, 100)
    assert view(iuv) == "front" and not face_seen(iuv)
    iuv[20:60, 10:50] = (1, 100, 100)
    assert view(iuv) == "back"
    iuv[20:60, 10:30] = (2, 100, 100)
    assert view(iuv) == "side"


@settings(max_examples=40, deadline=None)
@given(height=st.floats(13, 90), yaw=st.floats(-45, 45), x=st.floats(40, 88), y=st.floats(46, 82))
def test_points_are_where_the_landmarks_are(draw_head: DrawHead, height: float, yaw: float, x: float, y: float) -> None:
    points = face_points(draw_head(128, height, yaw, (x, y)))
    assert points is not None and points.shape == (len(LANDMARKS), 2)
    error = np.linalg.norm(points - true_points(height, yaw, (x, y)), axis=1) / height
    assert error.mean() < 0.04 and error.max() < 0.1


def test_points_survive_a_profile_and_wrong_pixels(draw_head: DrawHead) -> None:
    iuv = draw_head(128, 60.0, 80.0)
    points = face_points(iuv)
    assert points is not None
    error = np.linalg.norm(points - true_points(60.0, 80.0, (64, 128 / 3)), axis=1) / 60
    assert error.max() < 0.15
    noisy = iuv.copy()
    ys, xs = np.nonzero(np.isin(iuv[..., 0], (23, 24)))
    wrong = np.random.default_rng(0).permutation(len(ys))[: len(ys) // 50]
    noisy[ys[wrong], xs[wrong], 1:] = 128
    moved = face_points(noisy)
    assert moved is not None and np.linalg.norm(moved - points, axis=1).max() < 3


def test_no_points_from_behind(draw_head: DrawHead) -> None:
    assert face_points(draw_head(yaw=180)) is None
    assert face_points(np.zeros((64, 64, 3), np.uint8)) is None


def test_a_chip_has_eyes_and_mouth_in_their_places(draw_head: DrawHead) -> None:
    for height in (40.0, 300.0):  # magnified, and shrunk with averaging
        side = int(3 * height)
        iuv = draw_head(side, height, 20.0)
        photo = np.full((side, side, 3), 200, np.uint8)
        ys, xs = np.mgrid[:side, :side]
        for x, y in true_points(height, 20.0, (side / 2, side / 3)):
            photo[np.hypot(xs - x, ys - y) < 0.03 * height] = 0
        chip = face_chip(photo, iuv, 60)
        assert chip is not None and chip.shape == (60, 60, 3)
        unit = np.asarray([(0.229, 0.216), (0.751, 0.216), (0.490, 0.516), (0.254, 0.780), (0.726, 0.780)])
        for x, y in (unit + 0.25) / 1.5 * 60:
            window = chip[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6, 0]
            assert window.min() < 120
    assert face_chip(photo, draw_head(side, 300.0, 180.0), 60) is None


def test_heads_under_the_limit_give_no_chip(draw_head: DrawHead) -> None:
    photo = np.zeros((128, 128, 3), np.uint8)
    assert face_chip(photo, draw_head(height=10.0)) is None
    assert face_chip(photo, draw_head(height=10.0), min_head=8) is not None


def test_real_people_show_their_faces_except_from_behind(shared_data: Path) -> None:
    folder = shared_data / "people"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    behind = {"pws_fashionWOMENDressesid0000262902_3back", "rt_rebecca_taylor_00002"}
    for row in rows:
        stem = Path(row["photo"]).stem
        iuv = np.asarray(Image.open(folder / "iuv" / f"{stem}.png").convert("RGB"))
        iuv = iuv if iuv[..., 0].max() <= 24 else iuv[..., ::-1]
        assert face_seen(iuv) == (stem not in behind), stem
        assert (view(iuv) == "back") == (stem in behind), stem
    assert len(rows) == 20
