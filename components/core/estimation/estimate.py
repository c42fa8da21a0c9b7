"""The people of a photo that comes without a pose map: landmarks, our body fitted to them, its pose map, the matte."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.estimation.confidence import Confidence, confidence_of, either_way, overlap, with_faces
from components.core.estimation.hands import hidden_hands
from components.core.fitting.fit import fit
from components.core.fitting.posemap import pose_map
from components.core.landmarks import search
from components.core.landmarks.finder import find_people
from components.core.landmarks.found import Landmarks
from components.core.landmarks.runtime import network
from components.core.landmarks.yunet import load_yunet
from components.core.matting.refine import Matte, matte_of
from components.core.pictures.borders import hair_on_torso
from components.core.pictures.images import Pixels
from components.core.stores.published import GROUPS

_log = logging.getLogger(__name__)
_LARGEST = 2048
"""Longer sides are scaled down to this for looking; the result is enlarged again."""
_OVERLAP = 0.35
"""Share of a person that lies under another from which the two cannot be told apart."""


@dataclass(frozen=True)
class Estimate:
    """One person of a photo [H, W, 3]."""

    iuv: Pixels
    """Pose map uint8 [H, W, 3] as (I, U, V)."""
    landmarks: Landmarks
    """In pixels of the photo that was looked at."""
    confidence: Confidence
    overlapped: float
    """Share of the person that another person of the photo covers or is covered by, 0..1."""
    hidden: NDArray[np.bool_] | None = None
    """[H, W] where the pose map has a hand that is in a pocket, or behind something; None: nowhere."""

    @property
    def seen_iuv(self) -> Pixels:
        """The pose map without what the photo does not show: what its colours are taken by."""
        return self.iuv if self.hidden is None else np.where(self.hidden[..., None], np.uint8(0), self.iuv)

    def doubt(self, least: float) -> str | None:
        """Why this person cannot be used, in words; None where they can. `least` is the lowest score that will do."""
        if self.overlapped > _OVERLAP:
            return "two people overlap"
        if either_way(self.landmarks):
            return "a hand is before the head: a covered face, or the back of a head"
        if self.confidence.score >= least:
            return None
        why = self.confidence.notes[0] if self.confidence.notes else "body and outline do not go together"
        return f"the pose is not sure enough ({self.confidence.score:.2f} of {least:g}: {why})"


def prepare() -> None:
    """See that the networks can be loaded; those that are not here are fetched. Raises as `runtime.network` does."""
    for name in GROUPS["landmarks"]:
        load_yunet() if name == "yunet" else network(name)


def estimate_people(photo: Pixels) -> list[Estimate]:
    """Everybody in a photo uint8 RGB [H, W, 3], the largest first; [] where nobody is found."""
    size = photo.shape[0], photo.shape[1]
    small = search.reduced(photo, _LARGEST)
    seen = small.shape[0], small.shape[1]
    found = find_people(small)
    masks = [one.mask for one in found]
    faces = search.faces(small) if found else []
    estimates = []
    for number, landmarks in enumerate(found):
        planes = pose_map(fit(landmarks, seen), landmarks, seen)
        planes[hair_on_torso(small, planes, landmarks.mask)] = 0
        hidden = hidden_hands(small, planes, landmarks)
        others = max((overlap(landmarks.mask, mask) for k, mask in enumerate(masks) if k != number), default=0.0)
        confidence = with_faces(confidence_of(landmarks, planes), landmarks, faces)
        full, gone = (each if seen == size else np.asarray(
            cv2.resize(each, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
            for each in (planes, hidden.view(np.uint8)))
        estimates.append(Estimate(full, landmarks, confidence, others, gone > 0 if gone.any() else None))
    return estimates


def best_estimate(photo: Pixels, least: float) -> Estimate:
    """The largest person of a photo. Raises `InputError` where there is none, or none that can be used."""
    found = estimate_people(photo)
    if not found:
        raise InputError("nobody is found in the photo", remedy="bring one that shows a person, or a pose map of it")
    if doubt := found[0].doubt(least):
        raise InputError(doubt, remedy="bring another photo, or a pose map of this one")
    if len(found) > 1:
        _log.warning("%d people are found in the photo: the largest is taken", len(found))
    return found[0]


def cut_out(photo: Pixels, estimate: Estimate, others: NDArray[np.bool_] | None = None) -> Matte:
    """The matte of an estimated person, true to hair and fingers, and the person's own colours along the outline.

    `others` [H, W] says where further people of the photo are: that is not in the matte.
    """
    matte = matte_of(photo, estimate.landmarks, estimate.iuv)
    return matte if others is None else replace(matte, alpha=np.where(others, np.uint8(0), matte.alpha))
