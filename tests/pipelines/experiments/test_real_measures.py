"""The measures of the study of real people: what is drawn is found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.core.fitting.head_points import CHIN, MOUTH_CORNERS, head_points
from components.evaluate.measuring.intervals import Resampler
from pipelines.experiments.real.measures.anew import Looks, area, told_apart
from pipelines.experiments.real.measures.points import eye_distance, point_error, turn, wanted_points
from pipelines.experiments.real.measures.rims import light_rim, person_in, specks
from pipelines.experiments.real.table import median


def a_face() -> np.ndarray:
    """[468, 3] the mean face, 100 px wide, y down, the camera in front."""
    return np.asarray(head_points().points * [-700, -700, -700] + [128, 128, 0], np.float64)


def test_a_mesh_that_is_shifted_is_off_by_its_shift() -> None:
    face = a_face()
    eyes = eye_distance(face)
    error = point_error(face + np.array([0.1 * eyes, 0, 0]), face[:, :2], eyes)
    assert error is not None
    assert (error.all, error.mouth, error.chin) == pytest.approx((0.1, 0.1, 0.1))


def test_a_mouth_in_the_wrong_place_is_told_from_the_rest() -> None:
    face = a_face()
    wrong, eyes = face.copy(), eye_distance(face)
    wrong[list(MOUTH_CORNERS), 1] += 0.3 * eyes
    error = point_error(wrong, face[:, :2], eyes)
    assert error is not None
    assert error.mouth == pytest.approx(0.3)
    assert error.chin == 0
    assert error.all < 0.01


def test_points_that_the_map_does_not_show_do_not_count() -> None:
    face = a_face()
    wanted = face[:, :2].copy()
    wanted[[CHIN, MOUTH_CORNERS[0]]] = np.nan
    error = point_error(face + np.array([5, 0, 0]), wanted, 50.0)
    assert error is not None
    assert np.isnan(error.chin)
    assert error.mouth == pytest.approx(0.1)
    assert point_error(face, np.full((468, 2), np.nan), 50.0) is None


def test_a_head_that_turns_keeps_its_eye_distance() -> None:
    face = a_face()
    angle = 0.5
    about = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = face @ about.T
    assert eye_distance(turned) == pytest.approx(eye_distance(face))
    assert abs(turn(turned) - turn(face)) == pytest.approx(angle, abs=1e-6)


def test_the_places_of_a_pose_map_are_those_that_it_was_drawn_by() -> None:
    """A head drawn straight in its chart: a pixel for each place, so every point is known beforehand."""
    from components.core.body.charts import head_chart

    side = 240
    angle = (np.arange(side, dtype=np.float32) + 0.5) / side * np.float32(2.4) - np.float32(1.2)
    azimuth, elevation = (plane.ravel() for plane in np.meshgrid(angle, -angle))
    part, u, v = head_chart(azimuth, elevation)
    iuv = np.stack([part, np.rint(u * 255), np.rint(v * 255)], 1).reshape(side, side, 3).astype(np.uint8)
    table = head_points()
    places = (np.stack([table.azimuth, -table.elevation], 1) + 1.2) / 2.4 * side
    shown = (np.abs(table.azimuth) < 1.0) & (np.abs(table.elevation) < 0.7)
    found = wanted_points(iuv)
    assert shown.sum() > 200
    assert np.linalg.norm(found[shown] - places[shown], axis=1).max() < 3
    assert np.isnan(wanted_points(np.zeros((32, 32, 3), np.uint8))).all()


def drawn(side: int = 256) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grey person: picture, matte, pose map."""
    matte = np.zeros((side, side), np.uint8)
    matte[side // 4 : -side // 4, side // 4 : -side // 4] = 255
    iuv = np.zeros((side, side, 3), np.uint8)
    iuv[matte > 0] = (2, 100, 100)
    return np.full((side, side, 3), 100, np.uint8), matte, iuv


def test_specks_are_counted_and_the_person_is_not() -> None:
    _, matte, iuv = drawn()
    assert specks(matte, person_in(matte, iuv)) == 0
    dirty = matte.copy()
    dirty[4:12, 4:20] = 40
    assert specks(dirty, person_in(dirty, iuv)) == pytest.approx(128 / 256**2)
    near = matte.copy()
    near[60:64] = 40  # 4 px above: nearer than 24 of 1024
    assert specks(near, matte > 0) == pytest.approx(4 * (256 - 128 - 10) / 256**2, abs=4 * 128 / 256**2)


def test_hair_is_the_persons_and_a_piece_by_itself_is_not() -> None:
    _, matte, iuv = drawn()
    matte[20:64, 100:120] = 255
    matte[20:64, 200:250] = 255
    person = person_in(matte, iuv)
    assert person[30, 110]
    assert not person[30, 220]


def test_a_light_seam_is_seen_and_an_even_person_has_none() -> None:
    picture, matte, _ = drawn(512)
    assert light_rim(picture, matte, 128) == pytest.approx(0, abs=0.5)
    seam = picture.copy()
    seam[128:131, 128:384] = 180  # along one of four sides, as wide as the strip
    assert light_rim(seam, matte, 128) == pytest.approx(80 / 4, abs=3)
    dark = picture.copy()
    dark[128:131] = 20
    assert light_rim(dark, matte, 128) < 1


def test_the_background_behind_a_soft_edge_is_no_rim() -> None:
    picture, matte, _ = drawn(512)
    matte[128:131] = 160
    mixed = np.rint(picture * (matte[..., None] / 255) + 128 * (1 - matte[..., None] / 255)).astype(np.uint8)
    assert light_rim(mixed, matte, 128) < 1


def test_an_enlarged_picture_is_told_from_a_sharp_one_by_its_detail() -> None:
    random = np.random.default_rng(0)
    looks, sharp, soft = Looks(), [], []
    for _ in range(8):
        picture = cv2.GaussianBlur(random.integers(0, 256, (64, 64, 3)).astype(np.uint8), (0, 0), 0.7)
        sharp.append(looks(picture, 64))
        soft.append(looks(cv2.resize(picture[::4, ::4], (64, 64), interpolation=cv2.INTER_CUBIC), 64))
    people = list("abcdefgh")
    assert told_apart(np.asarray(sharp), np.asarray(soft), people, people, draws=20).value == 1


def test_the_area_under_a_known_split() -> None:
    assert area(np.array([3.0, 4]), np.array([1.0, 2])) == 1
    assert area(np.array([1.0, 4]), np.array([2.0, 3])) == 0.5
    assert area(np.array([1.0, 1]), np.array([1.0])) == 0.5
    assert area(np.array([0.0, 9]), np.array([5.0]), np.array([0.0, 2]), np.array([1.0])) == 1
    assert np.isnan(area(np.zeros(0), np.array([1.0])))


def test_the_judge_learns_what_all_outputs_have_and_not_who_they_are() -> None:
    random = np.random.default_rng(0)
    people = [f"p{number // 3}" for number in range(60)]
    real, same = random.normal(size=(60, 8)), random.normal(size=(60, 8))
    marked = same + np.array([3, 0, 0, 0, 0, 0, 0, 0])
    assert told_apart(real, marked, people, people, draws=20).value == pytest.approx(1, abs=0.03)
    assert told_apart(real, same, people, people, draws=20).value == pytest.approx(0.5, abs=0.15)
    few = told_apart(real[:6], same[:6], people[:6], people[:6], draws=20)
    assert few.value is None
    assert "too few" in few.reason


def test_an_interval_of_a_median_holds_it() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.nan])
    found = median(values, Resampler(list("abcdefg"), 200, 0))
    assert found.value == pytest.approx(0.35)
    assert found.low is not None and found.high is not None
    assert 0.1 <= found.low < found.value < found.high <= 0.6
    assert found.n == 6
    assert median(np.array([np.nan]), Resampler(["a"], 10, 0)).value is None
