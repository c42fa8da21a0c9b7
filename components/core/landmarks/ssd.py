"""Single-shot detectors of MediaPipe: anchors, boxes and their points, weighted non-maximum suppression.

The figures are those of MediaPipe's graphs (pose_detection_cpu, face_detection_short_range, face_detection_full_range).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, crop
from components.core.landmarks.runtime import network
from components.core.pictures.images import Pixels

_MOST_LOGIT, _SAME = 100.0, 0.3


@dataclass(frozen=True)
class Detector:
    """`weights` by name; `strides` of its layers of anchors, `per_place` anchors of each layer at each place."""

    weights: str
    size: int
    strides: tuple[int, ...]
    per_place: int
    points: int


BODIES = Detector("blazepose-detector", 224, (8, 16, 32, 32, 32), 2, 4)
"""Boxes are faces; the points: middle of the hips, a point on the circle around the body, and two of the upper body."""
FACES = Detector("face-short-range", 128, (8, 16, 16, 16), 2, 6)
"""Points: right eye, left eye, tip of the nose, mouth, right ear, left ear."""


@dataclass(frozen=True)
class Detection:
    """`box` [4] left, top, right, bottom and `points` [K, 2] in pixels of the photo; `score` 0..1."""

    box: Floats
    points: Floats
    score: float

    def times(self, factor: float) -> Detection:
        """The same in a photo that is `factor` times as large."""
        return Detection(self.box * np.float32(factor), self.points * np.float32(factor), self.score)


def detect(photo: Pixels, detector: Detector, square: Square, least: float = 0.5) -> list[Detection]:
    """What the detector finds in `square` of the photo with a score of at least `least`, the surest first."""
    picture = crop(photo, square, detector.size, black=True)
    outputs = network(detector.weights)(picture, low=-1.0)
    raw, scores = decoded(detector, outputs[0], outputs[1], least)
    merged, scores = suppressed(raw, scores)
    places = [square.to_photo(one.reshape(-1, 2)) for one in merged]
    return [Detection(np.concatenate([p[:2].min(0), p[:2].max(0)]), p[2:], float(s))
            for p, s in zip(places, scores, strict=True)]


@cache
def anchors(size: int, strides: Sequence[int], per_place: int) -> Floats:
    """Middles [N, 2] x, y in 0..1: for each run of equal strides row by row, all of its anchors at a place together."""
    found = []
    for stride, run in groupby(strides):
        places = -(-size // stride)
        y, x = np.mgrid[0:places, 0:places].reshape(2, -1)
        middles = (np.stack([x, y], 1) + 0.5) / places
        found.append(np.repeat(middles, per_place * len(list(run)), axis=0))
    return np.concatenate(found).astype(np.float32)


def decoded(detector: Detector, raw: Floats, logits: Floats, least: float) -> tuple[Floats, Floats]:
    """Corners and points [M, 2 + K, 2] in 0..1 of the square, and scores [M], of at least `least`."""
    scores = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -_MOST_LOGIT, _MOST_LOGIT).astype(np.float64)))
    kept = np.nonzero(scores >= least)[0]
    middle = anchors(detector.size, detector.strides, detector.per_place)[kept, None]
    values = raw[kept].reshape(len(kept), detector.points + 2, 2) / np.float32(detector.size)
    half = values[:, 1:2] / 2
    boxes = np.concatenate([values[:, :1] - half, values[:, :1] + half], 1)
    return np.concatenate([boxes, values[:, 2:]], 1) + middle, scores[kept].astype(np.float32)


def suppressed(found: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """One of each heap of overlapping boxes: their mean, weighted by score, with the best one's score."""
    order = np.argsort(-scores, kind="stable")
    merged, kept = [], []
    while len(order):
        overlap = _overlaps(found[order[0], :2], found[order, :2])
        heap = order[(overlap > _SAME) | (np.arange(len(order)) == 0)]
        merged.append(np.average(found[heap], axis=0, weights=scores[heap]))
        kept.append(scores[order[0]])
        order = order[~np.isin(order, heap)]
    return np.array(merged, np.float32).reshape(-1, *found.shape[1:]), np.array(kept, np.float32)


def _overlaps(one: Floats, many: Floats) -> Floats:
    """Intersection over union of a box [2, 2] (corners) with boxes [N, 2, 2]."""
    sides = np.minimum(one[1], many[:, 1]) - np.maximum(one[0], many[:, 0])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(one[1] - one[0]) + np.prod(many[:, 1] - many[:, 0], axis=1) - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float32)
