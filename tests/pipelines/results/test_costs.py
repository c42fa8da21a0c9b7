from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.settings import CostSettings, Settings
from pipelines.results.costs import Use, money, price_of, total, use_of


@given(st.dictionaries(st.sampled_from(["cpu", "NVIDIA H100 80GB HBM3", "NVIDIA L4"]), st.floats(0, 1e6), min_size=1))
def test_cost_is_hours_times_price_and_only_where_all_prices_are_known(used) -> None:
    uses = [Use(kind, seconds / 2) for kind, seconds in used.items() for _ in range(2)]
    prices = {"cpu": 0.25, "H100": 4.0, "l4": 0.5}
    cost = total(uses, CostSettings(prices=prices, currency="EUR"))
    each = {"cpu": 0.25, "NVIDIA H100 80GB HBM3": 4.0, "NVIDIA L4": 0.5}
    assert cost.price == pytest.approx(sum(seconds / 3600 * each[kind] for kind, seconds in used.items()))
    assert cost.device_seconds == pytest.approx(sum(used.values()), abs=0.2)
    half_known = total([*uses, Use("TPU", 1.0)], CostSettings(prices=prices))
    assert half_known.price is None


def test_the_longest_name_that_fits_prices_a_device() -> None:
    prices = {"A100": 2.0, "a100-sxm4-80gb": 3.0, "cpu": 0.1}
    assert price_of("NVIDIA A100-SXM4-80GB", prices) == 3.0
    assert price_of("NVIDIA A100-PCIE-40GB", prices) == 2.0
    assert price_of("NVIDIA L4", prices) is None


def test_nothing_used_or_nothing_priced_is_no_price_rather_than_zero() -> None:
    assert total([], CostSettings(prices={"cpu": 1.0})).price is None
    assert total([Use("cpu", 3600)], CostSettings()).price is None
    assert str(total([Use("cpu", 7200)], CostSettings(prices={"cpu": 0.5}))) == "1.00 USD (2.00 device-hours cpu)"


def _step(**facts):
    tags = {"photoshoot.device.kind": "cpu", "photoshoot.device.count": "2"} if facts.pop("known", True) else {}
    return SimpleNamespace(data=SimpleNamespace(tags=tags, metrics=facts.pop("metrics", {})),
                           info=SimpleNamespace(start_time=10_000, end_time=facts.pop("end_time", None)))


def test_a_step_that_could_not_say_is_counted_from_start_to_end() -> None:
    assert use_of(_step(metrics={"cost/device_seconds": 5.0}, end_time=99_000), 0) == Use("cpu", 5.0)
    assert use_of(_step(), 40_000) == Use("cpu", 60.0)
    assert use_of(_step(end_time=20_000), 40_000) == Use("cpu", 20.0)
    assert use_of(_step(known=False), 40_000) is None


def test_prices_are_settings_like_all_others() -> None:
    settings = Settings().with_changes(["costs.prices={cpu: 0.2, H100: 3.9}", "costs.currency=EUR"])
    assert settings.costs.prices == {"cpu": 0.2, "H100": 3.9}
    assert Settings.from_tree(settings.to_tree()) == settings


@pytest.mark.parametrize(("amount", "text"), [(12.345, "12.35 USD"), (0.00123, "0.0012 USD"), (0, "0.00 USD")])
def test_small_amounts_are_not_nothing(amount, text) -> None:
    assert money(amount, "USD") == text
