"""Several people in one pose map: each a person; islands of one stay theirs; who cannot be told apart is left out."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import InputError
from components.core.people.dataset import PeopleDataset
from components.core.pictures.iuv import person_box, read_iuv, write_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess import preprocess
from components.preprocess.checking.several import people_in
from components.synthesize import photos_of

Shot = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    """Photos of four people from the front, with maps as noisy as a detector's."""
    drawn = SynthesizeSettings(people=4, photos_per_person=1, height=256, back_views=0, pose_noise=0.5, seed=3)
    return [(photo.rgb, photo.iuv) for person in range(4) for _, _, photo in photos_of(drawn, person)]


def _bodies(maps: list[np.ndarray]) -> list[np.ndarray]:
    return [one[..., 0] > 0 for one in maps]


def _cut(shot: Shot) -> Shot:
    box = person_box(shot[1])
    assert box is not None
    x0, y0, x1, y1 = box
    return shot[0][y0:y1, x0:x1], shot[1][y0:y1, x0:x1]


def _beside(first: Shot, second: Shot, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo, map of the first and map of the second, `gap` pixels apart; the second is in front where they overlap."""
    (photo, one), (other_photo, other) = _cut(first), _cut(second)
    height, start = max(len(one), len(other)), one.shape[1] + gap
    size = (height + 20, start + other.shape[1] + 20, 3)
    picture, left, right = np.full(size, 120, np.uint8), np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for shown, iuv, target, x in ((photo, one, left, 10), (other_photo, other, right, 10 + start)):
        where = slice(10, 10 + len(iuv)), slice(x, x + iuv.shape[1])
        body = iuv[..., :1] > 0
        picture[where] = np.where(body, shown, picture[where])
        target[where] = iuv
    left[right[..., 0] > 0] = 0
    return picture, left, right


def test_one_person_is_one_whatever_the_detector_lost(shots: list[Shot]) -> None:
    for _, iuv in shots:
        assert people_in(iuv)[0] is iuv


def test_islands_stay_with_their_person(shots: list[Shot]) -> None:
    for _, iuv in shots:
        x0, y0, x1, y1 = person_box(iuv) or (0, 0, 0, 0)
        cut = iuv.copy()
        cut[(y0 + y1) // 2 : (y0 + y1) // 2 + 12] = 0  # a belt, a table
        cut[:, (x0 + x1) // 2 : (x0 + x1) // 2 + 4] = 0  # a pole
        (found,) = people_in(cut)
        assert found is cut


@pytest.mark.parametrize("gap", [30, 0])
def test_people_beside_each_other_are_told_apart(shots: list[Shot], gap: int) -> None:
    for number in range(4):
        _, left, right = _beside(shots[number], shots[(number + 1) % 4], gap)
        found = people_in(np.maximum(left, right))
        assert len(found) == 2
        assert np.array_equal(sum(found), np.maximum(left, right))  # every pixel is somebody's, and nobody's twice
        for truth in _bodies([left, right]):
            assert max((truth & body).sum() / (truth | body).sum() for body in _bodies(found)) > 0.97


def test_an_island_goes_to_the_nearest_of_two(shots: list[Shot]) -> None:
    _, left, right = _beside(shots[0], shots[1], 40)
    rows = np.flatnonzero(left[..., 0].any(axis=1))
    left[rows[-30] - 6 : rows[-30]] = 0  # what is below is nobody's but theirs: there is no head and no torso in it
    left[rows[-30] :][np.isin(left[rows[-30] :, :, 0], (1, 2, 23, 24))] = 0
    found = people_in(np.maximum(left, right))
    assert len(found) == 2
    assert max(np.array_equal(body, left[..., 0] > 0) for body in _bodies(found))


def test_people_in_front_of_each_other_are_left_out_or_told_apart(shots: list[Shot]) -> None:
    """Never two in one: whoever is taken has one head and one torso."""
    outcomes = []
    for number in range(4):
        _, left, right = _beside(shots[number], shots[(number + 1) % 4], -60)
        try:
            found = people_in(np.maximum(np.where(right > 0, 0, left), right))
        except InputError as error:
            assert "overlap" in error.problem
            outcomes.append(0)
            continue
        outcomes.append(len(found))
    assert 1 not in outcomes


@pytest.fixture
def group(shots: list[Shot], tmp_path: Path) -> Path:
    """A folder with a photo of two people, and one whose id a second person of it would have; labelled."""
    folder = tmp_path / "photos"
    (folder / "iuv").mkdir(parents=True)
    picture, left, right = _beside(shots[0], shots[1], 20)
    for name, photo, iuv in (("both", picture, np.maximum(left, right)), ("both-2", *shots[2])):
        Image.fromarray(photo).save(folder / f"{name}.png")
        write_iuv(folder / "iuv" / f"{name}.png", iuv)
    (folder / "labels.csv").write_text("photo,identity\nboth.png,ann\nboth-2.png,bob\n")
    return folder


@pytest.mark.parametrize(("whom", "ids"), [("largest", ["both", "both-2"]), ("centre", ["both", "both-2"]),
                                           ("all", ["both", "both-2", "both-3"])])
def test_preprocess_takes_whom_the_setting_says(group: Path, tmp_path: Path, whom: str, ids: list[str]) -> None:
    settings = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "matte": "silhouette",
                                                  "densepose": {"person": whom}})
    summary = preprocess(group, tmp_path / "people", settings)
    people = PeopleDataset.open(tmp_path / "people")
    assert sorted(people.ids) == ids
    if whom == "all":
        assert not summary.rejected and people.labels == {"both-2": "bob"}  # whose label it would be is not known
        boxes = {record.id: record.box for record in people.records}
        assert boxes["both"] != boxes["both-3"]
    else:
        assert [one["photo"] for one in summary.rejected] == ["both.png"]
        assert "1 more in its pose map left out" in summary.rejected[0]["reason"]


def test_real_maps_side_by_side(shared_data: Path) -> None:
    real = [(iuv, iuv) for path in sorted((shared_data / "people" / "iuv").iterdir())
            for iuv in [read_iuv(path).planes] if max(iuv.shape) <= 1024]
    for first, second in itertools.pairwise(real):
        assert people_in(first[0])[0] is first[0]
        _, left, right = _beside(first, second, 40)
        found = people_in(np.maximum(left, right))
        assert len(found) == 2
        for truth in _bodies([left, right]):
            assert max((truth & body).sum() / (truth | body).sum() for body in _bodies(found)) > 0.97
