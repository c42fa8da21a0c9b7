"""Settings of the steps that make data: synthesize, preprocess, cluster."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.core.settings.section import Section

Resolution = Literal[64, 128, 256, 512]
Embedder = Literal["auto", "builtin", "builtin-judge", "dlib"]


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
