import itertools
import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.report import charts

METRICS = st.floats(-1e4, 1e4, allow_nan=False)


@given(st.lists(st.tuples(METRICS, st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=5))
def test_dots_lie_on_the_axis_in_the_order_of_their_values(spread) -> None:
    rows = [{"model": {"value": abs(value), "low": max(abs(value) - below, 0), "high": abs(value) + above}}
            for value, below, above in spread]
    placed, ticks = charts.dots(rows)
    every = [dot for row in placed for dot in row]
    assert all(-0.01 <= dot.low <= dot.at + 0.01 <= dot.high + 0.02 <= 100.03 for dot in every)
    order = sorted(every, key=lambda dot: dot.value)
    assert all(first.at <= second.at for first, second in itertools.pairwise(order))
    assert ticks[0] == (0, "0") and 2 <= len(ticks) <= 7


@given(st.lists(st.one_of(st.none(), METRICS, st.just(math.nan), st.just(math.inf)), min_size=2, max_size=30))
def test_lines_are_well_formed_and_stay_inside_whatever_the_values(values) -> None:
    drawn = charts.lines("a < b", [charts.Series("one & two", list(range(len(values))), values)])
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        assert drawn == ""
        return
    picture = ElementTree.fromstring(str(drawn))
    assert picture.get("aria-label").startswith("a < b: one & two from")
    width, height = (float(number) for number in picture.get("viewBox").split()[2:])
    for line in picture.iter("polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width and 0 <= y <= height
        assert len(line.get("points").split()) == len(finite)


def test_a_figure_that_is_missing_has_no_dot() -> None:
    (row,), _ = charts.dots([{"model": {"value": None, "reason": "none"}, "warp": {"value": 1.0, "low": None}}])
    assert row[0].at is None and row[1].at is not None and row[1].low is None
