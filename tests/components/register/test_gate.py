import copy
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.settings import GateSettings
from components.register.gate import gate

SETTINGS = GateSettings()


def figure(value: float | None, **more: object) -> dict:
    return {"value": value, "low": None, "high": None, "n": 100, **more}


def good() -> dict:
    return {"counts": {"pairs": 200},
            "metrics": {"ssim": figure(0.8, low=0.75, high=0.85), "perceptual": figure(0.1),
                        "over_warp": figure(0.6), "matte_iou": figure(0.93),
                        "identity_recovered": figure(0.9), "frechet_ratio": figure(1.5)}}


def test_a_good_model_passes_and_each_line_says_what_it_stands_on() -> None:
    verdict = gate(good(), SETTINGS)
    assert verdict.passed and verdict.failed_lines == ()
    assert [line.name for line in verdict.lines] == ["pairs", "ssim", "perceptual", "over_warp",
                                                     "matte_iou", "identity_recovered", "frechet_ratio"]
    assert "0.75 to 0.85" in verdict.lines[1].reason and "passed all 7" in verdict.summary


@pytest.mark.parametrize(("name", "bad"), [("ssim", 0.2), ("perceptual", 0.9), ("over_warp", 1.2),
                                           ("matte_iou", 0.3), ("identity_recovered", 0.1), ("frechet_ratio", 50.0)])
def test_one_bad_figure_fails_its_own_line_only(name: str, bad: float) -> None:
    evaluation = good()
    evaluation["metrics"][name] = figure(bad)
    verdict = gate(evaluation, SETTINGS)
    assert not verdict.passed and verdict.failed_lines == (name,)


def test_too_few_pairs_fail_however_good_they_are() -> None:
    evaluation = good()
    evaluation["counts"]["pairs"] = SETTINGS.min_pairs - 1
    assert gate(evaluation, SETTINGS).failed_lines == ("pairs",)


@given(st.sampled_from(["ssim", "perceptual", "over_warp", "matte_iou", "identity_recovered", "frechet_ratio"]),
       st.sampled_from([None, math.nan, math.inf, -math.inf, True, "0.99", [1]]))
def test_what_is_no_figure_fails_closed(name: str, value: object) -> None:
    evaluation = good()
    evaluation["metrics"][name] = figure(value)  # type: ignore[arg-type]
    verdict = gate(evaluation, SETTINGS)
    line = next(line for line in verdict.lines if line.name == name)
    assert verdict.failed_lines == (name,) and line.value is None and line.reason


def test_what_is_missing_fails_closed_with_its_reason() -> None:
    evaluation = good()
    evaluation["metrics"]["frechet_ratio"] = figure(None, reason="only 10 photos")
    del evaluation["metrics"]["ssim"]
    lines = {line.name: line for line in gate(evaluation, SETTINGS).lines}
    assert lines["frechet_ratio"].reason == "only 10 photos" and not lines["frechet_ratio"].passed
    assert lines["ssim"].reason == "not in the evaluation" and not lines["ssim"].passed


@pytest.mark.parametrize("evaluation", [{}, {"metrics": None}, {"metrics": {}, "counts": []},
                                        {"counts": {"pairs": 99}}])
def test_an_evaluation_with_nothing_in_it_fails_every_line_it_lacks(evaluation: dict) -> None:
    verdict = gate(evaluation, SETTINGS)
    assert not verdict.passed
    assert {"ssim", "perceptual", "over_warp", "matte_iou", "identity_recovered", "frechet_ratio"} <= set(
        verdict.failed_lines)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_bounds_are_inclusive_and_their_side_is_right(value: float, bound: float) -> None:
    evaluation = good()
    evaluation["metrics"]["ssim"], evaluation["metrics"]["perceptual"] = figure(value), figure(value)
    lines = {line.name: line for line in gate(evaluation, GateSettings.model_validate(
        {"ssim": bound, "perceptual": bound})).lines}
    assert lines["ssim"].passed == (value >= bound)
    assert lines["perceptual"].passed == (value <= bound)


def test_the_gate_changes_nothing() -> None:
    evaluation = good()
    before = copy.deepcopy(evaluation)
    gate(evaluation, SETTINGS)
    assert evaluation == before
