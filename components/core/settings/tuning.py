"""Settings of the search for loss weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.core.settings.section import IMAGES, PROCESSES, SEED, STEPS, WEIGHT, Section, at_most

Weight = Annotated[float, Field(**WEIGHT)]
Range = tuple[Weight, Weight]
"""Lowest and highest value of a weight."""


class SearchSpace(Section):
    """Range of each weight that is searched, on a logarithmic scale."""

    l1: Range = (0.5, 20.0)
    """Range of train.weights.l1."""
    perceptual: Range = (0.5, 20.0)
    """Range of train.weights.perceptual."""
    face: Range = (0.1, 20.0)
    """Range of train.weights.face."""
    gan: Range = (0.01, 5.0)
    """Range of train.weights.gan."""
    patch: Range = (0.01, 5.0)
    """Range of train.weights.patch."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high) in self:
            if not 0 < low < high:
                raise ValueError(f"{name}: the lowest value must be above 0 and below the highest")
        return self


class TuneSettings(Section):
    """How loss weights are searched for. A trial is a short training, judged on validation people."""

    enabled: bool = False
    """Whether a pipeline run searches for weights before it trains (`photoshoot run --tune`)."""
    study: str = ""
    """Name of the study. Empty: derived from the data and the training settings, so that the same command continues the
    same study."""
    trials: int = Field(20, ge=4, **at_most(100_000, "the sampler looks at all of them before each trial"))
    """Total number of trials, including the three published weightings and the current one."""
    workers: int = Field(2, ge=1, **PROCESSES)
    """Number of tasks that share the study."""
    device_hours: float | None = Field(None, gt=0, **at_most(1_000_000, "that is a century of one device"))
    """No trial starts once this many device-hours are spent; null: no limit."""
    steps: int = Field(120, ge=2, **STEPS)
    """Training steps per trial."""
    looks: int = Field(4, ge=1, **STEPS)
    """How often a trial is scored: finally at its end, before that to decide whether to stop it."""
    pairs: int = Field(96, ge=8, **IMAGES)
    """Validation pairs that score a trial."""
    objective: Literal["score", "pareto"] = "score"
    """score: one number, identity recovered minus the Fréchet distance as a multiple of the texture warp's; pareto: the
    front of both. Trials of a front are never stopped early."""
    pruner: Literal["asha", "median", "none"] = "median"
    """Which trials are stopped early: ASHA (successive halving), those under the median, or none."""
    keep_face: float = Field(0.02, ge=0, **at_most(1_000_000, "no metric goes there"))
    """Pareto: of the front, the lowest Fréchet distance is picked among trials whose identity recovered is at most this
    far under the best."""
    warm_start: str = ""
    """Name of an earlier study whose best weights are tried first."""
    space: SearchSpace = SearchSpace()
    """The ranges to search."""
    heartbeat: int = Field(15, ge=1, **at_most(86_400, "a day: a dead trial is found after three of them"))
    """Seconds between heartbeats; a trial silent for three times as long is handed to another worker."""
    seed: int = Field(0, ge=0, **SEED)
    """Random seed of the sampler, the trainings and the choice of pairs."""
