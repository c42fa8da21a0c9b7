"""One typed settings tree: a section per step, each field with its meaning beside it.

Presets are Python (`presets.py`); YAML goes in and out; ``--set train.batch=8`` changes one value. A key that does
not exist is an error that names the nearest one that does. Sections are frozen: a step cannot change what it was
given, so what is saved with a run is what ran.
"""

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
