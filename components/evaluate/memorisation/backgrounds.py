"""Does a picture show somebody's room? Backgrounds compared outside the people who stand before them.

A background is looked at outside the silhouette (pose map and matte), dilated by `MARGIN` of the side, on a grid of
`GRID` x `GRID` cells. From every picture the mean picture of its kind is taken away, what is left is compared by its
cosine over the cells that both show: so a faint memory counts as much as a strong one, and what all pictures have in
common (a wall, a vignette) counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.core.people.dataset import Person
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.quality import Images

Bools = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float32]

GRID = 32
MARGIN = 0.06
FLAT = 1.0
"""Grey levels (root mean square) under which what is left of a picture is rounding, not a background."""
ALIKE = 12.0
"""Mean difference in grey levels under which two photos show the same background."""
_LEAST_CELLS = 32


@dataclass(frozen=True)
class Views:
    """Pictures [n, G, G, 3] in grey levels 0..255, reduced to the grid, and the cells [n, G, G] that count: those
    mostly outside the person."""

    colours: Array
    clear: Bools

    def __len__(self) -> int:
        return len(self.colours)

    def take(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> Views:
        """Some of them."""
        return Views(self.colours[rows], self.clear[rows])


def surroundings(person: Person) -> Bools:
    """Where a photo shows neither the person nor the dilated rim around them: bool [S, S]."""
    silhouette = ((person.iuv[..., 0] > 0) | (person.matte > 127)).astype(np.uint8)
    radius = max(1, round(MARGIN * silhouette.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(silhouette, kernel) == 0)


def views(pictures: Images, around: Bools) -> Views:
    """Reduce pictures [n, S, S, 3] and where they count [n, S, S] to the grid, by the mean of the pixels that count."""
    colours = np.zeros((len(pictures), GRID, GRID, 3), np.float32)
    clear = np.zeros((len(pictures), GRID, GRID), np.bool_)
    for k, (picture, mask) in enumerate(zip(pictures, around, strict=True)):
        weight = mask.astype(np.float32)
        share = np.asarray(cv2.resize(weight, (GRID, GRID), interpolation=cv2.INTER_AREA))
        masked = np.asarray(cv2.resize(picture * weight[..., None], (GRID, GRID), interpolation=cv2.INTER_AREA))
        colours[k] = masked / np.maximum(share, 1e-6)[..., None]
        clear[k] = share > 0.5
    return Views(colours * clear[..., None], clear)


def photographed(people: Album, indices: Sequence[int]) -> Views:
    """The backgrounds of photos of the data set."""
    parts = [people[int(index)] for index in indices]
    if not parts:
        return Views(np.zeros((0, GRID, GRID, 3), np.float32), np.zeros((0, GRID, GRID), np.bool_))
    return views(np.stack([person.photo for person in parts]), np.stack([surroundings(person) for person in parts]))


def likeness(seen: Views, known: Views) -> Array:
    """Cosines [n, m] of what n pictures and m backgrounds show beyond the mean of their kind; 0 where a picture shows
    nothing (FLAT) or the two have too few cells in common."""
    ours, ours_energy, ours_mask = _centred(seen)
    theirs, theirs_energy, theirs_mask = _centred(known)
    across = ours @ theirs.T
    energy = (ours_energy @ theirs_mask.T) * (ours_mask @ theirs_energy.T)
    common = ours_mask @ theirs_mask.T
    level = ours_energy.sum(axis=1) / np.maximum(3 * ours_mask.sum(axis=1), 1)
    usable = (energy > 0) & (common >= _LEAST_CELLS) & (level >= FLAT**2)[:, None]
    cosine: Array = np.where(usable, across / np.sqrt(np.maximum(energy, 1e-9)), 0).astype(np.float32)
    return cosine


def apart(first: Views, second: Views) -> Array:
    """Mean absolute difference in grey levels [n, m] over the cells that both show; infinite where too few."""
    out = np.full((len(first), len(second)), np.inf, np.float32)
    for k in range(len(first)):
        both = first.clear[k] & second.clear
        cells = both.sum(axis=(1, 2))
        total = (np.abs(first.colours[k] - second.colours).mean(axis=3) * both).sum(axis=(1, 2))
        out[k] = np.where(cells >= _LEAST_CELLS, total / np.maximum(cells, 1), np.inf)
    return out


def first_share(row: Array, own: Sequence[int], others: npt.NDArray[np.intp]) -> float:
    """How much of the first place the `own` columns of a row of likenesses take among themselves and `others`: 1, 0, or
    a share of a tie. A row of equals gives each its chance."""
    columns = np.concatenate([np.asarray(own, np.intp), others])
    best = row[columns] >= row[columns].max()
    return float(best[: len(own)].sum() / best.sum())


def _centred(seen: Views) -> tuple[Array, Array, Array]:
    """Flat rows [n, 3 G G] less the mean of their kind, their energy per cell [n, G G], their cells [n, G G]."""
    mask = seen.clear.astype(np.float32)
    shown = np.maximum(mask.sum(axis=0), 1)[..., None]
    mean = seen.colours.sum(axis=0) / shown
    centred = (seen.colours - mean) * mask[..., None]
    count = len(seen)
    return (centred.reshape(count, -1), (centred**2).sum(axis=3).reshape(count, -1), mask.reshape(count, -1))
