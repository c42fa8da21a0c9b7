import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.measuring.intervals import MIN_CLUSTERS, Metric, Resampler, difference, side_of, wilson

finite = st.floats(-100, 100, allow_nan=False)


@given(st.lists(finite, min_size=1, max_size=30), st.integers(1, 8))
def test_the_value_is_the_mean_and_lies_in_its_interval_s_range(values: list[float], people: int) -> None:
    metric = Resampler([str(k % people) for k in range(len(values))], 100, 0).mean(values)
    assert metric.value == pytest.approx(np.mean(values), abs=1e-9)
    assert metric.n == len(values)
    assert min(values) - 1e-9 <= metric.low <= metric.high <= max(values) + 1e-9


def test_whole_people_are_resampled_where_there_are_enough_of_them() -> None:
    enough = Resampler([str(k) for k in range(MIN_CLUSTERS)] * 4, 50, 0)
    too_few = Resampler([str(k) for k in range(MIN_CLUSTERS - 1)] * 4, 50, 0)
    assert (enough.by, too_few.by) == ("identity", "pair")
    weights = enough.weights().reshape(50, 4, MIN_CLUSTERS)
    assert (weights == weights[:, :1]).all()


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    people = [str(k) for k in range(25) for _ in range(6)]
    covered = 0
    for trial in range(200):
        values = np.repeat(random.normal(0, 1, 25), 6) + random.normal(0, 0.3, 150)
        metric = Resampler(people, 300, trial).mean(values)
        covered += metric.low <= 0 <= metric.high
    # Taking pairs for independent would cover in about 55 % of the trials.
    assert 0.88 <= covered / 200 <= 0.99


def test_values_that_are_not_there_do_not_count() -> None:
    resampler = Resampler(["a", "b", "c", "d", "e"], 100, 0)
    metric = resampler.mean([1, math.nan, 3, math.nan, 5])
    assert (metric.value, metric.n) == (3, 3)
    none = resampler.mean([math.nan] * 5, nobody="no faces")
    assert (none.value, none.reason) == (None, "no faces")
    assert Resampler([], 100, 0).mean([], nobody="no pairs").to_json() == {
        "value": None, "low": None, "high": None, "n": 0, "reason": "no pairs"}


def test_a_ratio_is_of_means_not_a_mean_of_ratios() -> None:
    assert Resampler(["a", "b"], 100, 0).ratio([1, 3], [10, 2]).value == pytest.approx(4 / 12)


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(0)
    values, people = random.normal(size=40), [str(k // 4) for k in range(40)]
    assert Resampler(people, 200, 3).mean(values) == Resampler(people, 200, 3).mean(values)
    assert Resampler(people, 200, 3).mean(values) != Resampler(people, 200, 4).mean(values)


def test_a_difference_is_seen_when_there_is_one_and_only_then() -> None:
    random = np.random.default_rng(0)
    people = [str(k // 4) for k in range(80)]
    high, low = random.normal(2, 1, 80), random.normal(0, 1, 80)
    seen = difference((Resampler(people, 300, 0), high), (Resampler(people, 300, 0), low))
    same = difference((Resampler(people, 300, 0), low), (Resampler(people, 300, 0), random.normal(0, 1, 80)))
    assert seen.value == pytest.approx(high.mean() - low.mean()) and seen.low > 1
    assert same.low < 0 < same.high
    assert difference((Resampler([], 300, 0), []), (Resampler(people, 300, 0), low)).value is None


def test_a_share_of_all_is_not_certain_and_few_people_say_little() -> None:
    people = [str(k) for k in range(20) for _ in range(4)]
    every = Resampler(people, 200, 0).share(np.ones(80))
    none = Resampler(people, 200, 0).share(np.zeros(80))
    assert every.value == 1 and every.high == 1 and every.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)
    assert none.value == 0 and none.low == 0 and none.high == pytest.approx(1 - every.low)
    assert Resampler(people, 200, 0).share(np.full(80, np.nan)).value is None
    whole = Resampler(people, 200, 0).share(np.repeat(np.arange(20) < 15, 4))  # people differ, their photos do not
    single = Resampler(people, 200, 0).share(np.tile(np.arange(4) < 3, 20))  # the other way round
    assert whole.value == single.value == 0.75 and whole.high - whole.low > 1.5 * (single.high - single.low)


@given(st.floats(0, 1), st.floats(1, 500))
def test_wilsons_interval_holds_the_share_and_narrows(share: float, count: float) -> None:
    low, high = wilson(share, count)
    assert 0 <= low <= share + 1e-9 and share - 1e-9 <= high <= 1
    closer = wilson(share, 4 * count)
    assert closer[1] - closer[0] <= high - low


def test_an_interval_of_a_share_covers_the_truth_where_resampling_alone_would_not() -> None:
    random = np.random.default_rng(2)
    people = [str(k) for k in range(20) for _ in range(4)]
    covered = {"share": 0, "mean": 0}
    for trial in range(200):
        found = random.random(80) < 0.98
        for kind in covered:
            metric = getattr(Resampler(people, 200, trial), kind)(found)
            covered[kind] += metric.low <= 0.98 <= metric.high
    assert covered["share"] / 200 >= 0.93 > covered["mean"] / 200


@pytest.mark.parametrize(("metric", "side"), [
    (Metric(0.9, 0.86, 0.94), 1), (Metric(0.9, 0.8, 0.94), 0), (Metric(0.8, 0.7, 0.849), -1), (Metric(0.9), 1),
    (Metric(0.8), -1), (Metric(None), 0), (Metric(0.9, 0.85, 0.94), 1)])
def test_a_side_is_taken_by_the_whole_interval(metric: Metric, side: int) -> None:
    assert side_of(metric, 0.85) == side
