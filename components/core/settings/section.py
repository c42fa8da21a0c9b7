"""The base of all settings sections, and the bounds of their numbers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

MOST_CHARACTERS = 4096
"""Of a text in the settings: the longest path that Linux takes."""


class Section(BaseModel):
    """Base of all sections: unknown keys refused, values frozen, docstrings of fields kept as descriptions.

    Every number has an upper bound with its reason (`at_most`): a digit too many is refused when it is typed, and
    not by a machine that ran out of memory an hour later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False,
                              str_max_length=MOST_CHARACTERS)


BECAUSE = "because"
"""Where a field keeps the reason of its bound."""


def at_most(value: float, because: str) -> dict[str, Any]:
    """Arguments of `Field` for a number: its upper bound, and why it is there."""
    return {"le": value, "json_schema_extra": {BECAUSE: because}}


def within(value: float, because: str) -> dict[str, Any]:
    """The same for a number that may be as far below 0."""
    return {"ge": -value, **at_most(value, because)}


SEED = at_most(4_000_000_000, "scikit-learn takes seeds of 32 bits, and some are counted up from this one")
STEPS = at_most(100_000_000, "a hundred times the longest published training")
PEOPLE = at_most(10_000_000, "ten times what the data set's formats were tried with")
PIXELS = at_most(65_500, "a JPEG has no longer side")
IMAGES = at_most(1_000_000, "their features are held in memory")
PROCESSES = at_most(1024, "more than any machine or job that this was made for")
WEIGHT = at_most(1_000_000, "float32 keeps seven digits: beside more, every other loss is lost")
THRESHOLD = within(1_000_000, "no metric goes there")
