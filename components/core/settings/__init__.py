"""One typed settings tree: a section per step, each field with its meaning beside it.

Presets are Python (`presets.py`); YAML goes in and out; ``--set train.batch=8`` changes one value. A key that does
not exist is an error that names the nearest one that does. Sections are frozen: a step cannot change what it was
given, so what is saved with a run is what ran.

A section's module is imported when the section is asked for: building all models takes a fifth of a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.core.settings.costs import CostSettings
    from components.core.settings.data import (
        ClusterSettings,
        DensePoseSettings,
        Embedder,
        PreprocessSettings,
        Resolution,
        SynthesizeSettings,
    )
    from components.core.settings.judgement import ChampionSettings, EvaluateSettings, GateSettings, RegisterSettings
    from components.core.settings.section import Section
    from components.core.settings.training import Generator, LossWeights, TrainSettings
    from components.core.settings.tree import Settings
    from components.core.settings.tuning import SearchSpace, TuneSettings

_MODULES = {
    "costs": ("CostSettings",),
    "data": ("ClusterSettings", "DensePoseSettings", "Embedder", "PreprocessSettings", "Resolution",
             "SynthesizeSettings"),
    "judgement": ("ChampionSettings", "EvaluateSettings", "GateSettings", "RegisterSettings"),
    "section": ("Section",),
    "training": ("Generator", "LossWeights", "TrainSettings"),
    "tree": ("Settings",),
    "tuning": ("SearchSpace", "TuneSettings"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ChampionSettings",
    "ClusterSettings",
    "CostSettings",
    "DensePoseSettings",
    "Embedder",
    "EvaluateSettings",
    "GateSettings",
    "Generator",
    "LossWeights",
    "PreprocessSettings",
    "RegisterSettings",
    "Resolution",
    "SearchSpace",
    "Section",
    "Settings",
    "SynthesizeSettings",
    "TrainSettings",
    "TuneSettings",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return globals()[name]
