"""Settings of the search for loss weights."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from components.core.settings.section import Section


class SearchSpace(Section):
    """Lowest and highest value of each weight that is searched, on a logarithmic scale."""

    l1: tuple[float, float] = (0.5, 20.0)
    """Range of train.weights.l1."""
    perceptual: tuple[float, float] = (0.5, 20.0)
    """Range of train.weights.perceptual."""
    face: tuple[float, float] = (0.1, 20.0)
    """Range of train.weights.face."""
    gan: tuple[float, float] = (0.01, 5.0)
    """Range of train.weights.gan."""
    patch: tuple[float, float] = (0.01, 5.0)
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
    """Whether a pipeline run searches before it trains (`photoshoot run --tune`)."""
    study: str = ""
    """Name of the study; when empty, one is made from the data and the training settings, so that the same command
    goes on with the same study."""
    trials: int = Field(20, ge=4)
    """Trials in all, the three published weightings and the current one included."""
    workers: int = Field(2, ge=1)
    """Tasks that share the study."""
    device_hours: float | None = Field(None, gt=0)
    """No trial begins once this many device-hours are spent; null: no such limit."""
    steps: int = Field(120, ge=2)
    """Training steps of a trial."""
    looks: int = Field(4, ge=1)
    """Times a trial is scored, the last time at its end; the earlier ones decide whether it is stopped."""
    pairs: int = Field(96, ge=8)
    """Validation pairs that score a trial."""
    objective: Literal["score", "pareto"] = "score"
    """score: one number, identity recovered minus the Fréchet distance as a multiple of the texture warp's; pareto: the
    front of both. Trials of a front are never stopped early."""
    pruner: Literal["asha", "median", "none"] = "median"
    """Which trials are stopped early: ASHA (successive halving), those under the median, or none."""
    keep_face: float = Field(0.02, ge=0)
    """Pareto: of the front, the lowest Fréchet distance is picked among trials whose identity recovered is at most this
    far under the best."""
    warm_start: str = ""
    """Name of an older study whose best weights are tried first."""
    space: SearchSpace = SearchSpace()
    """Where to search."""
    heartbeat: int = Field(15, ge=1)
    """Seconds between signs of life; a trial silent for three times as long is given to another worker."""
    seed: int = 0
    """Seed of the sampler, the trainings and the choice of pairs."""
