"""Settings of evaluation, gate and registry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.core.settings.data import Embedder
from components.core.settings.section import IMAGES, SEED, THRESHOLD, Section, at_most

MARGIN = at_most(1_000_000, "no metric goes there")


class EvaluateSettings(Section):
    """How a model is judged."""

    split: Literal["validation", "test"] = "test"
    """Which identities to evaluate on."""
    size: int | None = Field(None, ge=64, **at_most(2048, "no larger picture is made of a person"))
    """Side in pixels at which pictures are painted and judged, by model and baselines alike. null: the networks' side,
    doubled as long as half of the held-out people's photos fill it by four fifths and larger crops of them are kept
    (`preprocess.large`)."""
    pairs: int = Field(256, ge=1, **IMAGES)
    """Maximum number of ordered source-target pairs, chosen by seed."""
    min_images: int = Field(32, ge=2, **IMAGES)
    """Minimum number of images for a Fréchet or kernel distance; with fewer there is no number."""
    embedder: Embedder = "auto"
    """Face embedder that judges. auto: `builtin-judge` for synthetic people, `sface` for photos: neither is in
    any loss. Whether a face is there is said by this project's finder for synthetic people, by YuNet for photos."""
    features: Literal["builtin", "inception"] = "builtin"
    """Feature network of the Fréchet and kernel distances. inception: metrics like those of papers, weights by name."""
    perceptual: Literal["builtin"] = "builtin"
    """Network of the perceptual distance."""
    rows: int = Field(8, ge=1, **at_most(1000, "the contact sheet is one picture"))
    """Number of rows of the contact sheet."""
    bootstrap: int = Field(500, ge=100, **at_most(100_000, "ends of intervals settle long before"))
    """Number of bootstrap resamples for each 95 % interval."""
    probes: int = Field(64, ge=8, **IMAGES)
    """Training photos that the model is asked to give back, for the tests of memorisation."""
    distractors: int = Field(99, ge=9, **IMAGES)
    """Other photos' backgrounds among which a training photo's own is looked for."""
    training_photos: int = Field(1024, ge=16, **IMAGES)
    """Most training photos, chosen by seed, that outputs and faces are compared with."""
    seed: int = Field(0, ge=0, **SEED)
    """Random seed of the choice of pairs and of the resamples."""


class GateSettings(Section):
    """What a version must reach. A metric that is missing fails."""

    min_pairs: int = Field(24, ge=1, **IMAGES)
    """Minimum number of evaluated pairs."""
    min_people: int = Field(5, ge=1, **IMAGES)
    """Minimum number of people whom these pairs are of: with fewer an interval says nothing of anybody else, and
    nothing is judged."""
    ssim: float = Field(0.6, **THRESHOLD)
    """Minimum SSIM inside the person."""
    perceptual: float = Field(0.3, **THRESHOLD)
    """Maximum perceptual distance."""
    over_warp: float = Field(1.0, **THRESHOLD)
    """Maximum perceptual distance as a multiple of the texture warp's: a network must be better than none."""
    matte_iou: float = Field(0.8, **THRESHOLD)
    """Minimum overlap of the outline with the true one."""
    identity_recovered: float = Field(0.7, **THRESHOLD)
    """Minimum share of identity recovered: 0 a stranger's face, 1 as similar as another photo of the same person."""
    frechet_ratio: float = Field(2.0, **THRESHOLD)
    """Maximum Fréchet ratio: how far outputs are from one half of the real held-out photos, as a multiple of how far
    the other half is, both with as many images (a bare Fréchet distance depends on their number). 1 at best."""
    features: Literal["builtin-features", "inception-2015-12-05"] = "builtin-features"
    """Feature network that the bound of the Fréchet ratio is for; metrics of another one fail."""
    pose_fidelity: float | None = Field(0.85, **THRESHOLD)
    """Minimum agreement of body parts with the pose asked for, as a share of the real photos' own. null: not asked."""
    face_found: float | None = Field(0.8, **THRESHOLD)
    """Minimum share of outputs in which a face is found where there should be one. null: not asked."""
    face_error: float | None = Field(0.12, **THRESHOLD)
    """Maximum absolute difference on the face, 0..1. null: not asked; the same for the other parts."""
    hands_error: float | None = Field(0.2, **THRESHOLD)
    """Maximum absolute difference on the hands."""
    upper_body_error: float | None = Field(0.12, **THRESHOLD)
    """Maximum absolute difference on torso and arms."""
    lower_body_error: float | None = Field(0.15, **THRESHOLD)
    """Maximum absolute difference on legs and feet."""
    background_retrieval: float = Field(0.1, **THRESHOLD)
    """Maximum share of training photos whose background comes back, beyond chance."""
    counterfactual_swap: float = Field(0.1, **THRESHOLD)
    """Maximum share of training poses in another person's texture with a background of either, beyond chance."""
    training_gap: float = Field(0.35, **THRESHOLD)
    """Maximum share by which the error on training people lies under that on held-out people."""
    identity_capture: float = Field(0.1, **THRESHOLD)
    """Most by which outputs are nearer to a training person's face more often than real photos are, as a share."""
    neighbour_test: float = Field(-3.0, **THRESHOLD)
    """Minimum z-score of distances to the nearest training photo, outputs against held-out real photos."""


class ChampionSettings(Section):
    """What a version must keep of what the champion reaches, both evaluated on the same pairs.

    A gain is the new model's metric minus the champion's, turned so that above 0 is better. Of each headline gain
    the lower end of its 95 % interval must stay above minus the margin: no worse, as far as these pairs can tell.
    """

    min_pairs: int = Field(16, ge=1, **IMAGES)
    """Minimum number of pairs of people whom neither model was trained on; with fewer there is no comparison."""
    ssim: float = Field(0.01, ge=0, **MARGIN)
    """Margin of the SSIM inside the person."""
    perceptual: float = Field(0.01, ge=0, **MARGIN)
    """Margin of the perceptual distance."""
    matte_iou: float = Field(0.01, ge=0, **MARGIN)
    """Margin of the outline's overlap with the true one."""
    pose: float = Field(0.02, ge=0, **MARGIN)
    """Margin of the pose fidelity."""
    face_similarity: float = Field(0.03, ge=0, **MARGIN)
    """Margin of the face similarity (cosine)."""
    parts: float = Field(0.01, ge=0, **MARGIN)
    """Most by which the mean error of a body part (0..1) may grow: face, hands, upper body, lower body."""
    slices: float = Field(0.02, ge=0, **MARGIN)
    """Most by which the mean perceptual distance of a slice of the pairs may grow: a view, a kind of clothes."""
    min_slice: int = Field(12, ge=1, **IMAGES)
    """Minimum number of pairs of a slice or part that is judged; smaller ones are listed, no more."""
    incomparable: Literal["fail", "pass"] = "fail"
    """What the gate says where the champion cannot be compared with: another resolution, or trained on these people."""


class RegisterSettings(Section):
    """Where versions go and what they must reach."""

    model_name: str = "photoshoot"
    """Name of the registered model."""
    gate: GateSettings = GateSettings()
    """Thresholds."""
    champion: ChampionSettings = ChampionSettings()
    """Margins of the comparison with the champion."""
    auto_promote: Literal["never", "first", "passed"] = "first"
    """When a run's version becomes champion at once: never; when it passed and there is none; whenever it passed."""
