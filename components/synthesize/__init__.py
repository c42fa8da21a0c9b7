"""People who do not exist: photos with exact pose maps and mattes, for tests and for the default run.

`synthesize` writes a folder as a user would bring it; `photos_of` gives one person's photos in memory;
`render_photo` takes a single picture of a `Figure`. Everything follows from (seed, identity index).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.synthesize.folder import SynthesisSummary, photos_of, synthesize
    from components.synthesize.render import Rendering, render_photo

__all__ = ["Rendering", "SynthesisSummary", "photos_of", "render_photo", "synthesize"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line lists this package without paying for numpy and OpenCV."""
    from importlib import import_module

    for module in ("folder", "render"):
        if name in __all__:
            found = getattr(import_module(f"components.synthesize.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
