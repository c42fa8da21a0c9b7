"""Metrics with 95 % bootstrap intervals, and metrics that cannot be given, with the reason.

Pairs of one person are not independent: ten pairs of one face say less than ten pairs of ten faces. So whole
identities are resampled (cluster bootstrap; Davison and Hinkley 1997, section 3.8) wherever there are at least
`MIN_CLUSTERS` of them; with fewer, single pairs are, and the metric says so in `by`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_CLUSTERS = 5
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """One number: `value` with its 95 % interval [`low`, `high`], from `n` items; or None with the `reason`.

    `by` says what was resampled for the interval: "identity", "pair" or "half" (random halves of the photos);
    `features` names the feature network behind the metric, if there is one: metrics of two networks do not compare.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    by: str = ""
    reason: str = ""
    features: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers rounded to 6 digits after the point, so that files of equal runs are equal."""
        content = {key: round(item, 6) if isinstance(item, float) else item for key, item in asdict(self).items()}
        return {key: item for key, item in content.items() if item != "" or key == "value"}

    def shown(self, digits: int) -> str:
        """The value with `digits` after the point and its interval, as pages have it; a dash where there is none."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def plain(value: float) -> float | None:
    """A number as files have it; None for NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def mean_of(values: Floats, digits: int = 6) -> float | None:
    """Mean of the values that are finite; None without one."""
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), digits) if len(finite) else None


def missing(reason: str, n: int = 0) -> Metric:
    """A metric that cannot be given."""
    return Metric(None, n=n, reason=reason)


class Resampler:
    """Bootstrap resamples of items that belong to identities; the same seed draws the same resamples."""

    def __init__(self, identities: Sequence[str], count: int, seed: int) -> None:
        names, cluster = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
        self.by = "identity" if len(names) >= MIN_CLUSTERS else "pair"
        self._cluster = cluster if self.by == "identity" else np.arange(len(cluster))
        self._count, self._seed = count, seed

    def weights(self) -> Floats:
        """[resamples, items]: how often each item is drawn."""
        clusters = int(self._cluster.max()) + 1 if len(self._cluster) else 0
        if not clusters:
            return np.zeros((self._count, 0))
        drawn = np.random.default_rng(self._seed).multinomial(clusters, np.full(clusters, 1 / clusters), self._count)
        return drawn[:, self._cluster].astype(np.float64)

    def mean(self, values: npt.ArrayLike, *, nobody: str = "nothing to measure") -> Metric:
        """Mean of the values that are not NaN; `nobody` is the reason when all of them are."""
        return self.ratio(values, np.ones(len(self._cluster)), nobody=nobody)

    def share(self, values: npt.ArrayLike, *, nobody: str = "nothing to measure") -> Metric:
        """Mean of shares (0..1) that are not NaN, with Wilson's interval (1927) for as many independent items as the
        resampled means vary like: no fewer than there are identities, no more than there are items (Korn and Graubard
        1998). Where all values are 0 or 1 resampling finds no variance at all, and the number of identities counts."""
        found, array = self.mean(values, nobody=nobody), np.asarray(values, np.float64)
        if found.value is None:
            return found
        valid = np.isfinite(array)
        weights = self.weights()[:, valid]
        totals = weights.sum(axis=1)
        means = (weights @ array[valid])[totals > 0] / totals[totals > 0]
        people, variance = len(np.unique(self._cluster[valid])), float(means.var())
        spread = found.value * (1 - found.value)
        count = people if spread <= 0 else float(np.clip(spread / max(variance, 1e-12), people, found.n))
        low, high = wilson(found.value, count)
        return Metric(found.value, low, high, found.n, self.by)

    def ratio(self, above: npt.ArrayLike, below: npt.ArrayLike, *, nobody: str = "nothing to measure") -> Metric:
        """Sum of `above` over sum of `below`, over items in which neither is NaN (a ratio of means)."""
        top, bottom = np.asarray(above, np.float64), np.asarray(below, np.float64)
        valid = np.isfinite(top) & np.isfinite(bottom)
        if not valid.any():
            return missing(nobody)
        top, bottom = np.where(valid, top, 0.0), np.where(valid, bottom, 0.0)
        weights = self.weights()
        sums = weights @ bottom
        with np.errstate(divide="ignore", invalid="ignore"):
            draws = (weights @ top) / sums
        return around(float(top.sum() / bottom.sum()), draws[np.isfinite(draws)], int(valid.sum()), self.by)


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` independent items."""
    square = _Z**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _Z * float(np.sqrt(max(share * (1 - share), 0) / count + square / count / 4)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def side_of(metric: Metric, bound: float) -> int:
    """On which side of a bound a metric lies with its whole interval: 1 above it (or on it), -1 below, 0 where the
    interval holds the bound, so that there are too few items to tell. Without an interval the value decides."""
    if metric.value is None:
        return 0
    low, high = (metric.value if end is None else end for end in (metric.low, metric.high))
    return 1 if low >= bound else -1 if high < bound else 0


_Z = 1.959964


def around(value: float, draws: npt.ArrayLike, n: int, by: str) -> Metric:
    """A metric whose interval are the 2.5 and 97.5 % points of its resampled values."""
    resampled = np.asarray(draws, np.float64)
    if len(resampled) == 0:
        return Metric(value, None, None, n, by)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Metric(value, float(low), float(high), n, by)


def difference(first: tuple[Resampler, npt.ArrayLike], second: tuple[Resampler, npt.ArrayLike],
               nobody: str = "nothing to measure") -> Metric:
    """Mean of the first minus mean of the second, of two independent sets of items (different people)."""
    means, draws, counts = [], [], []
    for shift, (resampler, values) in enumerate((first, second)):
        array = np.asarray(values, np.float64)
        valid = np.isfinite(array)
        if not valid.any():
            return missing(nobody)
        weights = resampler.weights()[:, valid]
        totals = weights.sum(axis=1)
        sums = weights @ array[valid]
        # Rolled by `shift`, so that the two sides' resamples are not the same draws.
        draws.append(np.roll(np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0), shift))
        means.append(float(array[valid].mean()))
        counts.append(int(valid.sum()))
    both = draws[0] - draws[1]
    by = "identity" if first[0].by == second[0].by == "identity" else "pair"
    return around(means[0] - means[1], both[np.isfinite(both)], min(counts), by)
