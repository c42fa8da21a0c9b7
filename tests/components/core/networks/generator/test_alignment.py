"""Where what is beside the body in one pose comes from in another."""

import pytest
import torch

from components.core.networks.generator.alignment import carried, limbwise, torso_frame, wide_legs
from components.core.networks.layers import dilated

SIDE = 64


def figure(*, right: int, left: int, down: int = 0) -> torch.Tensor:
    """A torso and two legs of two pieces each, whose middles are in columns `right` and `left`: [1, 3, S, S]."""
    poses = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    pieces = ((2, 24, 40, 8, 28, False),
              (9, right - 3, right + 3, 28, 42, True), (10, left - 3, left + 3, 28, 42, True),
              (13, right - 2, right + 2, 42, 56, False), (14, left - 2, left + 2, 42, 56, False))
    for part, x0, x1, y0, y1, upwards in pieces:
        along = torch.linspace(0, 255, y1 - y0)[:, None].expand(-1, x1 - x0)
        charts = torch.stack([torch.full_like(along, part), 255 - along if upwards else along,
                              torch.linspace(0, 255, x1 - x0)[None].expand_as(along)])
        poses[:, y0 + down : y1 + down, x0:x1] = charts.round().byte()
    return poses[None]


def columns(places: torch.Tensor) -> torch.Tensor:
    """The column of each place in pixels [S, S]."""
    return (places[0].real + 1) * SIDE / 2 - 0.5


def test_in_the_same_pose_everything_stays_where_it_is() -> None:
    same = figure(right=27, left=37)
    middles = torch.arange(SIDE) + 0.0
    assert (columns(limbwise(same, same, SIDE)) - middles).abs().max() < 0.2


def test_what_is_beside_a_leg_goes_along_with_it() -> None:
    """Wide trousers reach 6 px beyond the leg, which stands 12 px farther out in the source than in the target."""
    source, target = figure(right=15, left=37), figure(right=27, left=37)
    found = columns(limbwise(source, target, SIDE))
    beside = 27 - 2 - 4, 50  # column and row of a pixel beside the right lower leg
    assert abs(found[beside[1], beside[0]] - (beside[0] - 12)) < 2.5
    # ... while the torso, and what is far from the legs, has not moved.
    assert (found[16] - torch.arange(SIDE)).abs().max() < 1.5
    torso = columns(carried(torso_frame(source), torso_frame(target), SIDE)[1])
    assert abs(torso[beside[1], beside[0]] - beside[0]) < 0.5  # which is where it was taken from without the leg


def test_legs_that_one_of_them_does_not_show_follow_the_torso() -> None:
    source, target = figure(right=27, left=37, down=4), figure(right=27, left=37)
    source[:, :, 32:] = 0
    torso = carried(torso_frame(source), torso_frame(target), SIDE)[1]
    assert torch.allclose(limbwise(source, target, SIDE), torso, atol=1e-4)


@pytest.mark.parametrize("times", [1, 8])
def test_clothes_that_stand_off_from_the_legs_are_told_by_the_matte(times: int) -> None:
    poses = figure(right=27, left=37)
    body = (poses[:, :1] > 0).float()
    skirt = torch.zeros_like(body)
    skirt[:, :, 28:48, 20:44] = 1
    bag = torch.zeros_like(body)
    bag[:, :, 10:30, 50:60] = 1
    no_legs = torch.where(torch.arange(SIDE)[:, None] < 28, poses, 0)
    for photo, matte, wide in ((poses, body, 0), (poses, dilated(body, 2), 1), (poses, (body + skirt).clamp(max=1), 1),
                               (poses, body + bag, 0), (poses, torch.zeros_like(body), 0), (no_legs, body, 0)):
        large = [one.repeat_interleave(times, 2).repeat_interleave(times, 3) for one in (photo, matte)]
        assert wide_legs(*large).shape == (1, 1, 1, 1) and wide_legs(*large).item() == wide
