"""The whole gate: the comparison with the champion, and that a verdict needs every part.

Its thresholds: core/judging/gate.py.
"""

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.settings import ChampionSettings, RegisterSettings
from components.register.gate import CHAMPION_METRICS, champion_lines, verdict

SETTINGS = ChampionSettings()


def gain(value: float, spread: float = 0.001, n: int = 100) -> dict[str, Any]:
    return {"gain": {"value": value, "low": value - spread, "high": value + spread, "n": n}}


def comparison(**changes: Any) -> dict[str, Any]:
    """A comparison with version 3 in which the new model is a little better in everything."""
    return {"status": "compared", "champion": {"version": "3"}, "pairs": 100,
            "metrics": {name: gain(0.005) for name in CHAMPION_METRICS},
            "parts": {name: gain(0.002) for name in ("face", "hands", "upper_body", "lower_body")},
            "slices": {"view.front": gain(0.01, n=80), "view.back": gain(0.01, n=20)}, **changes}


def failed(found: dict[str, Any] | None, champion: str | None = "3",
           settings: ChampionSettings = SETTINGS) -> list[str]:
    return [line.name for line in champion_lines(found, champion, settings) if not line.passed]


def test_a_better_model_passes_each_line_of_the_comparison() -> None:
    lines = champion_lines(comparison(), "3", SETTINGS)
    assert all(line.passed for line in lines)
    assert [line.name for line in lines] == [
        "champion.pairs", *(f"champion.{name}" for name in CHAMPION_METRICS),
        *(f"champion.part.{name}" for name in ("face", "hands", "upper_body", "lower_body")),
        "champion.slice.view.front", "champion.slice.view.back"]
    assert "95 % interval 0.004 to 0.006, 100 pairs" in lines[1].reason and "version 3" in lines[0].reason


def test_without_a_champion_or_against_itself_there_is_nothing_to_compare() -> None:
    assert champion_lines(None, None, SETTINGS) == ()
    assert champion_lines(comparison(), None, SETTINGS) == ()
    assert champion_lines(comparison(status="same"), "3", SETTINGS) == ()


@pytest.mark.parametrize("found", [
    None, {}, comparison(champion=None), comparison(champion={"version": "2"}),
    comparison(status="refused", reason="it is for 128 px"), comparison(status="none"),
])
def test_what_was_not_compared_with_this_champion_fails(found: dict[str, Any] | None) -> None:
    assert failed(found) == ["champion.pairs"]


def test_a_refusal_passes_only_where_the_settings_say_so_and_no_other_lack_does() -> None:
    kind = SETTINGS.model_copy(update={"incomparable": "pass"})
    refused = comparison(status="refused", reason="it is for 128 px")
    assert failed(refused, settings=kind) == []
    assert champion_lines(refused, "3", kind)[0].reason == "it is for 128 px"
    other = comparison(champion={"version": "2"})
    assert failed(None, settings=kind) == failed(other, settings=kind) == ["champion.pairs"]


@given(st.sampled_from(CHAMPION_METRICS), st.floats(-0.1, 0.1), st.floats(0, 0.1))
def test_a_headline_fails_exactly_when_its_interval_reaches_below_the_margin(
        name: str, value: float, spread: float) -> None:
    found = comparison()
    found["metrics"][name] = gain(value, spread)
    worse = value - spread < -getattr(SETTINGS, name)
    assert failed(found) == ([f"champion.{name}"] if worse else [])


@given(st.sampled_from(["face", "hands", "upper_body", "lower_body"]), st.floats(-0.1, 0.1))
def test_no_body_part_may_regress_beyond_its_margin(name: str, value: float) -> None:
    found = comparison()
    found["parts"][name] = gain(value)
    assert failed(found) == ([f"champion.part.{name}"] if value < -SETTINGS.parts else [])


def test_no_slice_may_regress_and_one_of_few_pairs_is_not_judged() -> None:
    found = comparison()
    found["slices"]["view.back"] = gain(-0.05, n=SETTINGS.min_slice)
    assert failed(found) == ["champion.slice.view.back"]
    found["slices"]["view.back"] = gain(-0.05, n=SETTINGS.min_slice - 1)
    assert failed(found) == []


@given(st.sampled_from([None, math.nan, math.inf, True, "0.1"]))
def test_what_is_no_figure_fails(value: object) -> None:
    found = comparison()
    found["metrics"]["ssim"]["gain"]["low"] = value
    found["parts"]["face"]["gain"]["value"] = value
    assert failed(found) == ["champion.ssim", "champion.part.face"]


@pytest.mark.parametrize(("part", "names"), [
    ("metrics", [f"champion.{name}" for name in CHAMPION_METRICS]), ("parts", ["champion.parts"]),
    ("slices", ["champion.slices"]), ("pairs", ["champion.pairs"])])
def test_what_is_missing_fails(part: str, names: list[str]) -> None:
    found = comparison()
    del found[part]
    assert failed(found) == names


@pytest.mark.parametrize("found", [None, comparison(status="refused", reason="it is for 128 px"), comparison(pairs=3)])
def test_without_a_comparison_nothing_bad_is_known(found: dict[str, Any] | None) -> None:
    assert [line.outcome for line in champion_lines(found, "3", SETTINGS) if not line.passed] == ["not judged"]
    worse = comparison()
    worse["metrics"]["ssim"] = gain(-0.05)
    assert {line.outcome for line in champion_lines(worse, "3", SETTINGS) if not line.passed} == {"failed"}


def test_too_few_pairs_fail() -> None:
    assert failed(comparison(pairs=SETTINGS.min_pairs - 1)) == ["champion.pairs"]


def test_a_verdict_has_thresholds_controls_and_comparison_and_changes_nothing() -> None:
    settings, evaluation = RegisterSettings(), {"controls": {"copy_cat": {"behaved": False, "reason": "it passed"}}}
    before = copy.deepcopy(evaluation)
    found = verdict(evaluation, comparison(), "3", settings)
    names = [line.name for line in found.lines]
    assert names.index("pairs") < names.index("controls") < names.index("champion.pairs")
    assert not found.passed and "controls" in found.failed_lines and evaluation == before
    assert "champion.pairs" not in [line.name for line in verdict(evaluation, None, None, settings).lines]
