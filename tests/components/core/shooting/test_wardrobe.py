"""Clothes drawn by chance: from the wardrobe that ships, and from anybody's folder."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import InputError
from components.core.pictures.images import read_photo, write_png
from components.core.settings import PreprocessSettings
from components.core.shooting.subjects import Subject, cut_out
from components.core.shooting.wardrobe import drawn, random_clothes, wardrobe


def test_every_outfit_that_ships_can_be_worn() -> None:
    clothes = wardrobe()
    assert len(clothes) >= 16
    assert sum(path.stat().st_size for path in clothes[0].photo.parents[1].rglob("*.*")) < 1_000_000
    for one in clothes:
        worn = cut_out(one, PreprocessSettings())
        assert one.iuv and one.matte and worn.seen.mean() > 0.1
        # The matte is the figure's: it lies around the pose map, by little.
        body = worn.iuv[..., 0] > 0
        assert worn.matte[body].mean() > 220 and (worn.matte > 127).sum() < 1.25 * body.sum()


@given(st.integers(-(2**70), 2**70), st.integers(1, 9))
def test_none_comes_again_before_all_came_and_the_seed_decides(seed: int, count: int) -> None:
    clothes = [Subject(Path(str(number))) for number in range(count)]
    order = list(islice(drawn(clothes, seed), 2 * count))
    assert set(order[:count]) == set(order[count:]) == set(clothes)
    assert order == list(islice(drawn(clothes, seed), 2 * count))
    assert random_clothes(seed) == random_clothes(seed)


def test_seeds_differ_and_nothing_is_drawn_from_nothing() -> None:
    assert len({random_clothes(seed).photo for seed in range(40)}) > 10
    assert not list(drawn([], 0))


def test_a_folder_with_pose_maps_and_one_without_photos(tmp_path: Path) -> None:
    (tmp_path / "iuv").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("a.png", "b.png", "iuv/a.png"):
        write_png(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    assert wardrobe(tmp_path) == [Subject(tmp_path / "a.png", tmp_path / "iuv" / "a.png"), Subject(tmp_path / "b.png")]
    with pytest.raises(InputError, match="no photos"):
        wardrobe(tmp_path / "empty")


def test_the_wardrobe_is_what_its_command_draws() -> None:
    from components.core.pictures.iuv import read_iuv
    from pipelines.pretraining.wardrobe import people, worn

    first, photo = wardrobe()[0], worn(next(people(1)))
    assert first.iuv and np.array_equal(read_iuv(first.iuv).planes, photo.iuv)
    assert np.abs(read_photo(first.photo).astype(int) - photo.rgb).mean() < 3
