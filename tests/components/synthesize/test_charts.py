"""The pose map's layout: parts on the right sides, U and V in the directions of real DensePose maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.body.charts import body_chart, head_chart
from components.core.body.template import template

# Growth of U and V as (right, down) in the image, from the front with the arms hanging: person's right = image left.
FRONT = {
    2: ("down", "left"),
    9: ("up", "right"), 10: ("up", "left"),
    13: ("down", "left"), 14: ("down", "right"),
    15: ("down", "right"), 16: ("down", "left"),
    19: ("up", "left"), 20: ("up", "right"),
    21: ("down", "left"), 22: ("down", "right"),
    23: ("right", "up"), 24: ("right", "up"),
}  # fmt: skip
BACK = {
    1: ("down", "right"),
    7: ("down", "right"), 8: ("down", "left"),
    11: ("up", "right"), 12: ("up", "left"),
    17: ("down", "left"), 18: ("down", "right"),
}  # fmt: skip
AXES = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}


def slope(iuv: np.ndarray[Any, Any], part: int, channel: int) -> tuple[float, float]:
    """Least-squares change of U (1) or V (2) over the part's width and height."""
    y, x = np.nonzero(iuv[..., 0] == part)
    assert len(y) >= 40, f"part {part} is hardly seen"
    places = np.stack([x - x.mean(), y - y.mean()], 1)
    value = iuv[y, x, channel] / 255
    fit = np.linalg.lstsq(places, value - value.mean(), rcond=None)[0]
    return float(fit[0]), float(fit[1])


@pytest.mark.parametrize(("view", "part"), [("front", p) for p in FRONT] + [("back", p) for p in BACK])
def test_u_and_v_grow_as_in_real_maps(view: str, part: int, request: pytest.FixtureRequest) -> None:
    iuv = request.getfixturevalue(view).iuv
    for channel, direction in enumerate((FRONT if view == "front" else BACK)[part], start=1):
        gradient = np.array(slope(iuv, part, channel))
        assert gradient @ np.array(AXES[direction]) > 0, f"channel {channel} of part {part} should grow {direction}"


def test_front_view_shows_front_parts_and_back_view_back_parts(front: Any, back: Any) -> None:
    for photo, shown, hidden in (
        (front, (2, 9, 10, 13, 14), (1, 7, 8, 11, 12)),
        (back, (1, 7, 8, 11, 12), (2, 9, 10, 13, 14)),
    ):
        area = np.bincount(photo.iuv[..., 0].ravel(), minlength=25)
        assert min(area[list(shown)]) > 100
        assert area[list(hidden)].sum() < 0.05 * area[list(shown)].sum()
        assert min(area[[23, 24]]) > 50, "the head's charts cover front and back"


def test_left_and_right_change_sides_between_front_and_back(front: Any, back: Any) -> None:
    middle = front.iuv.shape[1] / 2
    for right, left in ((3, 4), (6, 5), (22, 21), (23, 24)):
        for photo, right_is_left in ((front, True), (back, False)):
            columns = [np.nonzero(photo.iuv[..., 0] == part)[1].mean() for part in (right, left)]
            assert (columns[0] < middle) == right_is_left
            assert (columns[1] > middle) == right_is_left


def test_face_lies_where_it_lies_in_real_head_charts() -> None:
    # (azimuth, elevation) in degrees of what face.py paints, and the chart position measured on real photos.
    for a, e, u, v in (
        (-20, -51, None, 0.25),
        (-16.5, -36, 0.87, 0.39),
        (-5, -20, 0.95, 0.51),
        (-21, 0, 0.78, 0.63),
        (-26, 14, 0.74, 0.71),
    ):
        part, got_u, got_v = head_chart(np.deg2rad([a]), np.deg2rad([e]))
        assert part[0] == 23
        assert got_v[0] == pytest.approx(v, abs=0.05)
        if u is not None:
            assert got_u[0] == pytest.approx(u, abs=0.05)
        mirrored = head_chart(np.deg2rad([-a]), np.deg2rad([e]))
        assert mirrored[0][0] == 24
        assert mirrored[1][0] == pytest.approx(1 - got_u[0], abs=1e-6)


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_every_direction_has_a_place_in_the_head_charts(azimuth: float, elevation: float) -> None:
    part, u, v = head_chart(np.deg2rad([azimuth]), np.deg2rad([elevation]))
    assert part[0] in (23, 24)
    assert 0 <= u[0] <= 1 and 0 <= v[0] <= 1


def test_every_vertex_has_a_place_and_all_parts_are_used() -> None:
    part, u, v = body_chart(template().mesh.points)
    assert set(np.unique(part)) == set(range(1, 25))
    assert u.min() >= 0 and u.max() <= 1 and v.min() >= 0 and v.max() <= 1


def test_left_and_right_charts_mirror_each_other() -> None:
    points = template().mesh.points
    points = points[np.abs(points[:, 0]) > 1e-3]
    here, there = body_chart(points), body_chart(points * np.array([-1, 1, 1], np.float32))
    twin = np.array([0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23])
    assert (twin[here[0]] == there[0]).all()
