import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.judging.gate import CONTROLS, MEMORISATION, PARTS, Verdict, controls, requirement, thresholds
from components.core.settings import GateSettings

SETTINGS = GateSettings()


def good() -> dict:
    """An evaluation with every metric just within its bound."""
    metrics = ("ssim", "perceptual", "over_warp", "matte_iou", "identity_recovered", "frechet_ratio", "pose_fidelity",
               "face_found")
    return {
        "counts": {"pairs": 200},
        "metrics": {name: {"value": getattr(SETTINGS, name), "features": SETTINGS.features} for name in metrics},
        "parts": {part: {"l1": {"value": getattr(SETTINGS, f"{part}_error")}} for part in PARTS},
        "memorisation": {name: {"value": getattr(SETTINGS, name)} for name in MEMORISATION},
    }


def test_figures_within_their_bounds_pass() -> None:
    verdict = Verdict.of(thresholds(good(), SETTINGS))
    assert verdict.passed and len(verdict.lines) == 1 + 8 + len(PARTS) + len(MEMORISATION)


@pytest.mark.parametrize("name", MEMORISATION)
@pytest.mark.parametrize("metric", [None, {"value": None, "reason": "too few people"}, {"value": math.nan}])
def test_a_test_of_memorisation_without_a_figure_fails(name: str, metric: dict | None) -> None:
    evaluation = good()
    evaluation["memorisation"][name] = metric
    assert Verdict.of(thresholds(evaluation, SETTINGS)).failed_lines == (name,)


@given(st.sampled_from(list(MEMORISATION)), st.floats(0.01, 5))
def test_the_wrong_side_of_a_bound_fails_its_own_line(name: str, by: float) -> None:
    evaluation = good()
    bound = getattr(SETTINGS, name)
    evaluation["memorisation"][name] = {"value": bound - by if MEMORISATION[name] == ">=" else bound + by}
    assert Verdict.of(thresholds(evaluation, SETTINGS)).failed_lines == (name,)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_without_a_figure_fails_unless_nobody_asks(part: str) -> None:
    evaluation = good()
    del evaluation["parts"][part]
    assert Verdict.of(thresholds(evaluation, SETTINGS)).failed_lines == (f"{part}_error",)
    silent = GateSettings.model_validate({f"{part}_error": None})
    assert Verdict.of(thresholds(evaluation, silent)).passed


def test_a_bound_for_one_feature_network_says_nothing_of_anothers_figure() -> None:
    evaluation = good()
    evaluation["metrics"]["frechet_ratio"]["features"] = "inception-2015-12-05"
    verdict = Verdict.of(thresholds(evaluation, SETTINGS))
    assert verdict.failed_lines == ("frechet_ratio",)
    assert "inception-2015-12-05" in next(line for line in verdict.lines if not line.passed).reason
    other = GateSettings.model_validate({"features": "inception-2015-12-05"})
    assert Verdict.of(thresholds(evaluation, other)).passed


def test_controls_fail_closed() -> None:
    behaved = {name: {"behaved": True} for name in CONTROLS}
    assert controls({"controls": behaved}).passed
    for amiss in ({}, {"controls": {}}, {"controls": None},
                  {"controls": behaved | {"copy_cat": {"behaved": False, "reason": "it passed the gate"}}},
                  {"controls": {name: behaved[name] for name in CONTROLS[:2]}},
                  {"controls": behaved | {"real_photos": {"behaved": "true"}}}):
        line = controls(amiss)
        assert not line.passed and line.reason


def test_no_lines_are_no_verdict() -> None:
    assert not Verdict.of([]).passed and Verdict.of([]).outcome == "not judged"


def test_want_of_evidence_is_not_judged_and_one_figure_beyond_its_bound_is_failed() -> None:
    evaluation = good()
    assert Verdict.of(thresholds(evaluation, SETTINGS)).outcome == "passed"
    evaluation["metrics"]["face_found"] = {"value": None, "reason": "too few to tell"}
    del evaluation["memorisation"]["training_gap"]
    blind = Verdict.of(thresholds(evaluation, SETTINGS))
    assert (blind.outcome, blind.passed) == ("not judged", False)
    assert "not judged" in blind.summary and "face_found, training_gap" in blind.summary
    assert str(next(line for line in blind.lines if line.name == "face_found")).startswith("NOT JUDGED  face_found")
    evaluation["metrics"]["ssim"]["value"] = 0.1
    bad = Verdict.of(thresholds(evaluation, SETTINGS))
    assert bad.outcome == "failed" and bad.summary.startswith("failed 3 of 18")


@pytest.mark.parametrize("ground", ["pairs", "controls"])
def test_an_evaluation_that_cannot_be_relied_on_fails_no_model(ground: str) -> None:
    evaluation = good() | {"controls": {name: {"behaved": True} for name in CONTROLS}}
    evaluation["metrics"]["ssim"]["value"] = 0.1
    assert Verdict.of((*thresholds(evaluation, SETTINGS), controls(evaluation))).outcome == "failed"
    if ground == "pairs":
        evaluation["counts"]["pairs"] = SETTINGS.min_pairs - 1
    else:
        evaluation["controls"]["copy_cat"] = {"behaved": False, "reason": "it passed the gate"}
    found = Verdict.of((*thresholds(evaluation, SETTINGS), controls(evaluation)))
    assert (found.outcome, found.passed) == ("not judged", False)
    assert f"on 1 of 19 requirements: {ground}; missed too: ssim" in found.summary


def test_many_pairs_of_few_people_fail_no_model() -> None:
    evaluation = good()
    evaluation["metrics"]["over_warp"]["value"] = 9.0
    for people, outcome in ((SETTINGS.min_people, "failed"), (SETTINGS.min_people - 1, "not judged")):
        evaluation["counts"]["people"] = people
        found = Verdict.of(thresholds(evaluation, SETTINGS))
        assert (found.outcome, found.passed) == (outcome, False)
        assert ("too few people to judge (4 with two photos, 5 needed)" in found.summary) == (outcome == "not judged")
    assert "missed too: over_warp" in found.summary


@given(st.sampled_from([">=", "<="]), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1))
def test_a_miss_has_failed_only_where_the_whole_interval_lies_beyond_the_bound(
        comparison: Any, value: float, below: float, above: float, bound: float) -> None:
    line = requirement("ssim", {"value": value, "low": value - below, "high": value + above}, bound, comparison)
    assert line.passed == (value >= bound if comparison == ">=" else value <= bound)
    beyond = value + above < bound if comparison == ">=" else value - below > bound
    assert line.outcome == ("passed" if line.passed else "failed" if beyond else "not judged")
    assert ("too few to tell" in line.reason) == (line.outcome == "not judged")


def test_a_judge_that_finds_82_percent_of_40_faces_fails_no_model() -> None:
    evaluation = good()
    evaluation["metrics"]["face_found"] = {"value": None, "reason": "on 40 real photos ...: too few to tell"}
    behaved = {name: {"behaved": True} for name in CONTROLS}
    blind = behaved | {"real_photos": {"behaved": False, "reason": "face_found: no value"}}
    found = Verdict.of((*thresholds(evaluation, SETTINGS), controls(evaluation | {"controls": blind})))
    assert (found.outcome, found.passed) == ("not judged", False) and "face_found, controls" in found.summary
