"""Makes `components/core/data/chart-table.npz` from landmarks of photos that have a detector's map."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from components.core.errors import InputError
from components.core.fitting.charts import GRID, TABLE, basis
from components.core.fitting.fit import fit
from components.core.fitting.fitted import Floats
from components.core.fitting.posemap import body_in_our_charts
from components.core.landmarks.found import Landmarks
from components.core.pictures.iuv import read_iuv, resize_iuv

_PAIRS = ((4, 3), (5, 6), (8, 7), (10, 9), (12, 11), (14, 13), (15, 16), (17, 18), (19, 20), (21, 22))
_TORSO = (1, 2)
_MIRRORED_U = (3, 6)
"""Right parts whose U runs the other way round than their left counterpart's."""
_LEAST, _SMOOTH = 0.1, 2.0
_FLOOR = 0.03
_COUNT = 400
_ROUNDS = 4


def fit_table(ours: list[Floats], theirs: list[Floats]) -> Floats:
    """The table from pairs of pose maps' pixels: per photo [N, 3] I, U, V (0..255) of ours and of the detector's.

    Only pixels of the same part are looked at; a photo counts at most like 400 of them per part.
    """
    table = np.zeros((25, GRID * GRID, 2), np.float32)
    for left, right in (*_PAIRS, *((part, part) for part in _TORSO)):
        pieces = [_piece(a, b, part, part != left and part in _MIRRORED_U, part in _TORSO)
                  for a, b in zip(ours, theirs, strict=True) for part in dict.fromkeys((left, right))]
        u, v, shift, weight = (np.concatenate([piece[k] for piece in pieces]) for k in range(4))
        solution = _least_deviations(basis(u, v).astype(np.float64), shift, weight)
        for part in (left, right):
            nodes = solution.reshape(GRID, GRID, 2)
            table[part] = (nodes[::-1] * (-1, 1) if part in _MIRRORED_U else nodes).reshape(-1, 2)
    return table


def _piece(ours: Floats, theirs: Floats, part: int, flip: bool, both: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """U, V, what is to be added, and weights of a photo's pixels that show `part` in both maps."""
    same = (ours[:, 0] == part) & (theirs[:, 0] == part)
    (u, v), (to_u, to_v) = (x[same, 1:].T / 255 for x in (ours, theirs))
    if flip:
        u, to_u = 1 - u, 1 - to_u
    shift = np.stack([to_u - u, to_v - v], 1)
    if both:  # the torso's own mirror image
        u, v, shift = np.concatenate([u, u]), np.concatenate([v, 1 - v]), np.concatenate([shift, shift * (1, -1)])
    return u, v, shift, np.full(len(u), min(1.0, _COUNT / max(len(u), 1)))


def _least_deviations(basis: Floats, shift: Floats, weight: Floats) -> Floats:
    """[GRID * GRID, 2] by reweighted least squares, held near 0 and near the neighbouring nodes."""
    number = np.arange(GRID * GRID).reshape(GRID, GRID)
    steps = np.concatenate([np.stack([number[:-1].ravel(), number[1:].ravel()], 1),
                            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], 1)])
    apart = np.eye(GRID * GRID)[steps[:, 0]] - np.eye(GRID * GRID)[steps[:, 1]]
    prior = _LEAST * np.eye(GRID * GRID) + _SMOOTH * apart.T @ apart
    out = np.zeros((GRID * GRID, 2))
    for axis in (0, 1):
        for _ in range(_ROUNDS):
            left = np.abs(shift[:, axis] - basis @ out[:, axis])
            weighed = basis * (weight * 0.05 / np.maximum(left, _FLOOR))[:, None]
            out[:, axis] = np.linalg.solve(basis.T @ weighed + prior, weighed.T @ shift[:, axis])
    return out


def _pixels(landmarks: Path, pose_map: Path) -> tuple[Floats, Floats]:
    """I, U, V [N, 3] of the fitted body and of the detector's map, where both show somebody."""
    with np.load(landmarks) as stored:
        size = int(stored["size"][0]), int(stored["size"][1])
        parts = {name: stored.get(name) for name in ("face", "left_hand", "right_hand")}
        found = Landmarks(stored["body"], stored["visibility"], stored["presence"], stored["world"], parts["face"],
                          parts["left_hand"], parts["right_hand"], stored["mask"], 1.0)
    drawn = body_in_our_charts(fit(found, size), found, size)
    if drawn is None:
        raise InputError("shows nobody", path=landmarks, remedy="leave it out")
    ours, view = drawn
    x0, y0, x1, y1 = view.box
    theirs = resize_iuv(read_iuv(pose_map).planes[y0:y1, x0:x1], view.size)
    mask = cv2.resize(found.mask[y0:y1, x0:x1], view.size[::-1], interpolation=cv2.INTER_AREA)
    both = (ours[..., 0] > 0) & (mask > 127)
    return ours[both].astype(np.float32), theirs[both].astype(np.float32)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("landmarks", type=Path, help="folder of <stem>.npz, the fields of `Landmarks` and size")
    parser.add_argument("maps", type=Path, help="folder of <stem>.png, a detector's pose maps")
    chosen = parser.parse_args()
    pairs = [_pixels(path, chosen.maps / f"{path.stem}.png") for path in sorted(chosen.landmarks.glob("*.npz"))]
    ours, theirs = zip(*pairs, strict=True)
    np.savez_compressed(TABLE, table=fit_table(list(ours), list(theirs)).astype(np.float16))


if __name__ == "__main__":
    main()
