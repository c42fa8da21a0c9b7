"""What a pipeline run cost: device-seconds of its steps, as MLflow has them, times the prices in the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.core.record.tracking import DEVICE_COUNT, DEVICE_KIND, DEVICE_SECONDS
from components.core.settings import CostSettings

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Use:
    """Device-seconds that one step took on one kind of device."""

    kind: str
    device_seconds: float


@dataclass(frozen=True)
class Cost:
    """Device-seconds of a run, by kind of device, and their price; None where a kind has no price."""

    by_kind: dict[str, float]
    price: float | None
    currency: str

    @property
    def device_seconds(self) -> float:
        """All kinds together."""
        return sum(self.by_kind.values())

    def __str__(self) -> str:
        hours = ", ".join(f"{_hours(seconds)} {kind}" for kind, seconds in self.by_kind.items()) or "no device time"
        return hours if self.price is None else f"{money(self.price, self.currency)} ({hours})"


def price_of(kind: str, prices: Mapping[str, float]) -> float | None:
    """Price of a device-hour of `kind`: the entry of that name, else the longest that is a part of it (in any case)."""
    if kind in prices:
        return prices[kind]
    parts = [name for name in prices if name.lower() in kind.lower()]
    return prices[max(parts, key=len)] if parts else None


def total(uses: Iterable[Use], settings: CostSettings) -> Cost:
    """Sum of uses; priced only when every kind that was used has a price: half a price is none."""
    by_kind: dict[str, float] = {}
    for use in uses:
        by_kind[use.kind] = by_kind.get(use.kind, 0.0) + use.device_seconds
    prices = {kind: price_of(kind, settings.prices) for kind in by_kind}
    known = [by_kind[kind] / 3600 * price for kind, price in prices.items() if price is not None]
    complete = bool(known) and len(known) == len(by_kind)
    return Cost({kind: round(seconds, 1) for kind, seconds in by_kind.items()}, sum(known) if complete else None,
                settings.currency)


def use_of(step: Run, now_ms: int) -> Use | None:
    """What a step's MLflow run used. A step that is under way, or was cut off before it could say, is counted from
    its start to its end, or to `now_ms`; None for a run that says nothing of devices."""
    kind = step.data.tags.get(DEVICE_KIND)
    if kind is None:
        return None
    seconds = step.data.metrics.get(DEVICE_SECONDS)
    if seconds is None:
        elapsed = max((step.info.end_time or now_ms) - step.info.start_time, 0) / 1000
        seconds = elapsed * int(step.data.tags.get(DEVICE_COUNT, "1"))
    return Use(kind, float(seconds))


def money(amount: float, currency: str) -> str:
    """An amount with as many digits as it takes to be more than nothing."""
    return f"{amount:.2f} {currency}" if amount >= 1 or amount == 0 else f"{amount:.2g} {currency}"


def _hours(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.0f} device-seconds"
    return f"{seconds / 3600:.2f} device-hours"
