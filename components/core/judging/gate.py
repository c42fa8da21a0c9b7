"""What a gate is made of: requirements, each a line with value, bound and pass or fail. Pure: metrics in, lines out.

Every line fails closed: a metric that is missing, null or not a number fails it, and the line says so. But a line
that failed for lack of evidence, none or too little to tell, says nothing bad of the model, so a verdict has three
outcomes: passed, failed, not judged. Both evaluation (which judges its controls with them) and registration (which
judges the model) use these lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from components.core.settings import GateSettings

Comparison = Literal[">=", "<="]
Outcome = Literal["passed", "failed", "not judged"]
TOO_FEW = "too few people to judge"
GROUNDS = ("pairs", "controls")
"""Lines about the evaluation and not about the model: where one fails, no other line says anything of the model."""


@dataclass(frozen=True)
class Line:
    """One requirement: the value, its bound, whether it is kept, and in words why or why not."""

    name: str
    value: float | None
    bound: float
    comparison: Comparison
    passed: bool
    reason: str
    judged: bool = True
    """False where it did not pass for lack of evidence: no value, or too few people to tell."""

    @property
    def outcome(self) -> Outcome:
        """Of a line that did not pass, whether it failed or could not be judged."""
        return "passed" if self.passed else "failed" if self.judged else "not judged"

    def __str__(self) -> str:
        metric = "no value" if self.value is None else f"{self.value:.4g}"
        why = f": {self.reason}" if self.reason else ""
        return f"{MARKS[self.outcome]}  {self.name} {metric} {self.comparison} {self.bound:g}{why}"


MARKS: dict[Outcome, str] = {"passed": "pass", "failed": "FAIL", "not judged": "NOT JUDGED"}
"""Outcome of a line -> how a list of lines says it."""


@dataclass(frozen=True)
class Verdict:
    """Passed when every line did; there is no verdict without lines."""

    passed: bool
    lines: tuple[Line, ...]

    @staticmethod
    def of(lines: Iterable[Line]) -> Verdict:
        """The verdict that some lines make; none at all do not pass."""
        found = tuple(lines)
        return Verdict(bool(found) and all(line.passed for line in found), found)

    @property
    def failed_lines(self) -> tuple[str, ...]:
        """Names of the lines that failed."""
        return tuple(line.name for line in self.lines if not line.passed)

    @property
    def outcome(self) -> Outcome:
        """"passed"; "failed": a bad model; "not judged": whether it is one cannot be told from this evaluation, since
        that cannot be relied on (`GROUNDS`) or every line that did not pass lacks evidence."""
        if self.passed:
            return "passed"
        missed = [line for line in self.lines if not line.passed]
        groundless = any(line.name in GROUNDS for line in missed)
        return "not judged" if groundless or not any(line.judged for line in missed) else "failed"

    @property
    def summary(self) -> str:
        """The verdict in one sentence without a subject."""
        if self.passed:
            return f"passed all {len(self.lines)} requirements"
        failed = self.failed_lines
        if self.outcome == "failed":
            return f"failed {len(failed)} of {len(self.lines)} requirements: {', '.join(failed)}"
        lacking = [line for line in self.lines if line.outcome == "not judged"]
        names = [line.name for line in lacking]
        others = [name for name in failed if name not in names]
        few = next((f"{line.reason}; " for line in lacking if line.reason.startswith(TOO_FEW)), "")
        return (f"not judged, {few}too little evidence on {len(lacking)} of {len(self.lines)} requirements: "
                f"{', '.join(names)}" + (f"; missed too: {', '.join(others)}" if others else ""))


_METRICS: tuple[tuple[str, Comparison], ...] = (
    ("ssim", ">="), ("perceptual", "<="), ("over_warp", "<="), ("matte_iou", ">="), ("identity_recovered", ">="),
    ("frechet_ratio", "<="), ("pose_fidelity", ">="), ("face_found", ">="),
)
PARTS = ("face", "hands", "upper_body", "lower_body")
MEMORISATION: dict[str, Comparison] = {
    "background_retrieval": "<=", "counterfactual_swap": "<=", "training_gap": "<=", "identity_capture": "<=",
    "neighbour_test": ">=",
}
"""Test -> which side of the bound passes."""
_OF_FEATURES = ("frechet_ratio",)
STANDARDISED = ("neighbour_test",)
"""Metrics in standard deviations of their own chance: the bound itself is how far beyond chance counts."""


def thresholds(evaluation: Mapping[str, Any], settings: GateSettings) -> tuple[Line, ...]:
    """Hold an evaluation (the content of metrics.json) against thresholds; a line for each that has a bound, always."""
    lines = [_pairs(_inside(evaluation, "counts"), settings)]
    for name, comparison in _METRICS:
        metric, bound = _inside(evaluation, "metrics").get(name), getattr(settings, name)
        if bound is not None:
            lines.append(_of_features(name, metric, bound, comparison, settings) if name in _OF_FEATURES
                         else requirement(name, metric, bound, comparison))
    for part in PARTS:
        name = f"{part}_error"
        if (bound := getattr(settings, name)) is not None:
            lines.append(requirement(name, _inside(_inside(evaluation, "parts"), part).get("l1"), bound, "<="))
    tests = _inside(evaluation, "memorisation")
    return (*lines, *(memorisation(name, tests.get(name), settings) for name in MEMORISATION))


def _pairs(counts: Mapping[str, Any], settings: GateSettings) -> Line:
    """Whether there are pairs enough, of people enough: many pairs of two people say nothing of a third."""
    line = requirement("pairs", {"value": counts.get("pairs")}, settings.min_pairs, ">=")
    people = counts.get("people")  # evaluations of 0.1 do not say
    if isinstance(people, int) and people < settings.min_people:
        line = replace(line, passed=False, reason=f"{TOO_FEW} ({people} with two photos, {settings.min_people} needed)")
    return replace(line, judged=line.passed)


def memorisation(name: str, metric: Any, settings: GateSettings) -> Line:
    """The line of one test of memorisation."""
    return requirement(name, metric, getattr(settings, name), MEMORISATION[name])


def controls(evaluation: Mapping[str, Any]) -> Line:
    """Whether every control behaved: as many as there must be, and none that the thresholds judged wrongly. If not,
    it is the evaluation that is at fault."""
    found = _inside(evaluation, "controls")
    behaved = [name for name in CONTROLS if _inside(found, name).get("behaved") is True]
    reasons = [f"{name}: {_inside(found, name).get('reason', 'not in the evaluation')}" for name in CONTROLS
               if name not in behaved]
    passed = len(behaved) == len(CONTROLS)
    return Line("controls", float(len(behaved)), len(CONTROLS), ">=", passed, "; ".join(reasons), judged=passed)


CONTROLS = ("copy_cat", "baked_background", "real_photos")


def _of_features(name: str, metric: Any, bound: float, comparison: Comparison, settings: GateSettings) -> Line:
    """The line of a metric that depends on the feature network: a bound for one network says nothing of another's."""
    used = metric.get("features") if isinstance(metric, Mapping) else None
    if isinstance(metric, Mapping) and metric.get("value") is not None and used != settings.features:
        return Line(name, None, bound, comparison, False,
                    f"made with the features {used}, this bound is for {settings.features}", judged=False)
    return requirement(name, metric, bound, comparison)


def _inside(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, Mapping) else {}


def requirement(name: str, metric: Any, bound: float, comparison: Comparison) -> Line:
    """The line of one metric ({value, low, high, reason} as in metrics.json) against its bound.

    The value decides whether it passes. One that does not has failed only where its whole interval lies beyond the
    bound; else there are too few people to tell, which is no failure of the model's.
    """
    if not isinstance(metric, Mapping):
        return Line(name, None, bound, comparison, False, "not in the evaluation", judged=False)
    value = metric.get("value")
    # bool is an int in Python; "true pairs" is no value.
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return Line(name, None, bound, comparison, False, str(metric.get("reason") or f"{value} is not a number"),
                    judged=False)
    passed = value >= bound if comparison == ">=" else value <= bound
    low, high = metric.get("low"), metric.get("high")
    if low is None or high is None:
        return Line(name, float(value), bound, comparison, passed, "")
    interval = f"95 % interval {low:.4g} to {high:.4g}"
    if passed or (high < bound if comparison == ">=" else low > bound) or name in STANDARDISED:
        return Line(name, float(value), bound, comparison, passed, interval)
    return Line(name, float(value), bound, comparison, False, f"{interval}: too few to tell", judged=False)
