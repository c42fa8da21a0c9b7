"""One surface seen twice becomes one, in one light and without a seam."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.pictures.blending import blended, symmetric_heads
from components.core.pictures.iuv import HEAD_PARTS
from components.core.pictures.texture import mirror

_SIDE = 64
_HEAD = [part - 1 for part in HEAD_PARTS]


def _surface(seed: int, height: int = _SIDE, width: int = _SIDE) -> np.ndarray:
    """Colours with detail [1, H, W, 3]."""
    draw = np.random.default_rng(seed)
    return draw.integers(90, 130, (1, height, width, 3)).astype(np.uint8)


def _upto(share: float, height: int = _SIDE, width: int = _SIDE) -> np.ndarray:
    return np.broadcast_to(np.arange(width) < share * width, (1, height, width)).copy()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.floats(0.7, 1.5), st.floats(-0.3, 0.3))
def test_light_that_falls_from_one_side_leaves_no_patch(seed: int, there: float, slope: float) -> None:
    truth = _surface(seed)
    light = np.linspace(there - slope / 2, there + slope / 2, _SIDE)[None, None, :, None]
    other = np.clip(truth * light, 0, 255).astype(np.uint8)
    own, shown = truth.copy(), _upto(0.5)
    own[~shown] = 0
    colours, known = blended(own, shown, other, np.ones_like(shown))
    assert known.all()
    # Beside what was seen the light is known; farther away it is the nearest place's.
    beside = slice(_SIDE // 2, _SIDE // 2 + 6)
    patch = np.abs(other[:, :, beside].astype(float) - truth[:, :, beside]).mean()
    left_over = np.abs(colours[:, :, beside].astype(float) - truth[:, :, beside]).mean()
    assert left_over < max(0.4 * patch, 12)


def test_the_same_light_changes_nothing_and_the_inside_stays_as_it_was_seen() -> None:
    truth, shown = _surface(0), _upto(0.6)
    own = truth * shown[..., None]
    colours, _ = blended(own, shown, truth, np.ones_like(shown))
    assert np.abs(colours.astype(int) - truth).max() <= 12
    inside = _upto(0.5)
    darker, _ = blended(own, shown, truth // 2, np.ones_like(shown))
    assert np.array_equal(darker[inside], truth[inside])


def test_what_was_seen_edge_on_is_taken_from_the_view_that_shows_it() -> None:
    truth, shown = _surface(1), _upto(0.5)
    own = truth * shown[..., None]
    rim = shown & ~_upto(0.5 - 1.5 / _SIDE)
    own[rim] = 255  # something of what stands behind
    colours, _ = blended(own, shown, truth, np.ones_like(shown))
    assert np.abs(colours[rim].astype(int) - truth[rim]).mean() < np.abs(own[rim].astype(int) - truth[rim]).mean() / 2
    alone, known = blended(own, shown, truth, np.zeros_like(shown))
    assert np.array_equal(alone, own) and np.array_equal(known, shown)
    kept, _ = blended(own, shown, truth, np.ones_like(shown), rims=False)
    assert np.array_equal(kept[shown], own[shown])


def test_far_from_anything_shared_the_light_given_counts() -> None:
    truth = _surface(2)
    own, shown = truth * _upto(0.4)[..., None], _upto(0.4)
    other_shown = ~_upto(0.6)
    colours, known = blended(own, shown, truth, other_shown, np.log(np.float32([1.3, 1.0, 0.8])))
    gain = (colours[other_shown].mean(0) + 12) / (truth[other_shown].mean(0) + 12)
    assert gain == pytest.approx([1.3, 1.0, 0.8], abs=0.03)
    assert np.array_equal(known, shown | other_shown) and not colours[~known].any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99))
def test_a_head_s_halves_complete_each_other_and_nothing_else_changes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    texture = draw.integers(60, 200, (24, 32, 32, 3)).astype(np.uint8)
    seen = np.repeat((np.arange(32) < draw.integers(4, 32, 24)[:, None])[:, None], 32, 1)
    texture[~seen] = 0
    colours, known = symmetric_heads(texture, seen)
    body = [tile for tile in range(24) if tile not in _HEAD]
    assert np.array_equal(colours[body], texture[body]) and np.array_equal(known[body], seen[body])
    assert np.array_equal(known[_HEAD], (seen | mirror(seen))[_HEAD])
    assert not colours[~known].any()
