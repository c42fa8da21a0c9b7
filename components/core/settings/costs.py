"""Settings of what computing costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.core.settings.section import Section, at_most

Price = Annotated[float, Field(ge=0, **at_most(1_000_000, "no device costs so much an hour"))]


class CostSettings(Section):
    """What computing costs. Nothing is priced unless you say so."""

    prices: dict[str, Price] = Field(default_factory=dict, max_length=100)
    """Price of one device-hour by kind of device: `cpu` is a whole machine or container without a GPU; a GPU is named
    by a part of its product name (`H100`). E.g. {cpu: 0.2, H100: 3.9}."""
    currency: str = Field("USD", min_length=1, max_length=8)
    """Currency of the prices."""
