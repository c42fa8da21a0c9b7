"""Settings of evaluation, gate and registry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.core.settings.data import Embedder
from components.core.settings.section import Section


class EvaluateSettings(Section):
    """How a model is judged."""

    split: Literal["validation", "test"] = "test"
    """Which identities."""
    pairs: int = Field(256, ge=1)
    """Most ordered source-target pairs, chosen by seed."""
    min_images: int = Field(32, ge=2)
    """Fewest images for a Fréchet or kernel distance; with fewer there is no number."""
    embedder: Embedder = "auto"
    """Face embedder that judges. auto: `builtin-judge` for synthetic people, `dlib` for photos."""
    features: Literal["builtin"] = "builtin"
    """Feature network of the Fréchet and kernel distances."""
    perceptual: Literal["builtin"] = "builtin"
    """Network of the perceptual distance."""
    rows: int = Field(8, ge=1)
    """Rows of the contact sheet."""
    bootstrap: int = Field(500, ge=100)
    """Resamples behind each 95 % interval."""
    seed: int = 0
    """Chooses pairs and resamples."""


class GateSettings(Section):
    """What a version must reach. A figure that is missing fails."""

    min_pairs: int = Field(24, ge=1)
    """Fewest evaluated pairs."""
    ssim: float = 0.6
    """Least SSIM inside the person."""
    perceptual: float = 0.3
    """Largest perceptual distance."""
    over_warp: float = 1.0
    """Largest perceptual distance as a multiple of a plain texture warp's: a network must be better than none."""
    matte_iou: float = 0.8
    """Least overlap of the outline with the true one."""
    identity_recovered: float = 0.7
    """Least share of identity recovered: 0 a stranger's face, 1 as like as another photo of the same person."""
    frechet_ratio: float = 2.0
    """Largest Fréchet ratio: how far outputs are from one half of the real held-out photos, as a multiple of how far
    the other half is, both with as many images (a bare Fréchet distance depends on their number). 1 at best."""


class RegisterSettings(Section):
    """Where versions go and what they must reach."""

    model_name: str = "photoshoot"
    """Name of the registered model."""
    gate: GateSettings = GateSettings()
    """Thresholds."""
