"""How the outline of a pose map lies in a photo: evidence that it is that photo's.

In the photo colours change across a person's outline, more than across the same outline laid elsewhere, and nearer to
it than a little inside or outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels

Floats = NDArray[np.float32]

_SIDE = 160
"""The person's longer side, in pixels, where the picture is looked at; smaller people are at their own size."""
_ROOM = 0.3
"""Room around the person, as a share of the longer side."""
_RIM = 3
_FEWEST_POINTS, _MOST_POINTS = 24, 320
_NEAR, _FAR = 0.0125, 0.08
"""How far from the outline its edge may lie, and how far other edges are looked for: shares of the longer side."""
_EDGE, _EDGE_NEAR = 3.0, 0.9
_DIRECTIONS = np.arange(8) * np.pi / 4
_MOVES = np.asarray([(r * np.cos(a + 10 * r), r * np.sin(a + 10 * r)) for r in (0.08, 0.13, 0.2) for a in _DIRECTIONS],
                    np.float32)
"""Where else the outline is laid, as shares of the longer side: at most a fifth away, all around."""
_LEVELS = 16

EVIDENCE = ("rank", "peak", "rank_peak", "worst", "apart", "near", "nearest", "distance")
"""What `evidence` measures."""
_WEIGHTS = np.asarray([-0.614, 14.152, 23.927, -0.29, 7.037, 13.018, 13.818, 8.775], np.float32)
_BOUND = 20.878
"""Logistic regression: 560 synthetic photos with exact and detector-like maps, as they are and with busy rooms, in
grey, dark, blurred and small, against the maps of other photos, turned, and shifted by a third of the person's width.
Of right ones the bound leaves out 1 of 600 as they are and 1 to 3 % in grey, dark or over a mosaic; of 3,559 maps of
other photos 52 pass."""


@dataclass(frozen=True)
class _View:
    """The person in the photo at the size where it is looked at, [h, w]."""

    photo: Pixels
    body: Pixels
    """1 on the body, 0 elsewhere."""
    length: float
    """The person's longer side here, in pixels."""


def _view(photo: Pixels, labels: Pixels) -> _View:
    x0, y0, width, height = cv2.boundingRect(labels)
    x1, y1, length = x0 + width, y0 + height, max(width, height)
    room, scale = round(_ROOM * length), min(1.0, _SIDE / length)
    rows = slice(max(0, y0 - room), y1 + room)
    columns = slice(max(0, x0 - room), x1 + room)
    inside = photo[rows, columns]
    size = max(8, round(inside.shape[1] * scale)), max(8, round(inside.shape[0] * scale))
    if scale < 0.5:  # OpenCV averages whole blocks of pixels many times faster than parts of them
        half = inside.shape[1] // 2, inside.shape[0] // 2
        inside = np.asarray(cv2.resize(inside[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA))
    body = np.asarray(cv2.resize(labels[rows, columns], size, interpolation=cv2.INTER_NEAREST)) > 0
    return _View(np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), np.uint8), body.astype(np.uint8),
                 scale * length)


def _outline(body: Pixels) -> tuple[Floats, Floats]:
    """Points [n, 2] of the body's rim as (x, y) and the normals there [n, 2], outward; none at the picture's edge."""
    rim = np.asarray(body > cv2.erode(body, np.ones((3, 3), np.uint8)))
    rim[:_RIM] = rim[-_RIM:] = rim[:, :_RIM] = rim[:, -_RIM:] = False
    ys, xs = np.nonzero(rim)
    if len(ys) > _MOST_POINTS:
        taken = np.linspace(0, len(ys) - 1, _MOST_POINTS).astype(np.intp)
        ys, xs = ys[taken], xs[taken]
    soft = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)
    normals = np.stack([soft[ys, xs - 1] - soft[ys, xs + 1], soft[ys - 1, xs] - soft[ys + 1, xs]], axis=1)
    lengths = np.hypot(normals[:, 0], normals[:, 1])
    clear = lengths > 1e-3
    points = np.stack([xs, ys], axis=1)[clear].astype(np.float32)
    return points, np.asarray(normals[clear] / lengths[clear, None], np.float32)


class _Edges:
    """How much the colours of a photo [h, w, 3] change in any direction at any place."""

    def __init__(self, photo: Pixels) -> None:
        lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32) * np.asarray([1, 1.5, 1.5], np.float32)
        soft = cv2.GaussianBlur(lab, (0, 0), 1.0)
        dx, dy = (cv2.Sobel(soft, cv2.CV_32F, i, 1 - i, ksize=3, scale=1 / 8) for i in (1, 0))
        self.shape = photo.shape[:2]
        tensor = np.stack([(dx * dx).sum(axis=2), (dy * dy).sum(axis=2), 2 * (dx * dy).sum(axis=2)], axis=2)
        self._tensor = tensor.reshape(-1, 3)

    def across(self, points: Floats, normals: Floats) -> Floats:
        """The change [..., n] at `points` [..., n, 2] along `normals` [n, 2], per pixel; beyond the edges theirs."""
        height, width = self.shape
        x = np.clip(np.rint(points[..., 0]).astype(np.int32), 0, width - 1)
        y = np.clip(np.rint(points[..., 1]).astype(np.int32), 0, height - 1)
        weights = np.stack([normals[:, 0] ** 2, normals[:, 1] ** 2, normals[:, 0] * normals[:, 1]], axis=1)
        found = np.einsum("...nc,nc->...n", self._tensor.take(y * width + x, axis=0), weights)
        return np.asarray(np.sqrt(np.maximum(found, 0)), np.float32)

    def inside(self, points: Floats) -> NDArray[np.bool_]:
        """Which of `points` [..., 2] lie in the picture and not at its edge."""
        height, width = self.shape
        x, y = points[..., 0], points[..., 1]
        return np.asarray((x >= 2) & (x < width - 2) & (y >= 2) & (y < height - 2))


def evidence(photo: Pixels, labels: Pixels) -> Floats | None:
    """How the outline of part labels [H, W] lies in a photo [H, W, 3], as EVIDENCE names it; None for too little.

    rank: share of places to which the outline is moved where colours change less across it, over its points; worst:
    the same over the third of the outline's pieces where it is least. peak and rank_peak: change, and rank, above the
    best of the moved outlines. apart: how much better colours tell the body's rim from its surroundings than chance.
    near: change at the outline over the most within 8 % of the person's length; nearest: share of points where that
    is all but 1; distance: mean distance of changes from it, of 8 %.
    """
    if not labels.any():
        return None
    view = _view(photo, labels)
    points, normals = _outline(view.body)
    if len(points) < _FEWEST_POINTS:
        return None
    edges = _Edges(view.photo)
    return np.asarray([*_against_elsewhere(edges, points, normals, view.length), _apart(view),
                       *_beside(edges, points, normals, view.length)], np.float32)


def agreement(photo: Pixels, labels: Pixels) -> float | None:
    """How well part labels [H, W] fit a photo [H, W, 3]: over 0 they are taken for its own; None for too little to
    tell."""
    found = evidence(photo, labels)
    return None if found is None else float(found @ _WEIGHTS) - _BOUND


def _against_elsewhere(edges: _Edges, points: Floats, normals: Floats, length: float) -> tuple[float, ...]:
    """rank, peak, rank_peak, worst."""
    moves = np.concatenate([np.zeros((1, 2), np.float32), _MOVES * length])
    places = moves[:, None] + points[None]
    inside = edges.inside(places)
    reach = max(1.0, _NEAR * length)
    change = np.max([edges.across(places + np.float32(o) * normals, normals) for o in (-reach, 0, reach)], axis=0)
    elsewhere = change[1:][inside[1:]]
    elsewhere = np.sort(elsewhere if len(elsewhere) >= 50 else change[1:].ravel())
    ranks = np.searchsorted(elsewhere, change).astype(np.float32) / len(elsewhere)
    counts = inside.sum(axis=1)
    seen = counts[1:] > 0.5 * len(points)
    peaks = []
    for values in (change / (change + _EDGE), ranks):
        means = (values * inside).sum(axis=1) / np.maximum(counts, 1)
        others = means[1:][seen] if np.count_nonzero(seen) >= 4 else means[1:]
        peaks.append(float(means[0] - others.max()))
    return float(ranks[0].mean()), *peaks, _worst_third(points, ranks[0], edges.shape)


def _worst_third(points: Floats, ranks: Floats, shape: tuple[int, int]) -> float:
    """Mean over the third of an 8 x 8 grid's cells that have the least means of ranks."""
    cells = (points * np.asarray([8 / shape[1], 8 / shape[0]], np.float32)).astype(np.intp) @ np.asarray([1, 8])
    counts = np.bincount(cells, minlength=64)
    means = np.sort(np.bincount(cells, ranks, 64)[counts >= 4] / counts[counts >= 4])
    return float(means[: max(1, len(means) // 3)].mean()) if len(means) else 0.5


def _beside(edges: _Edges, points: Floats, normals: Floats, length: float) -> tuple[float, float, float]:
    """near, nearest, distance."""
    offsets = np.linspace(-_FAR, _FAR, 17).astype(np.float32)
    change = edges.across(points[None] + (offsets * length)[:, None, None] * normals[None], normals)
    most, close = change.max(axis=0), change[np.abs(offsets) <= _NEAR].max(axis=0)
    share = close / (most + 1e-3)
    weights = most / (most + _EDGE)
    power = change**2
    away = (power * np.abs(offsets)[:, None]).sum(axis=0) / (power.sum(axis=0) + 1e-6) / _FAR
    total = float(weights.sum()) + 1e-6
    return (float((share * weights).sum()) / total, float(((share > _EDGE_NEAR) * weights).sum()) / total,
            float((away * weights).sum()) / total)


def _apart(view: _View) -> float:
    """Mean of P(body | colour) just inside the outline less that just outside, by histograms of the body and the rest.

    A strip about the outline itself belongs to neither: detectors' outlines are a little off.
    """
    within = cv2.distanceTransform(view.body, cv2.DIST_L2, 3)
    beyond = cv2.distanceTransform(1 - view.body, cv2.DIST_L2, 3)
    strip, far = max(1.5, _NEAR * view.length), 0.05 * view.length
    inner, outer = (within > strip) & (within <= far), (beyond > strip) & (beyond <= far)
    if not inner.any() or not outer.any():
        return 0.0
    levels = (view.photo >> 4).astype(np.int32)
    colours = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    body, rest = _histogram(colours[within > strip]), _histogram(colours[beyond > strip])
    chance = (body + 1e-6) / (body + rest + 2e-6)
    return float(chance[colours[inner]].mean() - chance[colours[outer]].mean())


def _histogram(colours: NDArray[np.int32]) -> Floats:
    """Share of each of 16^3 colours, spread a little over their neighbours."""
    counts = np.bincount(colours, minlength=_LEVELS**3).reshape(_LEVELS, _LEVELS, _LEVELS).astype(np.float32)
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if one == axis else (0, 0) for one in range(3)], mode="edge")
        before, after = (np.take(padded, np.arange(_LEVELS) + shift, axis=axis) for shift in (0, 2))
        counts = counts + 0.5 * (before + after)
    return np.asarray(counts.ravel() / max(float(counts.sum()), 1e-6), np.float32)
