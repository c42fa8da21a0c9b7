"""The body that is fitted to landmarks, and the pose map it makes: of bodies whose pose and map are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from components.core.body.head import CENTRE
from components.core.body.skinning import bone_transforms
from components.core.body.template import BONE, BONES, JOINTS
from components.core.fitting.charts import detected
from components.core.fitting.conventions import CONVENTIONS as RULES
from components.core.fitting.fit import fit
from components.core.fitting.posemap import drawn, pose_map
from components.core.fitting.surface import posed_points, surface
from components.core.landmarks import numbering as at
from components.core.landmarks.found import Landmarks
from components.core.pictures.iuv import check_iuv, split_iuv
from components.synthesize.pose import sample_pose

SIZE = (360, 300)
SCALE = 185.0
_TO_PICTURE = np.array([SCALE, -SCALE, -SCALE], np.float32)
_ORIGIN = np.array([150.0, 350.0, 0.0], np.float32)
_OTHER = np.arange(25)
for _left, _right in ((3, 4), (5, 6), *((k, k + 1) for k in range(7, 24, 2))):
    _OTHER[[_left, _right]] = _right, _left
_SWAP = np.array([0, 4, 5, 6, 1, 2, 3, *(k for pair in range(7, 33, 2) for k in (pair + 1, pair))])


def posed(seed: int, back: bool = False) -> tuple[np.ndarray, np.ndarray]:
    pose = sample_pose(np.random.default_rng(seed), back)
    return bone_transforms(pose, np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1)))


def landmarks_of(matrix: np.ndarray, offset: np.ndarray) -> tuple[Landmarks, np.ndarray]:
    """What perfect networks would find of a posed template, and its map without the head [H, W, 3]."""
    metres = np.zeros((33, 3), np.float32)

    def put(points: tuple[int, int], bone: str, rest: np.ndarray) -> None:
        for side, name in enumerate("lr"):
            index = BONE[f"{bone}_{name}"]
            metres[points[side]] = matrix[index] @ (rest * (1 - 2 * side, 1, 1)) + offset[index]

    put(at.SHOULDERS, "upper_arm", RULES.shoulder)
    put(at.ELBOWS, "upper_arm", RULES.elbow)
    put(at.WRISTS, "lower_arm", RULES.wrist)
    ahead = RULES.wrist - RULES.elbow
    knuckles = RULES.wrist + 0.4 * ahead
    aside = np.array([0, 0, 0.035], np.float32)
    put(at.INDICES, "hand", knuckles + aside)
    put(at.PINKIES, "hand", knuckles - aside)
    put(at.THUMBS, "hand", RULES.wrist + 0.25 * ahead + aside)
    put(at.HIPS, "upper_leg", RULES.hip)
    put(at.KNEES, "upper_leg", RULES.knee)
    put(at.ANKLES, "lower_leg", RULES.ankle)
    put(at.HEELS, "foot", RULES.heel)
    put(at.TOES, "foot", RULES.toe)
    face = [(0, -0.04, 0.11), *[(x, 0, 0.08) for x in (0.02, 0.03, 0.04, -0.02, -0.03, -0.04)], (0.078, -0.01, 0),
            (-0.078, -0.01, 0), (0.024, -0.07, 0.09), (-0.024, -0.07, 0.09)]
    rest = np.array(face, np.float32) + CENTRE
    metres[:11] = rest @ matrix[BONE["head"]].T + offset[BONE["head"]]

    screen = posed_points(surface().points, matrix, offset) * _TO_PICTURE + _ORIGIN
    truth, _ = drawn(screen.astype(np.float32), SIZE, detected)
    world = (metres - metres[list(at.HIPS)].mean(0)) * (1, -1, -1) * RULES.metres
    world[:, 2] /= RULES.depth
    ones = np.ones(33, np.float32)
    mask = np.where(truth[..., 0] > 0, 255, 0).astype(np.uint8)
    found = Landmarks((metres * _TO_PICTURE + _ORIGIN).astype(np.float32), ones, ones, world.astype(np.float32), None,
                      None, None, mask, 1.0)
    return found, truth


def mapped(landmarks: Landmarks, size: tuple[int, int] = SIZE) -> np.ndarray:
    return pose_map(fit(landmarks, size), landmarks, size)


def without_head(iuv: np.ndarray) -> np.ndarray:
    return np.where(iuv[..., :1] > 22, 0, iuv)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a[..., 0] > 0) & (b[..., 0] > 0)).sum() / ((a[..., 0] > 0) | (b[..., 0] > 0)).sum())


def same_part(a: np.ndarray, b: np.ndarray) -> float:
    both = (a[..., 0] > 0) & (b[..., 0] > 0)
    return float((a[..., 0] == b[..., 0])[both].mean())


@pytest.mark.parametrize("back", [False, True], ids=["front", "back"])
@pytest.mark.parametrize("seed", range(5))
def test_a_posed_body_is_recovered_from_its_landmarks(seed, back):
    landmarks, truth = landmarks_of(*posed(seed, back))
    fitted = fit(landmarks, SIZE)
    found = without_head(pose_map(fitted, landmarks, SIZE))
    hidden = truth[..., 0] > 22
    truth = np.where(hidden[..., None], 0, truth)
    assert fitted.back == back
    assert fitted.scale == pytest.approx(SCALE, rel=0.03)
    assert overlap(found, truth) > 0.95
    assert same_part(found, truth) > 0.9
    same = (found[..., 0] == truth[..., 0]) & (truth[..., 0] > 0)
    assert np.abs(found[..., 1:].astype(int) - truth[..., 1:])[same].mean() / 255 < 0.05


def test_joints_lie_where_the_landmarks_are():
    matrix, offset = posed(3)
    landmarks, _ = landmarks_of(matrix, offset)
    expected = (np.einsum("bij,bj->bi", matrix, JOINTS) + offset) * _TO_PICTURE + _ORIGIN
    fitted = fit(landmarks, SIZE)
    limbs = [BONE[f"{bone}_{side}"] for bone in ("lower_arm", "hand", "lower_leg", "foot") for side in "lr"]
    assert np.linalg.norm(fitted.joints[limbs, :2] - expected[limbs, :2], axis=1).max() < 0.03 * SCALE


def test_a_mirrored_person_has_the_mirrored_map_with_left_and_right_exchanged():
    landmarks, _ = landmarks_of(*posed(2))
    flip, width = np.array([-1, 1, 1], np.float32), SIZE[1]
    mirrored = replace(landmarks, body=(landmarks.body * flip + (width, 0, 0))[_SWAP].astype(np.float32),
                       world=(landmarks.world * flip)[_SWAP], mask=np.ascontiguousarray(landmarks.mask[:, ::-1]))
    there, back = mapped(landmarks), mapped(mirrored)[:, ::-1]
    exchanged = back.copy()
    exchanged[..., 0] = _OTHER[back[..., 0]]
    assert overlap(without_head(there), without_head(exchanged)) > 0.97
    assert same_part(without_head(there), without_head(exchanged)) > 0.97


def test_limbs_outside_the_picture_stay_outside():
    landmarks, _ = landmarks_of(*posed(1))
    whole = mapped(landmarks)
    cut = int(landmarks.body[list(at.KNEES), 1].mean())
    upper = replace(landmarks, mask=landmarks.mask[:cut])
    found = mapped(upper, (cut, SIZE[1]))
    assert found.shape == (cut, SIZE[1], 3)
    assert overlap(found, whole[:cut]) > 0.97
    assert same_part(found, whole[:cut]) > 0.95


def test_a_person_wholly_outside_the_picture_makes_an_empty_map():
    landmarks, _ = landmarks_of(*posed(1))
    away = replace(landmarks, body=landmarks.body + np.array([5000, 0, 0], np.float32), mask=landmarks.mask * 0)
    assert not mapped(away).any()


def test_the_map_is_a_pose_map_and_does_not_leave_the_mask_by_more_than_a_few_pixels():
    landmarks, _ = landmarks_of(*posed(4))
    found = mapped(landmarks)
    check_iuv(split_iuv(found))
    beyond = cv2.distanceTransform((landmarks.mask == 0).astype(np.uint8), cv2.DIST_L2, 5)
    assert beyond[without_head(found)[..., 0] > 0].max() < 4


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_the_size_of_the_photo_does_not_matter(scale):
    landmarks, _ = landmarks_of(*posed(0))
    size = round(SIZE[0] * scale), round(SIZE[1] * scale)
    large = replace(landmarks, body=(landmarks.body * np.float32(scale)),
                    mask=np.asarray(cv2.resize(landmarks.mask, size[::-1], interpolation=cv2.INTER_AREA), np.uint8))
    found, expected = mapped(large, size), mapped(landmarks)
    again = cv2.resize(found, SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    assert overlap(without_head(again), without_head(expected)) > 0.94
    assert same_part(again, expected) > 0.95


@pytest.mark.parametrize("wider", [0.85, 1.15])
def test_thick_and_thin_people_are_told_apart_by_their_outline(wider):
    matrix, offset = posed(6)
    for bone in ("upper_leg", "lower_leg", "upper_arm", "lower_arm"):
        for side in "lr":
            index = BONE[f"{bone}_{side}"]
            axis = JOINTS[index + 1] - JOINTS[index]
            axis = axis / np.linalg.norm(axis)
            lengthwise = np.outer(axis, axis)
            stretch = wider * (np.eye(3) - lengthwise) + lengthwise
            place = matrix[index] @ JOINTS[index] + offset[index]
            matrix[index] = matrix[index] @ stretch
            offset[index] = place - matrix[index] @ JOINTS[index]
    landmarks, truth = landmarks_of(matrix, offset)
    assert overlap(without_head(mapped(landmarks)), without_head(truth)) > 0.94


def test_thighs_hidden_by_a_skirt_keep_a_common_thickness():
    landmarks, truth = landmarks_of(*posed(0))
    hips, knees = (landmarks.body[list(pair), :2] for pair in (at.HIPS, at.KNEES))
    skirt = landmarks.mask.copy()
    top, bottom = int(hips[:, 1].mean()), int(knees[:, 1].mean())
    left, right = int(hips[:, 0].min()) - 35, int(hips[:, 0].max()) + 35
    skirt[top:bottom, left:right] = 255
    found = mapped(replace(landmarks, mask=skirt))
    assert overlap(without_head(found), without_head(truth)) > 0.9


@pytest.mark.parametrize("seed", range(6))
def test_landmarks_that_make_no_sense_make_a_map_and_no_error(seed):
    rng = np.random.default_rng(seed)
    landmarks, _ = landmarks_of(*posed(0))
    body, world = rng.uniform(-50, 400, (33, 3)), rng.uniform(-1, 1, (33, 3))
    if seed == 0:
        body, world = np.full((33, 3), 100.0), np.zeros((33, 3))
    if seed == 1:
        body, world = landmarks.body, -landmarks.world
    odd = replace(landmarks, body=body.astype(np.float32), world=world.astype(np.float32))
    found = mapped(odd)
    assert found.shape == (*SIZE, 3) and found[..., 0].max() <= 24
    assert not found[found[..., 0] == 0].any()


@pytest.mark.parametrize("seed", range(3))
def test_below_the_neck_the_torso_goes_on_without_a_place_twice(seed):
    """A collar is several rows of the chart, as high as it is on the body."""
    landmarks, truth = landmarks_of(*posed(seed))
    neck = landmarks.body[list(at.SHOULDERS), :2].mean(0).astype(int)
    rows = truth[: neck[1] + 40, neck[0]]
    u = rows[rows[:, 0] == 2][:, 1].astype(int)
    assert len(u) > 30 and (np.diff(u) >= -1).all()
    steps = np.diff(u[::6])
    assert (steps > 0).all() and steps.max() <= 3 * np.median(steps)

