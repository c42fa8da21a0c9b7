"""Which published weights settings ask for."""

from __future__ import annotations

from collections.abc import Mapping

from components.core.settings import Settings
from components.core.stores.published import GROUPS, KNOWN

INCEPTION = "inception-2015-12-05"
_WITH_DETECTOR: Mapping[str, tuple[str, ...]] = {"sface": GROUPS["faces"]}
"""Embedders that come with a detector of their own."""


def wanted_weights(settings: Settings, photos: bool = False, lacking: bool = True) -> list[str]:
    """Names of published weights that the settings need.

    `photos`: for photos that were brought, not synthetic ones. `lacking`: some of them have no pose map, or nobody
    knows; where each has one, `preprocess.pose_maps` auto takes those and no landmarks.
    """
    plain = lacking or settings.preprocess.pose_maps == "landmarks" if photos else not settings.synthesize.write_maps
    names = list(GROUPS["landmarks"]) if plain and from_landmarks(settings) else []
    for name in (settings.cluster.embedder, settings.evaluate.embedder):
        # Real people are sorted and judged by SFace where nobody says otherwise.
        names += _WITH_DETECTOR.get("sface" if name == "auto" and photos else name, (name,))
    if settings.evaluate.features == "inception":
        names.append(INCEPTION)
    # A search tries weights above 0 whatever the settings say.
    weights, searched = settings.train.weights, settings.tune.enabled
    losses = {settings.train.perceptual: weights.perceptual, settings.train.face: weights.face}
    names += [name for name, weight in losses.items() if weight > 0 or searched]
    return [name for name in dict.fromkeys(names) if name in KNOWN]


def from_landmarks(settings: Settings) -> bool:
    """Whether photos without a pose map get theirs from landmarks."""
    return settings.preprocess.pose_maps in ("auto", "landmarks")
