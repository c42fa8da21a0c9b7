"""``photoshoot experiment maps``: made pose maps against brought ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from components.core.errors import InputError
from components.core.pictures.images import write_png
from components.core.pictures.iuv import write_iuv
from pipelines.experiments.maps import agreement, compared, markdown, medians, plain, write


def person(part: int = 2, left: int = 10) -> np.ndarray:
    iuv = np.zeros((60, 40, 3), np.uint8)
    iuv[20:50, left : left + 20] = part, 100, 120
    iuv[10:20, left : left + 20] = 23, 200, 150
    return iuv


def test_a_map_agrees_with_itself():
    found = agreement(person(), person())
    assert (found.foreground, found.parts, found.u, found.v, found.heads) == (1, 1, 0, 0, 1)
    assert found.same_side


def test_what_differs_is_told_apart():
    moved = person(left=15)
    moved[..., 1] = np.where(moved[..., 0] == 2, 151, moved[..., 1])
    found = agreement(moved, person())
    assert found.foreground == pytest.approx(15 / 25) == found.heads
    assert found.parts == 1 and found.head_u == 0
    assert found.u == pytest.approx(51 / 255 * 0.75)
    other = agreement(person(part=1), person())
    assert not other.same_side and other.parts == pytest.approx(0.25)
    assert np.isnan(agreement(np.zeros_like(moved), person()).u)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        write_png(tmp_path / "photos" / f"{name}.png", np.full((60, 40, 3), 90, np.uint8))
    (tmp_path / "iuv").mkdir()
    write_iuv(tmp_path / "iuv" / "a.png", person())
    write_iuv(tmp_path / "iuv" / "b.png", person(left=12))
    return tmp_path


def test_photos_with_maps_are_compared_with_the_person_whom_the_map_shows(folder):
    elsewhere = cv2.flip(person(left=0), 1)
    rows = list(compared(folder, lambda photo: [elsewhere, person()]))
    assert [row.photo for row in rows] == ["a.png", "b.png"]
    assert rows[0].agreement.foreground == 1
    assert medians(rows)["foreground"] == pytest.approx((1 + 18 / 22) / 2)


def test_nobody_found_is_a_row_of_its_own(folder, tmp_path):
    calls = iter([[person()], []])
    rows = list(compared(folder, lambda photo: next(calls)))
    assert "found in 1 of 2 photos" in markdown(rows, "photoshoot experiment maps --photos x")
    page = write(rows, "photoshoot experiment maps --photos x", tmp_path / "maps.md").read_text()
    assert "| b.png | nobody found |" in page and "| a.png | 1.000 | 1.000 | 0.000 |" in page
    assert plain(rows)[1] == {"photo": "b.png"} and plain(rows)[0]["foreground"] == 1


def test_a_folder_without_maps_is_refused(tmp_path):
    write_png(tmp_path / "a.png", np.full((60, 40, 3), 90, np.uint8))
    with pytest.raises(InputError, match="no photo here has a pose map"):
        list(compared(tmp_path, lambda photo: []))
