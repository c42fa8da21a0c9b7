"""Crops at any turn, and the way back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.landmarks.geometry import Square, around, crop, letterbox, pointing, spread

squares = st.builds(Square, st.floats(-50, 450), st.floats(-50, 450), st.floats(20, 900), st.floats(-7, 7))
places = st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2), st.floats(-1, 1)), min_size=1, max_size=8)


def dots(height: int, width: int, at: np.ndarray, radius: float) -> np.ndarray:
    """A photo with one soft bright dot, its middle at the continuous place `at`."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    value = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * radius**2))
    return np.repeat(np.rint(value).astype(np.uint8)[..., None], 3, 2)


def middle(picture: np.ndarray) -> np.ndarray:
    """The continuous place of the brightness's middle."""
    y, x = np.mgrid[0:picture.shape[0], 0:picture.shape[1]] + 0.5
    weight = picture.astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@given(squares, places)
def test_points_come_back_from_the_square(square, points):
    points = np.array(points, np.float32)
    back = square.to_square(square.to_photo(points))
    assert np.abs(back - points).max() < 1e-3
    assert np.allclose(square.to_photo(points)[:, 2], points[:, 2] * square.side, atol=1e-3)


@given(squares)
def test_the_square_keeps_lengths_and_handedness(square):
    a, b, c, d = square.corners().astype(float)
    sides = [np.hypot(*(p - q)) for p, q in ((a, b), (b, c), (c, d), (d, a))]
    assert np.allclose(sides, square.side, rtol=1e-3)
    assert (b - a)[0] * (d - a)[1] - (b - a)[1] * (d - a)[0] > 0
    assert np.allclose((a + c) / 2, (square.x, square.y), atol=1e-2)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_letterbox_holds_the_photo_in_its_middle(height, width):
    box = letterbox(height, width)
    corners = box.to_square(np.array([[0, 0], [width, height]], np.float32))
    assert (corners >= -1e-6).all() and (corners <= 1 + 1e-6).all()
    assert np.allclose(corners.mean(0), 0.5)
    assert np.isclose(np.ptp(corners, axis=0).max(), 1)


@pytest.mark.parametrize("size", [64, 160])
@pytest.mark.parametrize("turn", [0.0, 0.4, np.pi / 2, 2.5, -1.2])
@pytest.mark.parametrize("side", [110.0, 300.0, 700.0])
def test_what_is_seen_in_a_crop_is_where_it_is_in_the_photo(turn, side, size):
    """To a tenth of a pixel of the crop, enlarged or reduced: no half pixel is lost on the way."""
    at = np.array([421.3, 333.8])
    square = Square(400.0, 350.0, side, turn)
    photo = dots(720, 800, at, radius=max(4.0, 2 * side / size))
    seen = square.to_photo((middle(crop(photo, square, size)[..., 0]) / size)[None].astype(np.float32))[0]
    assert np.hypot(*(seen - at)) < 0.1 * max(side / size, 1)


def test_a_reduced_crop_averages_what_it_skips():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    small = crop(stripes, Square(256, 256, 512), 64)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_outside_of_the_photo_is_black_or_its_edge():
    grey = np.full((40, 60, 3), 90, np.uint8)
    square = Square(0.0, 20.0, 40.0)
    assert crop(grey, square, 40, black=True)[20, :15].max() == 0
    assert (crop(grey, square, 40) == 90).all()
    assert crop(grey, Square(-500.0, -500.0, 30.0), 16).shape == (16, 16, 3)


@pytest.mark.parametrize("turn", [0.0, 0.7, np.pi, -2.0])
def test_a_mask_is_laid_where_its_square_is(turn):
    square = Square(150.0, 120.0, 140.0, turn)
    disc = np.zeros((256, 256), np.float32)
    cv2.circle(disc, (180, 100), 40, 1.0, -1)
    laid, rows, columns = spread(disc, square, 240, 320, 0.0)
    whole = np.zeros((240, 320), np.float32)
    whole[rows, columns] = laid
    where = square.to_photo(np.array([[180.5 / 256, 100.5 / 256]], np.float32))[0]
    assert np.hypot(*(middle(np.clip(whole, 0, 1)) - where)) < 0.2
    assert np.isclose(whole.sum(), disc.sum() * (140 / 256) ** 2, rtol=0.02)


@given(st.floats(-3, 3), st.floats(5, 200))
def test_a_pointing_square_turns_its_vector_up(angle, length):
    start = np.array([100.0, 80.0], np.float32)
    end = start + length * np.array([np.cos(angle), np.sin(angle)], np.float32)
    tip = pointing(start, end, 90.0).to_square(end[None])[0]
    assert np.allclose(tip, (0.5, 0.0), atol=1e-3)


def test_a_square_around_points_levels_two_of_them():
    points = np.array([[10, 40], [50, 20], [30, 60]], np.float32)
    square = around(points, 0, 1)
    level = square.to_square(points)
    assert np.isclose(level[0, 1], level[1, 1], atol=1e-4) and level[1, 0] > level[0, 0]
    assert (square.x, square.y, square.side) == (30.0, 40.0, 40.0)
    moved = around(points, 0, 1, down=-0.5)
    assert np.allclose(square.to_square(np.array([[moved.x, moved.y]], np.float32)), (0.5, 0.0), atol=1e-3)
