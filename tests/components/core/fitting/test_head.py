"""The head's piece of a pose map: where the face lies in the chart, and how it moves with the landmarks."""

from dataclasses import replace

import numpy as np
import pytest

from components.core.body.charts import head_chart, head_direction
from components.core.fitting.head import HeadMap, head_map
from components.core.fitting.head_points import (
    BROWS,
    CHIN,
    EYE_CORNERS,
    FOREHEAD,
    MOUTH_CORNERS,
    NOSE_TIP,
    head_points,
    similarity,
)
from components.core.landmarks.found import Landmarks

SIZE = (400, 300)
SCALE = 700.0
_PAIRS = ((1, 4), (2, 5), (3, 6), *((k, k + 1) for k in range(7, 33, 2)))
# Metres from the head's middle: nose, eyes (inner, middle, outer; left, right), ears, mouth, shoulders; then hips.
_EARS = ((0.078, -0.012, 0.0), (-0.078, -0.012, 0.0))
_SHOULDERS = ((0.165, -0.27, -0.02), (-0.165, -0.27, -0.02))
_HIPS = ((0.09, -0.75, -0.01), (-0.09, -0.75, -0.01))
# Median places of dlib's landmarks on detected maps of real photos: V, and U in the right and in the left half.
_MEASURED = {"chin": 0.25, "mouth": (0.39, 0.87, 0.15), "nose": 0.51, "eyes": (0.63, 0.78, 0.20), "brows": 0.71}


def turn(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """A rotation: the face toward the image's right, up, and the crown toward the image's left; degrees."""
    y, p, r = np.deg2rad([yaw, -pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def person(rotation: np.ndarray | None = None, *, face: np.ndarray | None = None, seen: bool = True,
           torso: np.ndarray | None = None, middle: tuple[float, float] = (150.0, 140.0),
           scale: float = SCALE) -> Landmarks:  # fmt: skip
    """Landmarks of somebody whose head is turned by `rotation` and whose torso by `torso` (or as the head is)."""
    rotation = np.eye(3) if rotation is None else rotation
    torso = rotation if torso is None else torso
    points = head_points().points.astype(np.float64) if face is None else face
    eyes = [points[list(corners)].mean(0) for corners in EYE_CORNERS]
    outer, inner = ([points[corners[k]] for corners in EYE_CORNERS] for k in (0, 1))
    head = [points[NOSE_TIP], inner[1], eyes[1], outer[1], inner[0], eyes[0], outer[0], *_EARS,
            points[MOUTH_CORNERS[1]], points[MOUTH_CORNERS[0]]]  # fmt: skip
    rest = np.array([*_SHOULDERS, *[(0, -0.6, 0)] * 10, *_HIPS, *[(0, -1.2, 0)] * 8])
    metres = np.concatenate([np.array(head) @ rotation.T, rest @ torso.T])

    def in_photo(at: np.ndarray) -> np.ndarray:
        return (scale * at * [1, -1, -1] + [*middle, 0]).astype(np.float32)

    ones = np.ones(33, np.float32)
    return Landmarks(
        body=in_photo(metres), visibility=ones, presence=ones,
        world=((metres - metres[23:25].mean(0)) * [1, -1, -1]).astype(np.float32),
        face=in_photo(points @ rotation.T) if seen else None, left_hand=None, right_hand=None,
        mask=np.full(SIZE, 255, np.uint8), score=1.0)  # fmt: skip


def drawn(landmarks: Landmarks, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return head_map(landmarks, size, np.full(size, 255, np.uint8)).pasted(size)


def read_at(planes: tuple[np.ndarray, np.ndarray, np.ndarray], point: np.ndarray) -> tuple[int, float, float]:
    x, y = int(point[0]), int(point[1])
    part, u, v = (plane[y, x] for plane in planes)
    return int(part), float(u), float(v)


def other_face() -> np.ndarray:
    """A longer, narrower face with a wide mouth and a crooked nose."""
    face = head_points().points.astype(np.float64) * [0.92, 1.1, 1.05]
    near = np.exp(-(((face - face[NOSE_TIP]) / 0.03) ** 2).sum(1))
    face[:, 0] += 0.006 * near
    for corner in MOUTH_CORNERS:
        near = np.exp(-(((face - face[corner]) / 0.02) ** 2).sum(1))
        face += near[:, None] * [0.006 * np.sign(face[corner, 0]), 0.004, 0]
    return face


@pytest.mark.parametrize("yaw, pitch, roll", [(0, 0, 0), (18, 0, 0), (-18, 8, 0), (0, -10, 30), (-12, 5, -25)])
@pytest.mark.parametrize("face", [None, other_face()], ids=["mean", "other"])
def test_face_lands_on_the_places_measured_on_real_maps(yaw, pitch, roll, face):
    landmarks = person(turn(yaw, pitch, roll), face=face)
    planes = drawn(landmarks)
    points = landmarks.face
    for side, corner in enumerate(MOUTH_CORNERS):
        part, u, v = read_at(planes, points[corner])
        expected = _MEASURED["mouth"]
        assert part == (23, 24)[side]
        # The two halves were measured apart and are mirror images here: the mean of the two.
        mean = (expected[1] + 1 - expected[2]) / 2
        assert (u if side == 0 else 1 - u) == pytest.approx(mean, abs=0.02) and v == pytest.approx(0.39, abs=0.02)
    for side, corners in enumerate(EYE_CORNERS):
        at = [read_at(planes, points[corner]) for corner in corners]
        u = np.mean([u if side == 0 else 1 - u for _, u, _ in at])
        assert {part for part, _, _ in at} == {(23, 24)[side]}
        assert u == pytest.approx(0.79, abs=0.02) and np.mean([v for _, _, v in at]) == pytest.approx(0.63, abs=0.02)
    assert read_at(planes, points[NOSE_TIP])[2] == pytest.approx(_MEASURED["nose"], abs=0.02)
    # The chin's point lies on the edge between face and throat: just above it, where the face is surely seen.
    above = points[CHIN] + 0.06 * (points[NOSE_TIP] - points[CHIN])
    assert read_at(planes, above)[2] == pytest.approx(_MEASURED["chin"], abs=0.02)
    assert np.mean([read_at(planes, points[k])[2] for k in BROWS[0]]) == pytest.approx(_MEASURED["brows"], abs=0.02)


def test_table_has_the_measured_places():
    table = head_points()
    _, u, v = head_chart(table.azimuth, table.elevation)
    eyes = list(EYE_CORNERS[0])
    assert v[CHIN] == pytest.approx(0.25, abs=0.02)
    assert v[NOSE_TIP] == pytest.approx(0.51, abs=0.02)
    assert (u[MOUTH_CORNERS[0]], v[MOUTH_CORNERS[0]]) == pytest.approx((0.86, 0.39), abs=0.02)
    assert (u[MOUTH_CORNERS[1]], v[MOUTH_CORNERS[1]]) == pytest.approx((0.15, 0.39), abs=0.02)
    assert (u[eyes].mean(), v[eyes].mean()) == pytest.approx((0.78, 0.63), abs=0.02)
    assert v[list(BROWS[0])].mean() == pytest.approx(0.71, abs=0.02)
    mirrored = table.points[table.mirror] * [-1, 1, 1]
    assert np.abs(mirrored - table.points).max() < 1e-6
    assert np.abs(table.azimuth[table.mirror] + table.azimuth).max() < 1e-6


@pytest.mark.parametrize("yaw", [0, 25, -40])
def test_every_point_of_a_face_that_is_seen_lies_at_its_own_place(yaw):
    landmarks = person(turn(yaw), face=other_face())
    planes = drawn(landmarks)
    table = head_points()
    part, u, v = head_chart(table.azimuth, table.elevation)
    outward = table.points / np.linalg.norm(table.points, axis=1, keepdims=True)
    off = []
    for k in np.nonzero((outward @ turn(yaw)[2] > 0.5) & (table.azimuth != 0))[0]:
        found = read_at(planes, landmarks.face[k])
        if found[0] == part[k]:
            off.append((abs(found[1] - u[k]), abs(found[2] - v[k])))
    assert len(off) > 250
    assert np.quantile(off, 0.5, axis=0) == pytest.approx((0, 0), abs=0.008)
    assert np.quantile(off, 0.9, axis=0) == pytest.approx((0, 0), abs=0.03)


def test_two_views_of_a_face_agree_on_where_its_points_are():
    one, other = (person(turn(yaw, pitch), face=other_face()) for yaw, pitch in ((-15, 5), (20, -5)))
    maps = drawn(one), drawn(other)
    off = []
    for k in range(468):
        first, second = (read_at(planes, points.face[k]) for planes, points in zip(maps, (one, other), strict=True))
        if first[0] == second[0] != 0:
            off.append((abs(first[1] - second[1]), abs(first[2] - second[2])))
    assert len(off) > 300 and np.median(off, axis=0) == pytest.approx((0, 0), abs=0.01)


def mirrored(landmarks: Landmarks, width: int) -> Landmarks:
    order = np.arange(33)
    for a, b in _PAIRS:
        order[[a, b]] = b, a
    body, world = landmarks.body[order].copy(), landmarks.world[order].copy()
    body[:, 0], world[:, 0] = width - body[:, 0], -world[:, 0]
    face = landmarks.face
    if face is not None:
        face = face[head_points().mirror].copy()
        face[:, 0] = width - face[:, 0]
    return replace(landmarks, body=body, world=world, face=face, mask=landmarks.mask[:, ::-1])


@pytest.mark.parametrize("seen, yaw", [(True, 30), (True, -70), (False, 150)])
def test_mirrored_landmarks_give_the_mirrored_map_with_its_halves_exchanged(seen, yaw):
    landmarks = person(turn(yaw, 5, 10), seen=seen)
    part, u, v = drawn(landmarks)
    other, other_u, other_v = (plane[:, ::-1] for plane in drawn(mirrored(landmarks, SIZE[1])))
    exchanged = np.where(other == 0, 0, 47 - other.astype(int))
    same = (part == exchanged) & (part > 0)
    assert same.sum() > 0.98 * max((part > 0).sum(), (exchanged > 0).sum())
    assert np.quantile(np.abs(u - (1 - other_u))[same], 0.99) < 0.01
    assert np.quantile(np.abs(v - other_v)[same], 0.99) < 0.01


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_scaled_landmarks_give_the_scaled_map(scale):
    landmarks = person(turn(20, 5))
    part, u, v = drawn(landmarks)
    size = int(SIZE[0] * scale), int(SIZE[1] * scale)
    factor = np.float32([scale, scale, scale])
    larger = replace(landmarks, body=landmarks.body * factor, face=landmarks.face * factor)
    there = drawn(larger, size)
    rows, columns = np.nonzero(part)
    at = ((rows + 0.5) * scale).astype(int), ((columns + 0.5) * scale).astype(int)
    same = there[0][at] == part[rows, columns]
    assert same.mean() > 0.95
    assert np.quantile(np.abs(there[1][at] - u[rows, columns])[same], 0.95) < 0.03
    assert np.quantile(np.abs(there[2][at] - v[rows, columns])[same], 0.95) < 0.03


def test_landmarks_turned_by_90_degrees_give_the_turned_map():
    landmarks = person(turn(20, 5))
    part, u, v = drawn(landmarks)
    to = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32)
    back = np.array([0, SIZE[1], 0], np.float32)
    lying = replace(landmarks, body=landmarks.body @ to.T + back, face=landmarks.face @ to.T + back,
                    world=landmarks.world @ to.T)  # fmt: skip
    other = [np.rot90(plane, -1) for plane in drawn(lying, SIZE[::-1])]
    same = (other[0] == part) & (part > 0)
    assert same.sum() > 0.98 * (part > 0).sum()
    assert np.quantile(np.abs(other[1] - u)[same], 0.99) < 0.01
    assert np.quantile(np.abs(other[2] - v)[same], 0.99) < 0.01


def test_u_grows_to_the_right_along_a_row_of_a_face_and_v_upward_along_a_column():
    landmarks = person()
    part, u, v = drawn(landmarks)
    for name in (NOSE_TIP, FOREHEAD, EYE_CORNERS[0][0]):
        row = int(landmarks.face[name, 1])
        inside = np.nonzero(part[row])[0]
        across = np.where(part[row] == 24, 1 + u[row], u[row])[inside]
        assert (np.diff(inside) == 1).all() and (np.diff(across) > -0.004).all() and np.ptp(across) > 0.8
    column = int(landmarks.face[MOUTH_CORNERS[1], 0])
    upward = v[::-1, column][part[::-1, column] > 0]
    assert (np.diff(upward) > -0.02).mean() > 0.99 and upward[-1] > 0.9


def test_head_seen_from_behind_shows_the_back_of_both_halves_and_no_face():
    part, u, _ = drawn(person(turn(180), seen=False))
    right_u = np.where(part == 23, u, 1 - u)[part > 0]
    assert right_u.max() < 0.6 and right_u.min() < 0.03
    columns = {half: np.nonzero(part == half)[1].mean() for half in (23, 24)}
    assert columns[23] > columns[24]
    assert (part == 23).sum() == pytest.approx((part == 24).sum(), rel=0.05)


def test_far_half_of_a_profile_vanishes():
    shares = []
    for yaw in (0, 30, 60, 85):
        part, _, _ = drawn(person(turn(yaw), torso=np.eye(3)))
        part[int(SIZE[0] * 0.5) :] = 0
        shares.append((part == 24).sum() / (part > 0).sum())
    assert shares[0] == pytest.approx(0.5, abs=0.02)
    assert (np.diff(shares) < -0.02).all() and shares[-1] < 0.1


def test_body_points_alone_place_the_head_as_the_face_does():
    for yaw in (-30, 0, 20):
        part, u, v = drawn(person(turn(yaw, 5)))
        alone, alone_u, alone_v = drawn(person(turn(yaw, 5), seen=False))
        assert ((part > 0) & (alone > 0)).sum() > 0.9 * ((part > 0) | (alone > 0)).sum()
        same = (part == alone) & (part > 0)
        assert np.median(np.abs(u - alone_u)[same]) < 0.02 and np.median(np.abs(v - alone_v)[same]) < 0.02


def test_long_hair_does_not_widen_the_head_and_a_tight_mask_trims_it():
    landmarks = person()
    everything = drawn(landmarks)[0]
    assert np.nonzero(everything)[0].max() < landmarks.body[11:13, 1].mean()
    assert np.ptp(np.nonzero(everything)[1]) < 0.24 * SCALE
    mask = np.zeros(SIZE, np.uint8)
    mask[100:, :150] = 255
    trimmed = head_map(landmarks, SIZE, mask).pasted(SIZE)[0]
    rows, columns = np.nonzero(trimmed)
    assert rows.min() >= 96 and columns.max() <= 154
    assert (trimmed[104:, :146] == everything[104:, :146]).all()


def test_neck_ends_at_its_line_above_the_shoulders_and_nearer_things_are_nearer():
    landmarks = person()
    found = head_map(landmarks, SIZE, landmarks.mask)
    line = found.neck_line
    assert (np.diff(line[:, 0]) >= 0).all()
    chin, shoulders = landmarks.face[CHIN, 1], landmarks.body[11:13, 1].mean()
    assert chin < line[:, 1].min() and line[:, 1].max() < shoulders
    rows = np.nonzero(found.part)[0] + found.y
    assert rows.max() == pytest.approx(line[:, 1].max(), abs=2)
    x, y = (landmarks.face[NOSE_TIP, :2] - [found.x, found.y]).astype(int)
    inside = found.part > 0
    assert found.depth[y, x] == pytest.approx(found.depth[inside].min(), abs=0.01 * SCALE)
    assert found.depth[y, x] < 0 and np.isinf(found.depth[~inside]).all()
    neck = int(line[:, 1].max()) - found.y - 3, int(line[:, 0].mean()) - found.x
    assert found.v[neck] < 0.08


def test_head_partly_and_wholly_outside_the_photo():
    landmarks = person()
    whole = drawn(landmarks)
    up = np.array([0, 140, 0], np.float32)
    cut = drawn(replace(landmarks, body=landmarks.body - up, face=landmarks.face - up))
    for plane, other in zip(whole, cut, strict=True):
        assert np.quantile(np.abs(plane[140:].astype(float) - other[:-140]), 0.99) < 0.01
    gone = np.array([2000, 0, 0], np.float32)
    found = head_map(replace(landmarks, body=landmarks.body - gone, face=landmarks.face - gone), SIZE, landmarks.mask)
    assert found.part.size == 0 and not found.pasted(SIZE)[0].any()


@pytest.mark.parametrize("scale", [0.0, 2.0, 30.0])
def test_people_too_small_to_have_a_face_make_a_small_head_and_no_error(scale):
    part, u, v = drawn(person(turn(20), scale=scale))
    assert (part > 0).sum() <= max(1, (0.4 * scale) ** 2)
    assert (part > 0).any() or scale < 30
    assert np.isfinite(u).all() and np.isfinite(v).all()


def test_shoulders_outside_the_picture_leave_a_neck_straight_below_the_head():
    landmarks = person()
    hidden = landmarks.visibility.copy()
    hidden[11:] = 0
    wild = landmarks.body.copy()
    wild[11:] += [500, 300, 0]
    part, _, _ = drawn(replace(landmarks, body=wild, visibility=hidden))
    lowest = part[landmarks.face[CHIN, 1].astype(int) + 30]
    assert np.nonzero(lowest)[0].mean() == pytest.approx(150, abs=3)


def test_face_of_somebody_else_is_not_taken():
    landmarks = person()
    elsewhere = replace(landmarks, face=landmarks.face + np.array([140, -60, 0], np.float32))
    alone = drawn(replace(landmarks, face=None))
    for plane, other in zip(alone, drawn(elsewhere), strict=True):
        assert (plane == other).all()


def test_enlarged_heads_are_as_those_drawn_at_full_size(monkeypatch):
    landmarks = person(turn(160, 0, 15), seen=False), person(turn(35, 10))
    enlarged = [drawn(one) for one in landmarks]
    monkeypatch.setattr("components.core.fitting.head._LARGEST", 10**6)
    for one, (part, u, v) in zip(landmarks, enlarged, strict=True):
        exact = drawn(one)
        same = (exact[0] == part) & (part > 0)
        assert same.sum() > 0.97 * max((part > 0).sum(), (exact[0] > 0).sum())
        assert np.quantile(np.abs(exact[1] - u)[same], 0.98) < 0.01
        assert np.quantile(np.abs(exact[2] - v)[same], 0.98) < 0.01


def test_direction_of_a_place_undoes_the_chart():
    azimuth, elevation = (g.ravel() for g in np.meshgrid(np.linspace(-3.1, 3.1, 41), np.linspace(-1.5, 1.5, 31)))
    part, u, v = head_chart(azimuth, elevation)
    back = head_direction(part, u, v)
    assert np.abs(back[0] - azimuth).max() < 1e-4 and np.abs(back[1] - elevation).max() < 1e-4


def test_similarity_finds_scale_turn_and_shift():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(9, 3))
    rotation, shift = turn(40, 20, -30), np.array([3.0, -2.0, 9.0])
    found = similarity(points, 2.5 * points @ rotation.T + shift)
    assert found[0] == pytest.approx(2.5)
    assert np.abs(found[1] - rotation).max() < 1e-9 and np.abs(found[2] - shift).max() < 1e-9


def test_pasted_puts_the_crop_back_where_it_lies():
    one = np.ones((2, 3), np.float32)
    part, u, v = HeadMap(4, 5, one.astype(np.uint8) * 23, one * 0.5, one, one, np.zeros((0, 2), np.float32)).pasted(
        (9, 10)
    )
    assert part[5:7, 4:7].all() and part.sum() == 6 * 23 and u.sum() == 3 and v.sum() == 6
