"""From photos with pose maps to the people data set: crops, mattes, texture maps."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.preprocess.gathering import gather
    from components.preprocess.run import PartSummary, PreprocessSummary, preprocess, preprocess_part

__all__ = ["PartSummary", "PreprocessSummary", "gather", "preprocess", "preprocess_part"]


def __getattr__(name: str) -> Any:
    """Import on first use: the pipeline's definition does not pay for numpy and OpenCV."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"components.preprocess.{'gathering' if name == 'gather' else 'run'}"), name)
