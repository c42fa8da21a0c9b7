"""One typed settings tree: a section per step, each field with its meaning beside it.

Presets are Python (`presets.py`); YAML goes in and out; ``--set train.batch=8`` changes one value. A key that does
not exist is an error that names the nearest one that does. Sections are frozen: a step cannot change what it was
given, so what is saved with a run is what ran.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.errors import SettingsError, machine_errors

Resolution = Literal[64, 128, 256, 512]
Embedder = Literal["auto", "builtin", "builtin-judge", "dlib"]


class Section(BaseModel):
    """Base of all sections: unknown keys refused, values frozen, docstrings of fields kept as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SynthesizeSettings(Section):
    """People who do not exist, rendered with exact pose maps."""

    people: int = Field(60, ge=1)
    """How many identities."""
    photos_per_person: int = Field(6, ge=1)
    """Photos of each identity."""
    outfits_per_person: int = Field(2, ge=1)
    """Outfits over which an identity's photos are spread."""
    height: int = Field(256, ge=64, le=2048)
    """Photo height in pixels; the width is three quarters of it."""
    back_views: float = Field(0.15, ge=0, le=1)
    """Share of photos taken from behind."""
    pose_noise: float = Field(0.0, ge=0, le=1)
    """0: exact pose maps; 1: as noisy as a detector's."""
    write_mattes: bool = False
    """Also write exact mattes to matte/, as somebody with a matting tool would bring."""
    first_person: int = Field(0, ge=0)
    """Index of the first identity: populations that do not overlap are disjoint people."""
    seed: int = 0
    """Same seed, same photos."""


class PreprocessSettings(Section):
    """From photos with pose maps to person crops, mattes and texture maps."""

    resolution: Resolution = 128
    """Side of the square person crop in pixels; the networks take their size from it."""
    texel: int = Field(32, ge=8, le=256)
    """Side of one of the 24 texture atlas tiles."""
    margin: float = Field(0.08, ge=0, le=1)
    """Room around the person's box, as a share of its longer side."""
    matte: Literal["auto", "silhouette"] = "auto"
    """auto: the user's own matte/<stem>.png where there is one, else GrabCut seeded by the pose map;
    silhouette: the pose map's outline as it is."""
    erode: float = Field(0.006, ge=0, le=0.1)
    """How far the silhouette shrinks before unwrapping, as a share of the crop's side: keeps background out of
    the texture."""
    min_person: int = Field(48, ge=8)
    """Smallest side in pixels of a person's box in the photo."""
    min_coverage: float = Field(0.01, ge=0, le=1)
    """Smallest share of the 24 tiles' texels that the photo must show."""
    max_megapixels: float = Field(80.0, gt=0)
    """Photos that unpack to more than this are refused (image bombs)."""
    shard_size: int = Field(256, ge=1)
    """People per shard."""


class ClusterSettings(Section):
    """Who is who, and who may be trained on."""

    embedder: Embedder = "auto"
    """Face embedder. auto: `builtin` for synthetic people, `dlib` for photos."""
    method: Literal["kmeans", "average", "hdbscan"] = "kmeans"
    """Clustering method."""
    identities: int | None = Field(None, ge=1)
    """How many people there are; found by silhouette when not given (K-means, average linkage)."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of identities kept for validation."""
    test: float = Field(0.25, gt=0, lt=1)
    """Share of identities kept for evaluation, never trained on."""
    seed: int = 0
    """Seed of K-means and of the split's hash."""


class LossWeights(Section):
    """Weights of the generator's losses; 0 switches one off."""

    l1: float = Field(5.0, ge=0)
    """Absolute difference inside the person."""
    perceptual: float = Field(4.0, ge=0)
    """Distance between network features."""
    face: float = Field(1.0, ge=0)
    """Identity of the aligned head crop, where the face is seen and large enough."""
    gan: float = Field(0.1, ge=0)
    """Non-saturating GAN loss."""
    patch: float = Field(0.05, ge=0)
    """Co-occurrence patch loss on the re-posed image."""
    matte: float = Field(2.0, ge=0)
    """Difference of the matte."""
    r1_gamma: float = Field(1.0, ge=0)
    """R1 gradient penalty of both discriminators."""
    r1_every: int = Field(16, ge=1)
    """Steps between R1 penalties (lazy regularisation)."""


class TrainSettings(Section):
    """The networks and how they are trained."""

    generator: Literal["paper", "warp"] = "warp"
    """paper: appearance through ANet's vector alone; warp: also the source texture sampled at the target pose."""
    steps: int = Field(380, ge=1)
    """Optimiser steps of the generator."""
    batch: int = Field(8, ge=1)
    """Pairs per step (all processes together)."""
    width: int = Field(16, ge=4)
    """Channels at full resolution; they double at each halving. The discriminators have half as many."""
    max_width: int = Field(256, ge=8)
    """Most channels anywhere."""
    latent: int = Field(256, ge=8)
    """Length of ANet's appearance vector (2048 in the paper)."""
    learning_rate: float = Field(0.004, gt=0)
    """Adam's learning rate of generator and discriminators."""
    learning_rate_end: float = Field(0.1, gt=0, le=1)
    """Learning rate at the last step, as a share of the first; cosine in between."""
    gan_start: float = Field(0.8, ge=0, le=1)
    """Share of the steps after which the GAN and patch losses begin."""
    ema: float = Field(0.995, ge=0, lt=1)
    """Decay of the averaged generator, warmed up from 0."""
    reconstruction: float = Field(0.25, ge=0, le=1)
    """Share of each batch in which source and target are the same photo (the paper's first term)."""
    augment: bool = True
    """One random colour change for texture, target and person alike."""
    weights: LossWeights = LossWeights()
    """Loss weights."""
    perceptual: Literal["builtin"] = "builtin"
    """Network of the perceptual loss."""
    face: Literal["auto", "builtin", "dlib"] = "auto"
    """Network of the face loss. auto: `builtin` for synthetic people, `dlib` for photos."""
    log_every: int = Field(20, ge=1)
    """Steps between logged losses."""
    sample_every: int = Field(150, ge=1)
    """Steps between sample grids."""
    checkpoint_every: int = Field(200, ge=1)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    """Checkpoints kept."""
    device: str = "auto"
    """auto: a CUDA GPU where there is one; or cpu, cuda, cuda:1."""
    seed: int = 0
    """Seed of initialisation, sampling and augmentation."""


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


class Settings(Section):
    """The whole tree, as saved with every run."""

    preset: str = "demo"
    """Preset that the settings started from."""
    experiment: str = "photoshoot"
    """MLflow experiment."""
    synthesize: SynthesizeSettings = SynthesizeSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    cluster: ClusterSettings = ClusterSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    @model_validator(mode="after")
    def _splits_leave_training(self) -> Self:
        if self.cluster.validation + self.cluster.test >= 1:
            raise ValueError("cluster.validation and cluster.test leave nobody to train on: their sum must be below 1")
        return self

    def with_changes(self, changes: Iterable[str]) -> Settings:
        """Apply ``section.key=value`` changes; values are YAML (``8``, ``true``, ``null``, ``[1, 2]``).

        Raises `SettingsError` that names the nearest known key for one that does not exist.
        """
        tree = self.to_tree()
        for change in changes:
            key, separator, value = change.partition("=")
            if not separator:
                raise SettingsError(f"--set {change}: no value", remedy="write it as section.key=value")
            _assign(tree, key.strip(), _yaml(value, f"--set {change}"))
        return Settings.from_tree(tree, source="--set")

    def to_tree(self) -> dict[str, Any]:
        """Plain dictionaries, lists and scalars."""
        return self.model_dump(by_alias=True, mode="json")

    def to_yaml(self) -> str:
        """The whole tree as YAML, in the order of the fields."""
        return yaml.safe_dump(self.to_tree(), sort_keys=False, allow_unicode=True)

    @staticmethod
    def from_tree(tree: Mapping[str, Any], *, source: str = "settings") -> Settings:
        """Validate a tree; missing keys take their defaults. Raises `SettingsError`; `source` names its origin."""
        unknown = next(_unknown_keys(Settings, tree), None)
        if unknown:
            key, known = unknown
            raise SettingsError(f"{source}: unknown setting {key}", remedy=_nearest(key, known))
        try:
            return Settings.model_validate(dict(tree))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "settings"
            message = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{source}: {where} = {first['input']!r}: {message}"
                                if first["loc"] else f"{source}: {message}",
                                remedy=f"see `photoshoot settings` for the meaning of {where}") from None

    @staticmethod
    def from_yaml(path: Path, base: Settings | None = None) -> Settings:
        """Read a YAML file over `base` (default: the defaults). Raises `SettingsError`."""
        with machine_errors(path):
            try:
                text = path.read_text(encoding="utf-8")
            except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
                raise SettingsError("not a readable settings file", path=path,
                                    remedy="`photoshoot settings > settings.yaml` writes one to start from") from None
        tree = _yaml(text, str(path))
        if not isinstance(tree, dict):
            raise SettingsError("settings are sections with keys", path=path,
                                remedy="`photoshoot settings > settings.yaml` writes one to start from")
        merged = _merge((base or Settings()).to_tree(), tree)
        return Settings.from_tree(merged, source=str(path))


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{source}: not YAML: {reason}", remedy="quote text that holds : or #") from None


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        below = tree.setdefault(section, {})
        if not isinstance(below, dict):
            below = tree[section] = {}
        tree = below
    tree[last] = value


def _section_of(annotation: Any) -> type[Section] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)


def _children(section: type[Section]) -> dict[str, type[Section] | None]:
    return {(field.alias or name): _section_of(field.annotation) for name, field in section.model_fields.items()}


def _paths(section: type[Section], prefix: str = "") -> list[str]:
    paths = []
    for name, below in _children(section).items():
        paths.append(prefix + name)
        if below:
            paths += _paths(below, f"{prefix}{name}.")
    return paths


def _unknown_keys(section: type[Section], tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    children = _children(section)
    for key, value in tree.items():
        if key not in children:
            yield f"{prefix}{key}", _paths(Settings)
        elif (below := children[key]) and isinstance(value, Mapping):
            yield from _unknown_keys(below, value, f"{prefix}{key}.")


def _nearest(key: str, known: list[str]) -> str:
    """Nearest whole path, else the path whose last part is nearest to the key's last part."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        last = key.rpartition(".")[2]
        by_last = {path.rpartition(".")[2]: path for path in reversed(known)}
        close = [by_last[name] for name in difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.6)]
    return f"did you mean {close[0]}?" if close else "`photoshoot settings` lists them all"
