"""Is the pose map this photo's? Right ones pass, noisy ones too; exchanged, turned, mirrored ones do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from components.core.errors import InputError
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import person_box, read_iuv, write_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess import preprocess
from components.preprocess.checking.agreement import check_map, turned_share
from components.preprocess.checking.outline import agreement
from components.synthesize import photos_of

Pair = tuple[np.ndarray, np.ndarray]
_TWINS = np.asarray([
    0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23,
], np.uint8)


def _mirrored(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[:, ::-1])


def _turned(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[::-1, ::-1])


def _moved(iuv: np.ndarray, right: float, down: float) -> np.ndarray:
    return cv2.warpAffine(iuv, np.float32([[1, 0, right], [0, 1, down]]), iuv.shape[1::-1], flags=cv2.INTER_NEAREST)


def _width(iuv: np.ndarray) -> int:
    box = person_box(iuv)
    assert box is not None
    return box[2] - box[0]


def _reason(photo: np.ndarray, iuv: np.ndarray) -> str:
    with pytest.raises(InputError) as found:
        check_map(photo, iuv)
    assert found.value.remedy
    return found.value.problem


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Twelve photos of twelve people over rooms, maps exact and as noisy as a poor detector's in turn."""
    found = []
    for noise in (0.0, 1.0):
        drawn = SynthesizeSettings(people=6, photos_per_person=1, height=320, pose_noise=noise, seed=5)
        found += [(photo.rgb, photo.iuv) for person in range(6) for _, _, photo in photos_of(drawn, person)]
    return found


def test_right_maps_pass(pairs: list[Pair]) -> None:
    for photo, iuv in pairs:
        check_map(photo, iuv)
    for photo, iuv in pairs[:6]:
        grey = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        check_map(grey, iuv)


def test_exchanged_maps_are_left_out(pairs: list[Pair]) -> None:
    tried, reasons = 0, []
    for number, (photo, _) in enumerate(pairs):
        for step in range(1, 6):
            tried += 1
            try:
                check_map(photo, pairs[(number + step) % 12][1])
            except InputError as error:
                reasons.append(error.problem)
    assert len(reasons) >= 0.95 * tried
    assert sum("not this photo's" in reason for reason in reasons) > 0.8 * tried


def test_maps_made_upside_down_are_left_out(pairs: list[Pair]) -> None:
    reasons = [_reason(photo, _turned(iuv)) for photo, iuv in pairs]
    assert sum("upside down" in reason for reason in reasons) >= 10


def test_a_photo_that_is_upside_down_with_its_map_is_not(pairs: list[Pair]) -> None:
    for photo, iuv in pairs:
        check_map(_turned(photo), _turned(iuv))


def test_mirrored_maps_are_left_out_whatever_was_exchanged(pairs: list[Pair]) -> None:
    for photo, iuv in pairs:
        assert "mirrored: U and V" in _reason(_mirrored(photo), _mirrored(iuv))  # both mirrored, nothing exchanged
        assert "mirrored: U and V" in _reason(photo, _mirrored(iuv))
        labels = _mirrored(iuv)
        labels[..., 0] = _TWINS[labels[..., 0]]
        assert "mirrored: U and V" in _reason(_mirrored(photo), labels)


def test_photos_mirrored_without_their_map_are_left_out(pairs: list[Pair]) -> None:
    assert all("mirrored photo" in _reason(_mirrored(photo), iuv) for photo, iuv in pairs)


def test_charts_of_a_mirrored_photo_that_are_right_pass(pairs: list[Pair]) -> None:
    """Mirrored with all that belongs to it: parts exchanged, V of the torso and U of the head turned about."""
    for photo, iuv in pairs:
        right = _mirrored(iuv)
        part = right[..., 0]
        body = np.isin(part, (1, 2))
        right[..., 2] = np.where(body, 255 - right[..., 2], right[..., 2])
        ends = np.isin(part, (3, 4, 5, 6, 23, 24))
        right[..., 1] = np.where(ends, 255 - right[..., 1], right[..., 1])
        right[..., 0] = _TWINS[part]
        assert turned_share(right) == pytest.approx(turned_share(iuv), abs=0.05)
        check_map(_mirrored(photo), right)


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 5), angle=st.floats(0, 2 * np.pi))
def test_a_map_moved_by_a_third_of_the_width_is_left_out(pairs: list[Pair], number: int, angle: float) -> None:
    photo, iuv = pairs[number]
    by = _width(iuv) / 3
    _reason(photo, _moved(iuv, by * np.cos(angle), by * np.sin(angle)))


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 5), angle=st.floats(0, 2 * np.pi), share=st.floats(0, 0.01))
def test_a_map_moved_by_a_hair_is_not(pairs: list[Pair], number: int, angle: float, share: float) -> None:
    photo, iuv = pairs[number]
    by = share * _width(iuv)
    check_map(photo, _moved(iuv, by * np.cos(angle), by * np.sin(angle)))


def test_what_shows_too_little_passes() -> None:
    iuv = np.zeros((200, 200, 3), np.uint8)
    check_map(iuv, iuv)
    iuv[:, :, 0], iuv[..., 1], iuv[..., 2] = 2, np.arange(200)[:, None], 200 - np.arange(200)
    check_map(np.full_like(iuv, 90), iuv)  # a person who fills the picture has no outline in it
    assert agreement(np.full_like(iuv, 90), iuv[..., 0].copy()) is None


def test_real_maps_are_their_photos_and_nobody_elses(shared_data: Path) -> None:
    folder = shared_data / "people"
    real = [(path.stem, read_photo(path), read_iuv(folder / "iuv" / f"{path.stem}.png").planes)
            for path in sorted((folder / "photos").iterdir())]
    for _, photo, iuv in real:
        check_map(photo, iuv)
        assert turned_share(iuv) > 0.8
        _reason(photo, _turned(iuv))
        _reason(photo, _mirrored(iuv))
        _reason(_mirrored(photo), iuv)
    tried = caught = 0
    for name, photo, _ in real:
        for other, _, iuv in real:
            if name == other or (name.startswith("img_") and other.startswith("img_")):
                continue  # neighbouring frames of a video: one's map is as good as the other's
            fitted = cv2.resize(iuv, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            tried += 1
            try:
                check_map(photo, np.asarray(fitted, np.uint8))
            except InputError:
                caught += 1
    assert caught >= 0.95 * tried


def test_preprocess_names_it_and_can_be_told_not_to(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "photos" / "iuv").mkdir(parents=True)
    for number in range(4):
        Image.fromarray(pairs[number][0]).save(tmp_path / "photos" / f"p{number}.png")
        write_iuv(tmp_path / "photos" / "iuv" / f"p{number}.png", pairs[{0: 1, 1: 0}.get(number, number)][1])
    small = PreprocessSettings(resolution=64, texel=16, matte="silhouette")
    summary = preprocess(tmp_path / "photos", tmp_path / "people", small)
    assert summary.accepted == 2 and [one["photo"] for one in summary.rejected] == ["p0.png", "p1.png"]
    assert all("not this photo's" in one["reason"] and "check_maps" in one["reason"] for one in summary.rejected)
    taken = preprocess(tmp_path / "photos", tmp_path / "all", small.model_copy(update={"check_maps": False}))
    assert taken.accepted == 4 and not taken.rejected
