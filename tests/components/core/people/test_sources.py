from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import DataError
from components.core.people.sources import best_view, merge, merged
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS

_BODY, _GARMENT = ([part - 1 for part in parts] for parts in (BODY_PARTS, GARMENT_PARTS))


def photo(colour: int, columns: slice) -> SimpleNamespace:
    seen = np.zeros((24, 8, 8), bool)
    seen[:, :, columns] = True
    texture = np.full((24, 8, 8, 3), colour, np.uint8) * seen[..., None]
    return SimpleNamespace(photo=None, iuv=None, matte=None, texture=texture, seen=seen)


def head(u: int) -> np.ndarray:
    iuv = np.zeros((8, 8, 3), np.uint8)
    iuv[2:5, 2:5] = (23, u, 128)
    return iuv


def test_face_and_clothes_are_merged_apart() -> None:
    faces = [photo(100, slice(0, 4)), photo(100, slice(4, 8))]
    clothes = [photo(200, slice(0, 6))]
    source = merged(faces, head(250), clothes)
    assert (source.texture[_BODY] == 100).all() and source.seen[_BODY].all()
    assert (source.texture[_GARMENT][:, :, :6] == 200).all() and not source.seen[_GARMENT][:, :, 6:].any()
    assert source.view == 1 and merged(faces, head(5), clothes).view == 0


def test_the_best_view_leads() -> None:
    faces = [photo(100, slice(0, 5)), photo(120, slice(3, 8))]
    shown = merged(faces, head(250), faces[:1])
    assert shown.view == 1 and (shown.texture[_BODY][:, :, 3:] == 120).all()
    assert (merged(faces, head(5), faces[:1]).texture[_BODY][:, :, :5] == 100).all()


def test_other_clothes_say_nothing_about_the_light_of_a_face() -> None:
    first, other = photo(100, slice(0, 5)), photo(100, slice(3, 8))
    other.texture[_GARMENT] //= 2
    assert (merged([first, other], head(5), [first]).texture[_BODY] == 100).all()


def test_without_other_clothes_all_photos_dress_the_person() -> None:
    source = merged([photo(100, slice(0, 4)), photo(100, slice(4, 8))], head(5))
    assert source.seen.all() and (source.texture == 100).all()


def _atlas(draw: np.random.Generator, shown: slice, light: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    texture = (np.random.default_rng(5).integers(40, 160, (24, 8, 8, 3)) * light).astype(np.uint8)
    seen = np.zeros((24, 8, 8), bool)
    seen[:, :, shown] = draw.random((24, 8, 8))[:, :, shown] < 0.9
    return texture * seen[..., None], seen


@given(st.integers(0, 2**32 - 1))
def test_merging_keeps_what_the_first_shows_and_fills_in_the_rest(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, second, third = (_atlas(draw, shown) for shown in (slice(0, 5), slice(3, 8), slice(0, 8)))
    texture, seen = merge([first, second, third])
    assert np.array_equal(seen, first[1] | second[1] | third[1])
    assert np.array_equal(texture[first[1]], first[0][first[1]])
    only_third = third[1] & ~first[1] & ~second[1]
    assert np.abs(texture[only_third].astype(int) - third[0][only_third]).mean() < 3  # the same light: no change
    assert not texture[~seen].any()


def test_merged_photos_are_brought_into_the_first_ones_light() -> None:
    draw = np.random.default_rng(0)
    first, darker = _atlas(draw, slice(0, 6)), _atlas(draw, slice(2, 8), 0.75)
    texture, _ = merge([first, darker])
    new = darker[1] & ~first[1]
    wanted = np.random.default_rng(5).integers(40, 160, (24, 8, 8, 3))[new]
    assert np.abs(texture[new].astype(int) - wanted).mean() < 3 < np.abs(darker[0][new].astype(int) - wanted).mean()


def test_one_atlas_merges_to_itself_and_other_sizes_are_refused() -> None:
    one = _atlas(np.random.default_rng(0), slice(0, 5))
    texture, seen = merge([one])
    assert np.array_equal(texture, one[0]) and np.array_equal(seen, one[1]) and texture is not one[0]
    with pytest.raises(DataError, match="different sizes"):
        merge([one, (np.zeros((24, 4, 4, 3), np.uint8), np.zeros((24, 4, 4), bool))])


def test_the_best_view_shows_the_head_that_is_asked_for() -> None:
    iuv = np.zeros((16, 16, 3), np.uint8)
    iuv[4:8, 4:8] = (23, 200, 128)
    iuv[8:16] = (2, 128, 128)
    face, back, body = (np.zeros((24, 8, 8), bool) for _ in range(3))
    face[22, :, 4:], back[22, :, :4], body[1] = True, True, True
    assert best_view([back, face, body], iuv) == 1
    assert best_view([face, face], iuv) == 0
    iuv[4:8] = 0
    assert best_view([back, face, body], iuv) == 2
