"""From what DensePose finds to pose maps of the photo, with recorded answers of a detector."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.core.errors import DataError, InputError
from components.core.people.dataset import PeopleDataset
from components.core.pictures.images import Pixels, decode_png
from components.core.settings import DensePoseSettings, PreprocessSettings
from components.preprocess.choice import person_ids
from components.preprocess.densepose import maps as densepose
from components.preprocess.densepose.detection import Detection
from components.preprocess.densepose.maps import PoseFinder, paste, pose_maps
from components.preprocess.photos import PhotoFolder
from components.preprocess.run import preprocess

Drawn = Callable[[int], tuple[np.ndarray, np.ndarray]]
Bring = Callable[..., Path]
SMALL = PreprocessSettings(resolution=64, texel=16, matte="silhouette", pose_maps="densepose")


def recorded(iuv: Pixels, box: tuple[int, int, int, int], score: float = 0.95) -> Detection:
    """The part of a pose map inside `box` (x, y, w, h) as detectron2 gives it: long labels, float U and V per box,
    noise beyond [0, 1] on the background, where its networks say anything."""
    x, y, width, height = box
    dice = np.random.default_rng(1)
    labels = np.zeros((height, width), np.int64)
    uv = dice.normal(0.5, 1.0, (2, height, width)).astype(np.float32)
    ys, xs = np.mgrid[y : y + height, x : x + width]
    inside = (ys >= 0) & (xs >= 0) & (ys < iuv.shape[0]) & (xs < iuv.shape[1])
    part = iuv[ys[inside], xs[inside]]
    labels[inside] = part[:, 0]
    uv[:, inside] = np.where(part[:, 0] > 0, part[:, 1:].T / 255, uv[:, inside])
    # The corner lies somewhere inside its first pixel.
    return Detection(labels, uv, (x + 0.4 * (x >= 0), y + 0.7 * (y >= 0), width + 0.2, height + 0.3), score)


class Finder:
    """A detector that answers with what was recorded for each photo, in the order it is asked for them."""

    def __init__(self, answers: Sequence[Sequence[Detection]]) -> None:
        self.answers = list(answers)
        self.batches: list[int] = []

    def prepare(self, photo: Pixels) -> Any:
        return photo.shape[:2]

    def size(self, prepared: Any) -> tuple[int, int]:
        return prepared[0], prepared[1]

    def detect(self, prepared: Sequence[Any]) -> list[list[Detection]]:
        self.batches.append(len(prepared))
        return [list(self.answers.pop(0)) for _ in prepared]


def test_a_recorded_output_becomes_the_pose_map_of_the_photo(drawn: Drawn) -> None:
    _, iuv = drawn(0)
    for box in ((28, 10, 72, 140), (0, 0, 128, 160), (-20, -15, 170, 200)):
        assert np.array_equal(paste(recorded(iuv, box), (160, 128)), iuv)


@given(st.integers(-60, 160), st.integers(-60, 190), st.integers(1, 90), st.integers(1, 90))
def test_a_box_that_overhangs_is_cut_at_the_edges(x: int, y: int, width: int, height: int) -> None:
    labels = np.full((height, width), 7, np.int64)
    out = paste(Detection(labels, np.full((2, height, width), 0.5, np.float32), (x, y, width, height), 1.0), (160, 128))
    expected = np.zeros((160, 128), bool)
    expected[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True
    assert np.array_equal(out[..., 0] == 7, expected)
    assert (out[expected] == (7, 128, 128)).all() and not out[~expected].any()


def test_u_and_v_beyond_their_range_are_clamped() -> None:
    uv = np.array([[[-0.7, 0.0, 0.25, 1.0, 3.0, np.nan]], [[2.0, 1.004, 0.5, -0.001, np.inf, 0.1]]], np.float32)
    out = paste(Detection(np.array([[1, 2, 3, 4, 5, 0]]), uv, (0, 0, 6, 1), 1.0), (1, 6))
    assert out[0].tolist() == [[1, 0, 255], [2, 0, 255], [3, 64, 128], [4, 255, 0], [5, 255, 255], [0, 0, 0]]


def test_what_is_no_chart_output_is_refused() -> None:
    with pytest.raises(DataError, match="labels from 0 to 25"):
        paste(Detection(np.array([[0, 25]]), np.zeros((2, 1, 2)), (0, 0, 2, 1), 1.0), (4, 4))
    with pytest.raises(DataError, match=r"labels \[1, 2\] with U, V \[2, 2, 2\]"):
        paste(Detection(np.array([[0, 2]]), np.zeros((2, 2, 2)), (0, 0, 2, 1), 1.0), (4, 4))


def _block(x: int, y: int, side: int, part: int, score: float = 0.9) -> Detection:
    return Detection(np.full((side, side), part), np.full((2, side, side), 0.5), (x, y, side, side), score)


def test_whom_to_take_of_several_people() -> None:
    large, middle, small, doubtful = _block(0, 0, 30, 1), _block(45, 40, 12, 2), _block(80, 80, 8, 3), \
        _block(0, 50, 50, 4, score=0.5)
    beside, nobody = _block(-200, 10, 60, 5), _block(10, 10, 20, 0)
    people = [small, nobody, middle, doubtful, beside, large]

    def taken(**settings: Any) -> list[int]:
        return [int(one[..., 0].max()) for one in pose_maps(people, (100, 100), PreprocessSettings(
            person=settings.pop("person", "largest"), densepose=DensePoseSettings(**settings)))]

    assert taken(person="largest") == [1]
    assert taken(person="centre") == [2]
    assert taken(person="all") == [1, 2, 3]
    assert taken(person="all", min_score=0.4) == [4, 1, 2, 3]
    assert taken(min_score=0.95) == []


def test_ids_of_one_photos_people_meet_no_other_photos() -> None:
    ids = person_ids("anna", {"anna", "anna-3"})
    assert [next(ids) for _ in range(4)] == ["anna", "anna-2", "anna-4", "anna-5"]


def test_only_photos_without_a_pose_map_are_looked_at_in_batches_and_in_order(bring: Bring, drawn: Drawn) -> None:
    folder = bring(9)
    lacking = (0, 3, 4, 6, 8)
    for number in lacking:
        (folder / "iuv" / f"p{number}.png").unlink()
    (folder / "p4.png").write_bytes(b"no photo")
    finder = Finder([[recorded(drawn(number)[1], (0, 0, 128, 160))] for number in lacking if number != 4])
    settings = SMALL.model_copy(update={"densepose": DensePoseSettings(batch=2)})
    opened = PhotoFolder.open(folder)
    photos = list(PoseFinder(opened, settings, finder)(opened.photos))
    assert [photo.id for photo in photos] == [f"p{number}" for number in range(9)]
    assert finder.batches == [2, 1, 1]  # p0 and p3; p4, which is no photo, and p6; p8
    for number, photo in enumerate(photos):
        if number not in lacking or number == 4:
            assert photo.detected is None
        else:
            assert photo.detected is not None
            assert np.array_equal(decode_png(photo.detected[0].iuv), drawn(number)[1])


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Sequence[Detection]]], Finder]:
    """Put a detector with recorded answers where preprocess would load detectron2."""

    def place(answers: Sequence[Sequence[Detection]]) -> Finder:
        finder = Finder(answers)
        monkeypatch.setattr(densepose, "installed", lambda: True)
        monkeypatch.setattr(PoseFinder, "_ready", lambda self: finder)
        return finder

    return place


def test_detected_people_are_as_good_as_brought_ones(
        bring: Bring, drawn: Drawn, tmp_path: Path, answering: Callable[..., Finder]) -> None:
    preprocess(bring(3), tmp_path / "brought", SMALL)
    bare = bring(3, "bare")
    for path in (bare / "iuv").iterdir():
        path.unlink()
    answering([[recorded(drawn(number)[1], (20, 5, 100, 150))] for number in range(3)])
    preprocess(bare, tmp_path / "detected", SMALL)
    brought, detected = PeopleDataset.open(tmp_path / "brought"), PeopleDataset.open(tmp_path / "detected")
    assert [person.id for person in brought.records] == [person.id for person in detected.records]
    for number in range(3):
        for kind in ("photo", "iuv", "matte", "texture", "seen"):
            assert np.array_equal(getattr(brought[number], kind), getattr(detected[number], kind)), kind


def test_several_people_of_one_photo_are_several_rows(
        tmp_path: Path, drawn: Drawn, answering: Callable[..., Finder]) -> None:
    photo, iuv = drawn(0)
    folder = tmp_path / "group"
    folder.mkdir()
    Image.fromarray(np.concatenate([photo, drawn(5)[0]], axis=1)).save(folder / "two.png")
    Image.fromarray(photo).save(folder / "two-2.png")
    Image.fromarray(np.full_like(photo, 90)).save(folder / "wall.png")
    (folder / "labels.csv").write_text("photo,identity\ntwo.png,anna\ntwo-2.png,bea\n")
    wide = np.concatenate([iuv, np.zeros_like(iuv)], axis=1), np.concatenate([np.zeros_like(iuv), iuv], axis=1)
    second = wide[1].copy()
    second[150:] = 0
    second[90:, 128:] = 0  # the second shows less of the body
    # In order of name: two-2.png, two.png, wall.png.
    answering([[recorded(iuv, (0, 0, 128, 160))],
               [recorded(second, (150, 0, 110, 170)), recorded(wide[0], (0, 0, 130, 160)), _block(250, 150, 6, 2)],
               []])
    settings = SMALL.model_copy(update={"person": "all", "repeats": -1})
    summary = preprocess(folder, tmp_path / "people", settings)
    people = PeopleDataset.open(tmp_path / "people")
    assert [(record.id, record.photo, record.label) for record in people.records] == [
        ("two-2", "two-2.png", "bea"), ("two", "two.png", None), ("two-3", "two.png", None)]
    assert people.records[1].photo_digest == people.records[2].photo_digest
    assert people.records[1].inputs_digest != people.records[2].inputs_digest
    assert people.records[1].coverage > people.records[2].coverage > 0
    reasons = [(one["photo"], one["reason"].partition(" --")[0]) for one in summary.rejected]
    assert reasons == [("two.png", "two-4: the person is only 6 pixels at the smaller side"),
                       ("wall.png", "DensePose found nobody with a score of at least 0.8")]


def test_without_detectron2_both_ways_out_are_named(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densepose, "installed", lambda: False)
    folder = bring(2)
    (folder / "iuv" / "p0.png").unlink()
    opened = PhotoFolder.open(folder)
    assert list(PoseFinder(opened, SMALL)(opened.photos)) == opened.photos
    (folder / "iuv" / "p1.png").unlink()
    with pytest.raises(InputError, match=r"detectron2 is not installed -- bring pose maps as iuv/.*docs/densepose\.md"):
        PoseFinder(PhotoFolder.open(folder), SMALL)


def test_photos_that_all_have_pose_maps_never_need_it(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densepose, "installed", lambda: True)
    opened = PhotoFolder.open(bring(3))
    assert list(PoseFinder(opened, SMALL)(opened.photos)) == opened.photos  # loading would fail without detectron2
