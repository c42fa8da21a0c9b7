"""From photos with pose maps to the people data set: crops, mattes, texture maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.preprocess.run import PreprocessSummary, preprocess

__all__ = ["PreprocessSummary", "preprocess"]


def __getattr__(name: str) -> Any:
    """Import on first use: the pipeline's definition does not pay for numpy and OpenCV."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from components.preprocess import run

    return getattr(run, name)
