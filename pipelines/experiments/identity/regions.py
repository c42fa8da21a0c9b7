"""Where a picture is right: the head, texels that the source never showed, what lies off the body.

Whole-person metrics hide what a re-posing network is for. Each region is cut out by the target's pose map and matte,
the same for every method, and measured over the plain background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.core.faces.head import head_box
from components.core.people.dataset import Person
from components.core.pictures import texture
from components.core.pictures.iuv import HEAD_PARTS
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.methods import Method, atlas_of, truth
from components.evaluate.measuring.pairs import EvaluationPair, batches
from components.evaluate.measuring.quality import PLAIN, Images

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

METRICS = ("head_psnr", "head_box_psnr", "unseen_l1", "off_body_l1")
_BATCH = 16
_FEWEST = 8  # Pixels below which a region says nothing.
_NEAR = 16  # A texel within a 16th of its tile from a seen one counts as seen: the rim that unwrapping leaves out.
_SMALLEST_ERROR = 1e-5


@dataclass(frozen=True)
class Regions:
    """Weights [S, S] of the pixels of one output, 0..1."""

    head: Floats
    """On the head's charts."""
    head_box: Floats
    """In the head's box, hair and background with it."""
    unseen: Floats
    """On the body where the source shows no texel nearby."""
    off_body: Floats
    """Of the person, but not on the pose map: hair, skirts."""


@dataclass(frozen=True)
class Regional:
    """Metrics per pair, NaN where a region is too small: see `METRICS`. Sharpness is a ratio of two sums."""

    head_psnr: Floats
    head_box_psnr: Floats
    unseen_l1: Floats
    off_body_l1: Floats
    sharpness: Floats
    """Mean absolute Laplacian inside the head, grey levels."""
    true_sharpness: Floats
    """The same of the real photo."""


def regions(pair: EvaluationPair, source: Person, target: Person) -> Regions:
    """The regions of an output for `pair`."""
    atlas = (source.texture, source.seen)
    if pair.kind == "transfer":
        atlas = texture.splice(atlas, (target.texture, target.seen))
    _, seen = atlas_of(pair, source, target)
    body, matte = target.iuv[..., 0] > 0, target.matte / 255
    shown, _ = texture.sample(np.repeat(_dilated(seen)[..., None] * np.uint8(255), 3, -1), target.iuv)
    box = np.zeros(body.shape)
    if (found := head_box(target.iuv)) is not None:
        box[found[1] : found[3], found[0] : found[2]] = 1
    return Regions(head=np.isin(target.iuv[..., 0], HEAD_PARTS) * matte, head_box=box,
                   unseen=(body & (shown[..., 0] < 128)) * matte, off_body=~body * matte)


def measure_regions(people: Album, pairs: Sequence[EvaluationPair], method: Method) -> Regional:
    """Have `method` render the pairs and measure each region of each output."""
    rows: list[tuple[float, ...]] = []
    for part in batches(pairs, _BATCH):
        rendered, real = method.render(people, part, PLAIN), truth(people, part, PLAIN)
        rows += [_metrics(regions(pair, people[pair.source], people[pair.target]), mine, true)
                 for pair, mine, true in zip(part, rendered.images, real.images, strict=True)]
    columns = np.asarray(rows, np.float64).reshape(len(rows), 6).T
    return Regional(*columns)


def _metrics(where: Regions, image: Images, true: Images) -> tuple[float, ...]:
    apart = (image.astype(np.float64) - true) / 255
    return (_decibels(apart, where.head), _decibels(apart, where.head_box), _mean(np.abs(apart).mean(-1), where.unseen),
            _mean(np.abs(apart).mean(-1), where.off_body), sharpness(image, where.head), sharpness(true, where.head))


def sharpness(image: Images, weight: Floats) -> float:
    """Mean absolute Laplacian of the grey picture [S, S, 3] well inside `weight` [S, S]; NaN for too small a region."""
    grey = image.astype(np.float64).mean(-1)
    inside = weight > 0.5
    centre, around = (slice(1, -1), slice(1, -1)), [(slice(1 + dy, grey.shape[0] - 1 + dy),
                                                     slice(1 + dx, grey.shape[1] - 1 + dx))
                                                    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    laplacian = np.abs(4 * grey[centre] - sum(grey[place] for place in around))
    whole = inside[centre] & np.logical_and.reduce([inside[place] for place in around])
    return float(laplacian[whole].mean()) if whole.sum() >= _FEWEST else float("nan")


def _decibels(apart: Floats, weight: Floats) -> float:
    squared = _mean(np.square(apart).mean(-1), weight)
    return float(-10 * np.log10(max(squared, _SMALLEST_ERROR))) if squared == squared else squared


def _mean(values: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    return float((values * weight).sum() / total) if total >= _FEWEST else float("nan")


def _dilated(seen: Mask) -> npt.NDArray[np.uint8]:
    """Seen texels [24, N, N] and those near them in the same tile."""
    near = max(seen.shape[1] // _NEAR, 1)
    padded = np.pad(seen, ((0, 0), (near, near), (near, near)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * near + 1, 2 * near + 1), axis=(1, 2))
    return np.asarray(windows.any(axis=(-1, -2)), np.uint8)
