"""The gate: does a model reach what a version must reach? Pure: evidence and settings in, a verdict out.

Three parts: thresholds on the evaluation's metrics (`components.core.judging.gate`, with which evaluation judges its
controls too), whether those controls behaved, and the comparison with the champion on the same pairs (which the
step `challenge` writes). What is missing does not pass, yet it says nothing bad of the model: where only such lines
did not pass, the outcome is "not judged".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from components.core.judging.gate import Line, Verdict, controls, thresholds
from components.core.settings import ChampionSettings, RegisterSettings

__all__ = ["CHAMPION_METRICS", "Line", "Verdict", "champion_lines", "verdict"]

CHAMPION_METRICS = ("perceptual", "ssim", "matte_iou", "pose", "face_similarity")
"""Metrics of which a version must not have less than the champion."""


def verdict(evaluation: Mapping[str, Any], comparison: Mapping[str, Any] | None, champion: str | None,
            settings: RegisterSettings) -> Verdict:
    """The whole gate: thresholds, whether the evaluation's controls behaved, and the comparison with the version that
    is `champion` now (None: there is none).

    `comparison` is the content of comparison.json; None where there is none, which fails if there is a champion.
    """
    return Verdict.of((*thresholds(evaluation, settings.gate), controls(evaluation),
                       *champion_lines(comparison, champion, settings.champion)))


def champion_lines(comparison: Mapping[str, Any] | None, champion: str | None,
                   settings: ChampionSettings) -> tuple[Line, ...]:
    """The lines of the comparison: its number of pairs, headline metrics, body parts, slices. None without a
    champion, or when the champion is this very model."""
    if champion is None:
        return ()
    if comparison is None:
        return (_uncompared("it was not compared with the champion", settings, may_pass=False),)
    version = (comparison.get("champion") or {}).get("version")
    if str(version) != champion:
        found = f"version {version}" if version else "nobody"
        return (_uncompared(f"it was compared with {found}, version {champion} is champion now", settings,
                            may_pass=False),)
    if comparison.get("status") == "same":
        return ()
    if comparison.get("status") != "compared":
        return (_uncompared(str(comparison.get("reason") or "the comparison is not complete"), settings),)
    return (_pairs(comparison, settings), *_headlines(comparison, settings), *_parts(comparison, settings),
            *_slices(comparison, settings))


def _uncompared(reason: str, settings: ChampionSettings, may_pass: bool = True) -> Line:
    passed = may_pass and settings.incomparable == "pass"
    return Line("champion.pairs", None, settings.min_pairs, ">=", passed, reason, judged=passed)


def _pairs(comparison: Mapping[str, Any], settings: ChampionSettings) -> Line:
    count = _number(comparison.get("pairs"))
    enough = count is not None and count >= settings.min_pairs
    return Line("champion.pairs", count, settings.min_pairs, ">=", enough,
                f"compared with version {comparison['champion']['version']}", judged=enough)


def _headlines(comparison: Mapping[str, Any], settings: ChampionSettings) -> Iterator[Line]:
    """The lower end of each gain's interval against minus the margin."""
    for name in CHAMPION_METRICS:
        gain = _gain(comparison.get("metrics"), name)
        bound = -float(getattr(settings, name))
        low, value, high = (_number(gain.get(key)) for key in ("low", "value", "high"))
        if low is None or value is None or high is None:
            yield Line(f"champion.{name}", None, bound, ">=", False, str(gain.get("reason") or "no interval"),
                       judged=False)
        else:
            reason = f"gain {value:.4g}, 95 % interval {low:.4g} to {high:.4g}, {gain.get('n')} pairs"
            yield Line(f"champion.{name}", low, bound, ">=", low >= bound, reason)


def _parts(comparison: Mapping[str, Any], settings: ChampionSettings) -> Iterator[Line]:
    yield from _means("part", comparison.get("parts"), settings.parts, settings)


def _slices(comparison: Mapping[str, Any], settings: ChampionSettings) -> Iterator[Line]:
    yield from _means("slice", comparison.get("slices"), settings.slices, settings)


def _means(kind: str, metrics: Any, margin: float, settings: ChampionSettings) -> Iterator[Line]:
    """The mean gain of each part or slice that has enough pairs against minus its margin."""
    if not isinstance(metrics, Mapping) or not metrics:
        yield Line(f"champion.{kind}s", None, -margin, ">=", False, f"no {kind} was compared", judged=False)
        return
    for name in metrics:
        gain = _gain(metrics, name)
        count, value = _number(gain.get("n")), _number(gain.get("value"))
        if count is not None and count < settings.min_slice:
            continue
        reason = str(gain.get("reason") or "no value") if value is None else f"mean gain of {gain.get('n')} pairs"
        passed = value is not None and value >= -margin
        yield Line(f"champion.{kind}.{name}", value, -margin, ">=", passed, reason, judged=value is not None)


def _gain(metrics: Any, name: str) -> Mapping[str, Any]:
    metric = metrics.get(name) if isinstance(metrics, Mapping) else None
    gain = metric.get("gain") if isinstance(metric, Mapping) else None
    return gain if isinstance(gain, Mapping) else {"reason": "not in the comparison"}


def _number(value: Any) -> float | None:
    """The value if it is a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
