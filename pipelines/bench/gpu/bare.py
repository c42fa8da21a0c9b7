"""What this machine has to have, what parts can do without, and how the others are imported all the same."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

REQUIRED = {"torch": "torch", "numpy": "numpy", "PIL": "pillow", "safetensors": "safetensors", "pydantic": "pydantic"}
"""Modules without which nothing runs, with the names of their packages."""
OPTIONAL = {"cv2": "opencv-python-headless", "pyarrow": "pyarrow"}
"""Modules that some parts need."""
_WITHIN = {"pyarrow": ("compute", "parquet")}


def missing(modules: Iterable[str]) -> list[str]:
    """Packages of those modules that are not installed."""
    return [{**REQUIRED, **OPTIONAL}[module] for module in modules if not _there(module)]


def stand_in_for_missing() -> None:
    """Let modules be imported that name a missing package of `OPTIONAL` at their top.

    Parts that would use one are skipped (`Part.needs`), so a stand-in is named and never used.
    """
    for module in OPTIONAL:
        if not _there(module):
            whole = _StandIn(module)
            sys.modules[module] = whole
            for name in _WITHIN.get(module, ()):
                sys.modules[f"{module}.{name}"] = _StandIn(f"{module}.{name}")
                setattr(whole, name, sys.modules[f"{module}.{name}"])


def _there(module: str) -> bool:
    known = sys.modules.get(module)
    return not isinstance(known, _StandIn) and (known is not None or find_spec(module) is not None)


class _StandIn(ModuleType):
    """A module whose names mean nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()


class _Nothing:
    """What a schema or a constant at the top of a module comes to without its package."""

    def __call__(self, *args: object, **named: object) -> _Nothing:
        return self

    def __getattr__(self, name: str) -> _Nothing:
        return self
