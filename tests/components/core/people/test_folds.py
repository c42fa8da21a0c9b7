"""Where one part of the body lies before another: found between limbs and in jumps, not where a limb grows."""

import numpy as np

from components.core.people.folds import folds

_SIDE = 512


def _two(one: tuple[int, int, int], other: tuple[int, int, int]) -> np.ndarray:
    iuv = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    iuv[100:400, 100:250], iuv[100:400, 250:400] = one, other
    return iuv


def test_an_arm_before_the_body_is_an_edge_on_both_sides() -> None:
    found = folds(_two((2, 128, 128), (19, 128, 128)))
    assert found[100:400, 249:251].all() and found.sum() == 600  # and no edge to the background


def test_where_a_limb_grows_there_is_no_edge() -> None:
    for torso, limb in (((2, 0, 200), (15, 20, 128)), ((1, 0, 200), (17, 20, 128)), ((2, 0, 128), (23, 128, 10)),
                        ((2, 250, 60), (9, 10, 128))):
        assert not folds(_two(torso, limb)).any()
    for torso, limb in (((2, 0, 200), (15, 200, 128)), ((2, 0, 128), (23, 250, 200)), ((9, 10, 9), (20, 200, 128)),
                        ((2, 128, 128), (3, 128, 128)), ((9, 128, 9), (10, 128, 9))):
        assert folds(_two(torso, limb)).any()


def test_neighbours_on_the_body_are_none_and_a_chart_s_jump_is_one() -> None:
    assert not folds(_two((23, 250, 128), (24, 5, 128))).any()
    assert not folds(_two((15, 128, 250), (17, 128, 5))).any()
    assert folds(_two((24, 20, 70), (24, 20, 130))).any()
    smooth = np.zeros((64, 64, 3), np.uint8)
    smooth[8:56, 8:56, 0] = 24
    smooth[8:56, 8:56, 2] = np.arange(48)[:, None] * 5  # a small head: its chart is steep everywhere
    assert not folds(smooth).any()
