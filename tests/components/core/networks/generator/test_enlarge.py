"""Decisions of a network at a larger size than its own."""

import numpy as np
import pytest
import torch

from components.core.networks.generator.enlarge import enlarged, plainly_enlarged
from components.core.pictures.texture import smooth_charts


def halves(side: int) -> torch.Tensor:
    """A pose map [1, 3, side, side]: torso at the left, head at the right, nothing in the upper quarter."""
    poses = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    poses[:, 0, side // 4 :, : side // 2], poses[:, 0, side // 4 :, side // 2 :] = 2, 23
    return poses


@pytest.mark.parametrize("side", [16, 40, 128])
def test_parts_take_nothing_from_each_other(side: int) -> None:
    coarse, fine = halves(16), halves(side)
    planes = torch.stack([(coarse[:, 0] == 2) * 1.0, (coarse[:, 0] == 0) * 3.0, torch.full((1, 16, 16), 7.0)], 1)
    large = enlarged(planes, coarse, fine)
    assert large.shape == (1, 3, side, side)
    assert torch.allclose(large[:, 0], (fine[:, 0] == 2) * 1.0, atol=1e-4)
    assert torch.allclose(large[:, 1], (fine[:, 0] == 0) * 3.0, atol=1e-3)
    assert torch.allclose(large[:, 2], torch.tensor(7.0), atol=1e-3)


def test_a_part_that_is_new_takes_the_neighbourhood() -> None:
    coarse, fine = halves(16), halves(64)
    fine[:, 0, 40:44, 10:14] = 5  # a foot that was too small to be seen
    large = enlarged(torch.full((1, 1, 16, 16), 2.0), coarse, fine)
    assert torch.isfinite(large).all() and torch.allclose(large, torch.tensor(2.0), atol=1e-3)


def test_what_is_smooth_stays_where_it_was() -> None:
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    large = plainly_enlarged(ramp, 256)
    places = (torch.arange(256) + 0.5) / 8 - 0.5
    wanted = -1 + 2 * places / 31
    assert (large[0, 0, 100] - wanted)[16:-16].abs().max() < 1e-3


def test_charts_lose_their_steps_and_nothing_else() -> None:
    side = 1024
    exact = np.linspace(20, 120, side)
    iuv = np.zeros((side, side, 3), np.uint8)
    iuv[:, 200:500, 0], iuv[:, 500:800, 0] = 23, 24
    iuv[:, 200:800, 1] = np.rint(exact[200:800])
    iuv[:, 500:800, 1] += 100  # another chart begins
    iuv[:, 200:800, 2] = 255 - np.rint(exact)[:, None]
    smooth = smooth_charts(iuv)
    assert np.array_equal(smooth[..., 0], iuv[..., 0]) and not smooth[:, :200].any()
    inside = smooth[20:-20]
    assert np.abs(inside[:, 220:480, 1] - exact[220:480]).max() < 0.3
    assert np.abs(inside[:, 498, 1] - exact[498]).max() < 0.6
    assert np.abs(inside[:, 502, 1] - exact[502] - 100).max() < 0.6
    assert np.abs(inside[:, 300, 2] - 255 + exact[20:-20]).max() < 0.3
    small = iuv[::16, ::16]
    assert np.array_equal(smooth_charts(small), small)
