import operator
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.people.crop import cut, outside, resize, square_box
from components.core.people.person import texture_of
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import crop_iuv, person_box, read_iuv, resize_iuv
from components.core.pictures.matte import grabcut_matte, silhouette, working_side
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess.photos import photo_id
from components.preprocess.pool import map_in_order
from components.synthesize import photos_of

Drawn = Callable[[int], tuple[np.ndarray, np.ndarray]]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 200), st.integers(1, 200), st.floats(0, 1))
def test_the_crop_is_square_and_holds_the_person(left: int, top: int, width: int, height: int, margin: float) -> None:
    box = square_box((left, top, left + width, top + height), margin)
    assert box[2] - box[0] == box[3] - box[1] >= max(width, height)
    assert box[0] <= left and box[1] <= top and box[2] >= left + width and box[3] >= top + height
    assert abs((box[0] + box[2]) - (2 * left + width)) <= 2


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(8, 90))
def test_cutting_keeps_the_photo_and_continues_its_edges(left: int, top: int, side: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    box = (left, top, left + side, top + side)
    if left >= 64 or top >= 48 or left + side <= 0 or top + side <= 0:
        return
    crop = cut(photo, box)
    beyond = outside(box, 48, 64, side)
    assert crop.shape == (side, side, 3)
    ys, xs = np.nonzero(~beyond)
    assert np.array_equal(crop[ys, xs], photo[ys + top, xs + left])


@settings(deadline=None, max_examples=30)
@given(st.integers(-300, 0), st.integers(-300, 0), st.integers(700, 1400))
def test_what_lies_beyond_the_photo_is_one_smooth_picture(left: int, top: int, side: int) -> None:
    """Each side is enlarged by itself, and they meet without a seam; on one grey photo nothing is but that grey."""
    photo = cv2.resize(np.random.default_rng(1).integers(0, 256, (4, 5), dtype=np.uint8), (640, 480))
    crop, beyond = cut(photo, (left, top, left + side, top + side)), outside((left, top, left + side, top + side), 480,
                                                                             640, side)
    for axis in (0, 1):
        both = np.take(beyond, range(1, side), axis) & np.take(beyond, range(side - 1), axis)
        assert np.abs(np.diff(crop.astype(int), axis=axis))[both].max(initial=0) <= 16
    flat = np.full((480, 640, 3), 77, np.uint8)
    assert (cut(flat, (left, top, left + side, top + side)) == 77).all()


def test_what_lies_beyond_the_photo_does_not_hang_on_its_size() -> None:
    photo = cv2.resize(np.random.default_rng(2).integers(0, 256, (30, 20), dtype=np.uint8), (640, 960))
    for divisor in (2, 4):
        small = photo[::divisor, ::divisor]
        large, less = (cut(one, (-160 // by, -160 // by, 960 // by, 960 // by))
                       for one, by in ((photo, 1), (small, divisor)))
        there = outside((-160 // divisor, -160 // divisor, 960 // divisor, 960 // divisor), *small.shape, len(less))
        difference = np.abs(large[divisor // 2 :: divisor, divisor // 2 :: divisor].astype(int) - less)[there]
        assert difference.mean() < 2 and difference.max() < 20


def test_a_person_at_the_edge_is_not_doubled_by_the_padding() -> None:
    photo = np.full((60, 60, 3), 200, np.uint8)
    photo[40:60, 20:40] = 0
    crop = cut(photo, (0, 20, 60, 80))
    assert crop[:40].min() == 0 and not crop[20:40, 20:40].any()
    assert crop[50:, 20:40].std() < crop[10:40, 20:40].std() + 40  # blurred, no second figure upside down


def test_resizing_averages() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 200
    assert np.abs(resize(stripes, 16).astype(int) - 100).max() <= 1
    assert resize(stripes, 64) is stripes


def test_ids_are_safe_and_distinct() -> None:
    assert photo_id("anna_01-b") == "anna_01-b"
    odd = [photo_id(stem) for stem in ("a.b", "a b", "ä b", "x" * 200, "x" * 201)]
    assert len(set(odd)) == 5
    assert all(len(one) <= 72 and all(c.isascii() and (c.isalnum() or c in "_-") for c in one) for one in odd)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    assert list(map_in_order(operator.neg, range(30), workers)) == [-value for value in range(30)]


def test_an_error_in_a_worker_arrives() -> None:
    with pytest.raises(TypeError):
        list(map_in_order(operator.neg, [1, "two", 3], 2))


def test_the_rim_stays_out_of_the_texture(drawn: Drawn) -> None:
    photo, iuv = drawn(0)
    photo[iuv[..., 0] == 0] = (255, 0, 255)
    smeared = photo.copy()
    smeared[:, 1:] = photo[:, :-1]  # the pose map is off by one column: background in every part's left rim
    share = []
    for erode in (0.0, 0.02):
        texture, seen = texture_of(smeared, iuv, PreprocessSettings(resolution=64, texel=16, erode=erode))
        colours = texture[seen].astype(int)
        share.append(float((colours[:, 2] > colours[:, 1]).mean()))
    assert share[0] > 0.02 and share[1] == 0


def test_grabcut_finds_hair_that_the_pose_map_leaves_out(drawn: Drawn) -> None:
    photo, iuv = drawn(0)
    photo, iuv = photo[:128], iuv[:128]
    hair = np.zeros(iuv.shape[:2], bool)
    hair[4:36, 46:82] = True
    hair &= iuv[..., 0] == 0
    photo[hair] = (30, 20, 10)
    photo[iuv[..., 0] == 23] = (30, 20, 10)
    beyond = np.zeros(hair.shape, bool)
    matte = grabcut_matte(photo, iuv, beyond)
    assert (matte[hair] > 127).mean() > 0.9
    background = (iuv[..., 0] == 0) & ~hair
    assert (matte[background] > 127).mean() < 0.05
    assert (matte[iuv[..., 0] > 0] > 127).mean() > 0.95
    assert np.array_equal(matte, grabcut_matte(photo, iuv, beyond))


def test_nothing_beyond_the_photo_is_the_person(drawn: Drawn) -> None:
    photo, iuv = drawn(1)
    photo, iuv = photo[:128], iuv[:128]
    beyond = np.zeros(iuv.shape[:2], bool)
    beyond[:, 90:] = True
    assert not grabcut_matte(photo, iuv, beyond)[beyond].any()


def test_a_person_without_background_keeps_the_silhouette() -> None:
    iuv = np.full((64, 64, 3), 2, np.uint8)
    photo = np.zeros((64, 64, 3), np.uint8)
    assert np.array_equal(grabcut_matte(photo, iuv, np.zeros((64, 64), bool)), silhouette(iuv))


def test_mattes_of_rendered_people_agree_with_the_exact_ones() -> None:
    """IoU of soft mattes at resolution 128; the pose map's own silhouette is the figure to beat."""
    settings = SynthesizeSettings(people=4, photos_per_person=2)
    ours, plain = [], []
    for index in range(4):
        for _, _, photo in photos_of(settings, index):
            person = person_box(photo.iuv)
            assert person is not None
            box = square_box(person, 0.08)
            height, width = photo.rgb.shape[:2]
            side = working_side(box[2] - box[0], 128)
            iuv = resize_iuv(crop_iuv(photo.iuv, box), (side, side))
            matte = grabcut_matte(resize(cut(photo.rgb, box), side), iuv, outside(box, height, width, side))
            beyond = outside(box, height, width, 128)
            truth = np.where(beyond, 0, resize(cut(photo.matte, box), 128)).astype(float)
            for found, name in ((matte, ours), (silhouette(iuv), plain)):
                soft = np.where(beyond, 0, resize(found, 128)).astype(float)
                name.append(float(np.minimum(soft, truth).sum() / np.maximum(soft, truth).sum()))
    print(f"IoU with exact mattes: GrabCut {np.mean(ours):.3f}, silhouette {np.mean(plain):.3f}")
    assert np.mean(ours) >= 0.93 and np.mean(ours) > np.mean(plain)


def test_mattes_of_real_photos_hold_the_silhouette(shared_data: Path) -> None:
    for path in sorted((shared_data / "people" / "photos").glob("pws_*")):
        photo = read_photo(path)
        iuv = read_iuv(shared_data / "people" / "iuv" / f"{path.stem}.png").planes
        person = person_box(iuv)
        assert person is not None
        box = square_box(person, 0.08)
        iuv = resize_iuv(crop_iuv(iuv, box), (128, 128))
        matte = grabcut_matte(resize(cut(photo, box), 128), iuv, outside(box, *photo.shape[:2], 128))
        body = iuv[..., 0] > 0
        assert (matte[body] > 127).mean() > 0.95
        assert (matte > 127).sum() < 1.6 * body.sum()
