"""Is one run better than another, beyond noise? Metrics of two evaluations held against each other.

Where both were evaluated on the same pairs of the same people, pair by pair: the mean difference with its bootstrap
interval, whole people resampled. Otherwise by their intervals: apart or not. Metrics of different networks, and of
pictures of different sizes, are not compared at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from components.core.artifacts.evaluation import judged_at
from components.evaluate.measuring.intervals import Metric, Resampler
from components.evaluate.report.page import METRICS

_RESAMPLES, _SEED = 1000, 0
_OTHER_NETWORK, _OTHER_SIZE = "other network: ", "other size: "
_FEW_PEOPLE = 10
_FEW = f"fewer than {_FEW_PEOPLE} people, so intervals are narrower than they should be"
"""With few people the bootstrap underestimates its own spread."""
BETTER = {legend.key: legend.better for legend in METRICS if legend.better}
NETWORK = {legend.key: legend.network for legend in METRICS if legend.network}
"""Where an evaluation names the network that a metric stands on."""


@dataclass(frozen=True)
class Difference:
    """One metric of a run against the same metric of another.

    `verdict` is better, worse, same (no difference beyond noise) or unknown; `method` is paired, intervals or none;
    `value` with `low` and `high` is the difference (run minus other), where it is known; `same_data` says whether
    both were measured on the same people in the same split; `why` says in words what a reader must know.
    """

    verdict: str
    method: str
    same_data: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    why: str = ""

    @property
    def other_network(self) -> bool:
        """Whether it was not compared because the metrics stand on different networks."""
        return self.method == "none" and self.why.startswith(_OTHER_NETWORK)

    @property
    def other_size(self) -> bool:
        """Whether it was not compared because pictures of different sizes were judged."""
        return self.method == "none" and self.why.startswith(_OTHER_SIZE)


@dataclass(frozen=True)
class Judged:
    """What a comparison needs of a run: the content of metrics.json (empty for a run that kept none), its metrics,
    and the lines of pairs.jsonl."""

    evaluation: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    pairs: Sequence[Mapping[str, Any]]


def differences(run: Judged, other: Judged) -> dict[str, Difference]:
    """All metrics of `run` that have a better and a worse, against those of `other`."""
    return {name: difference(name, run, other) for name in run.metrics if name in BETTER and name in other.metrics}


def part_differences(run: Judged, other: Judged) -> dict[str, Difference]:
    """The errors of body parts of `run` against those of `other`; lower is better."""
    found = {}
    for part in run.evaluation.get("parts") or {}:
        theirs = (other.evaluation.get("parts") or {}).get(part)
        if theirs:
            mine, same = run.evaluation["parts"][part]["l1"], same_data(run, other)
            if sizes := _sizes(run, other):
                found[part] = Difference("unknown", "none", same, why=sizes)
                continue
            paired = _mean_difference(run, other, partial(_part, part))
            found[part] = _judge(paired if same else None, mine, theirs["l1"], "lower", same, _people(run))
    return found


def difference(name: str, run: Judged, other: Judged) -> Difference:
    """One metric of two runs; see `Difference`."""
    same = same_data(run, other)
    if not run.evaluation or not other.evaluation:
        return Difference("unknown", "none", same, why="a run that kept no evaluation")
    if sizes := _sizes(run, other):
        return Difference("unknown", "none", same, why=sizes)
    networks = _networks(name, run, other)
    if networks[0] != networks[1]:
        return Difference("unknown", "none", same, why=f"{_OTHER_NETWORK}{networks[0]}, not {networks[1]}")
    return _judge(_paired(name, run, other) if same else None, run.metrics[name], other.metrics[name], BETTER[name],
                  same, _people(run))


def _judge(paired: Metric | None, mine: Mapping[str, Any], theirs: Mapping[str, Any], better: str,
           same: bool, people: int) -> Difference:
    """Pair by pair where there is a difference over pairs, else by intervals."""
    if mine.get("value") is None or theirs.get("value") is None:
        return Difference("unknown", "none", same, why="no value for one of them")
    if paired is None or paired.value is None or paired.low is None or paired.high is None:
        return _by_intervals(mine, theirs, better, same)
    apart = paired.low > 0 or paired.high < 0
    return Difference(_verdict(paired.value, better) if apart else "same", "paired", same, _round(paired.value),
                      _round(paired.low), _round(paired.high), paired.n,
                      _FEW if people < _FEW_PEOPLE else "")


def same_data(run: Judged, other: Judged) -> bool:
    """Whether both were judged on the same people of the same split; unknown counts as no."""
    facts = [(one.evaluation.get("people", {}).get("digest"), one.evaluation.get("identities", {}).get("digest"),
              one.evaluation.get("settings", {}).get("split")) for one in (run, other)]
    return facts[0] == facts[1] and None not in facts[0]


def _sizes(run: Judged, other: Judged) -> str:
    """The sides of the pictures that the one and the other were judged by, where they differ."""
    mine, theirs = judged_at(run.evaluation), judged_at(other.evaluation)
    return "" if mine == theirs else f"{_OTHER_SIZE}{mine} px, not {theirs}"


def _networks(name: str, run: Judged, other: Judged) -> tuple[str, str]:
    """The networks that the metric stands on, in the one and in the other."""
    if name not in NETWORK:
        return "", ""
    section, key = NETWORK[name]
    return str(run.evaluation[section][key]), str(other.evaluation[section][key])


def _by_intervals(mine: Mapping[str, Any], theirs: Mapping[str, Any], better: str, same: bool) -> Difference:
    value = _round(mine["value"] - theirs["value"])
    note = "" if same else "other people: the difference may be theirs"
    ends = [metric[end] for metric in (mine, theirs) for end in ("low", "high") if metric.get(end) is not None]
    if len(ends) < 4:
        return Difference("unknown", "none", same, value, why=note or "no interval")
    apart = ends[0] > ends[3] or ends[1] < ends[2]
    return Difference(_verdict(value, better) if apart else "same", "intervals", same, value, why=note)


def _paired(name: str, run: Judged, other: Judged) -> Metric | None:
    """Mean difference over the pairs that both have, or None where the metric is not one of single pairs."""
    # Both are ratios whose lower half does not depend on the model: differences scale with those of the upper half.
    if name == "over_warp":
        return _scaled(_paired("perceptual", run, other), _value(run, "baselines", "texture_warp", "perceptual"))
    if name == "identity_recovered":
        another, stranger = (_value(run, "metrics", key) for key in ("another_photo_similarity", "stranger_similarity"))
        gap = None if another is None or stranger is None else another - stranger
        return _scaled(_paired("face_similarity", run, other), gap)
    return _mean_difference(run, other, lambda line: line.get(name))


def _mean_difference(run: Judged, other: Judged, value: Callable[[Mapping[str, Any]], float | None]) -> Metric | None:
    """Mean over the pairs that both have of `value` in the one minus `value` in the other; None without such."""
    theirs = {_pair_key(line): value(line) for line in other.pairs if line["kind"] == "transfer"}
    found: list[tuple[str, float]] = []
    for line in run.pairs:
        mine, his = value(line), theirs.get(_pair_key(line))
        if line["kind"] == "transfer" and mine is not None and his is not None:
            found.append((str(line["identity"]), float(mine) - float(his)))
    if len(found) < 2:
        return None
    return Resampler([identity for identity, _ in found], _RESAMPLES, _SEED).mean(
        np.asarray([apart for _, apart in found]))


def _part(name: str, line: Mapping[str, Any]) -> float | None:
    error = line.get("parts", {}).get(name)
    return None if error is None else float(error)


def _people(run: Judged) -> int:
    return len({line["identity"] for line in run.pairs if line["kind"] == "transfer"})


def _pair_key(line: Mapping[str, Any]) -> tuple[str, str]:
    return str(line["source"]), str(line["target"])


def _value(run: Judged, *keys: str) -> float | None:
    content: Any = run.evaluation
    for key in keys:
        content = content.get(key, {})
    value = content.get("value")
    return None if value is None else float(value)


def _scaled(metric: Metric | None, by: float | None) -> Metric | None:
    if metric is None or not by or by <= 0 or metric.value is None or metric.low is None or metric.high is None:
        return None
    return Metric(metric.value / by, metric.low / by, metric.high / by, metric.n, metric.by)


def _verdict(value: float, better: str) -> str:
    return "better" if (value > 0) == (better == "higher") else "worse"


def _round(value: float) -> float:
    return round(float(value), 6)
