"""The mean face and where its 468 points lie in the head charts: a small table, and how it was made.

Made from landmarks found on photos that have pose maps (`python -m components.core.fitting.head_points --help`): the
points of all faces are laid over one another (scale, turn and shift), their median is made symmetric, and each point
is looked up in the pose maps. Detected maps of real people and exact maps of synthetic ones count the same number of
times each, because the product reads both.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.body.charts import head_chart, head_direction
from components.core.body.head import CENTRE, HeadShape, directions, head_mesh, unit
from components.core.body.meshes import Floats
from components.core.errors import InputError
from components.core.pictures.iuv import HEAD_PARTS, read_iuv

TABLE = Path(__file__).resolve().parent.parent / "data" / "head-points.npz"
MEAN_HEAD = HeadShape(width=1, jaw=1, chin=1, cheek=1, length=1, nose_length=1, nose_width=1, ears=1)
POINTS = 468
CHIN, NOSE_TIP, FOREHEAD = 152, 1, 10
MOUTH_CORNERS = 61, 291
EYE_CORNERS = (33, 133), (263, 362)
"""Outer and inner corner of the right and of the left eye."""
BROWS = (70, 63, 105, 66, 107), (300, 293, 334, 296, 336)
"""From the temple to the nose; right and left."""

_DETECTED = (0.6, 0.7)
"""Share of the maps of real people in a point's azimuth and elevation; the rest is the exact maps'."""
_FACING = 0.35
_NEAR, _NUGGET = 0.22, 0.3


@dataclass(frozen=True)
class HeadPoints:
    """The 468 points of the mean face in the head's own axes: x to the person's left, y up, z forward, metres."""

    points: Floats
    """[468, 3] from the head's middle (`body.head.CENTRE`)."""
    azimuth: Floats
    """[468] radians, as `body.charts.head_chart` takes them."""
    elevation: Floats
    mirror: NDArray[np.int64]
    """[468] the number of each point's counterpart on the other side."""


@lru_cache(maxsize=1)
def head_points() -> HeadPoints:
    """The table that ships with the package."""
    with np.load(TABLE) as table:
        return HeadPoints(table["points"], table["azimuth"], table["elevation"], table["mirror"].astype(np.int64))


def similarity(source: Floats, target: Floats, weight: Floats | None = None) -> tuple[float, Floats, Floats]:
    """Scale, rotation [3, 3] and shift [3] that carry `source` [N, 3] best onto `target` (Umeyama 1991)."""
    share = np.full(len(source), 1 / len(source)) if weight is None else weight / weight.sum()
    from_middle, to_middle = share @ source, share @ target
    a, b = source - from_middle, target - to_middle
    left, size, right = np.linalg.svd((b * share[:, None]).T @ a)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * flip) @ right
    scale = float((size * flip).sum() / max(float((share[:, None] * a * a).sum()), 1e-12))
    return scale, rotation, to_middle - scale * rotation @ from_middle


def mean_face(faces: Floats, rounds: int = 10) -> Floats:
    """[468, 3]: the median of `faces` [F, 468, 3] laid over one another, as long as the first is."""
    mean: Floats = faces[0]
    for _ in range(rounds):
        laid = []
        for face in faces:
            scale, rotation, shift = similarity(face, mean)
            laid.append(scale * face @ rotation.T + shift)
        mean = np.median(laid, axis=0)
        mean = (mean - mean.mean(0)) / np.sqrt(((mean - mean.mean(0)) ** 2).sum(1).mean())
    return mean


def symmetric_face(mean: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """A face turned to the front and made equal on both sides, and each point's counterpart."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    across = mean[EYE_CORNERS[1][0]] - mean[EYE_CORNERS[0][0]]
    across = across / np.linalg.norm(across)
    up = mean[FOREHEAD] - mean[CHIN]
    up = up - (up @ across) * across
    up = up / np.linalg.norm(up)
    face: Floats = mean @ np.stack([across, up, np.cross(across, up)], 1)
    face[:, 0] -= face[[FOREHEAD, NOSE_TIP, CHIN], 0].mean()
    mirrored = face * [-1, 1, 1]
    mirror = linear_sum_assignment(cdist(face, mirrored) ** 2)[1].astype(np.int64)
    return (face + mirrored[mirror]) / 2, mirror


def read_places(face: Floats, planes: NDArray[np.uint8], mean: Floats) -> Floats:
    """[468, 2] azimuth and elevation where a pose map [H, W, 3] puts the points that face the camera; NaN elsewhere."""
    height, width = planes.shape[:2]
    x, y = face[:, 0].astype(int).clip(0, width - 1), (-face[:, 1]).astype(int).clip(0, height - 1)
    part, u, v = planes[y, x].T
    found = np.stack(head_direction(part, u / 255.0, v / 255.0), 1).astype(np.float64)
    rotation = similarity(mean, face)[1]
    outward = mean - [0.0, 0.0, -1.2]
    facing = (outward / np.linalg.norm(outward, axis=1, keepdims=True)) @ rotation[2]
    found[(facing < _FACING) | ~np.isin(part, HEAD_PARTS)] = np.nan
    return found


def _both_sides(places: Floats, mirror: NDArray[np.int64]) -> Floats:
    """[468, 2] medians over maps [M, 468, 2] and both halves of the face."""
    both = np.concatenate([places, places[:, mirror] * [-1, 1]])
    middle: Floats = np.nanmedian(both, axis=0)
    return middle


def _surface_at(places: Floats) -> Floats:
    """[N, 3] places of the mean head's surface in the directions [N, 2], from its middle."""
    ray = directions()[2].astype(np.float64)
    wanted = unit(places[:, 0].astype(np.float32), places[:, 1].astype(np.float32)).astype(np.float64)
    surface = head_mesh(MEAN_HEAD).points - CENTRE
    near = np.argsort(-(wanted @ ray.T), axis=1)[:, :3]
    reach = np.linalg.norm(surface[near], axis=2).mean(1)
    out: Floats = wanted * reach[:, None]
    return out


def _in_the_head(face: Floats, places: Floats) -> Floats:
    """The mean face in metres, laid over the mean head where its points have their places."""
    from scipy.optimize import least_squares

    target = _surface_at(places)

    def laid(q: Floats) -> Floats:
        cos, sin = np.cos(q[1]), np.sin(q[1])
        x, y, z = (face * q[0]).T
        return np.stack([x, y * cos - z * sin + q[2], y * sin + z * cos + q[3]], 1)

    start = np.array([0.05, 0.0, 0.0, 0.06])
    return laid(least_squares(lambda q: (laid(q) - target).ravel(), start, loss="soft_l1", f_scale=0.004).x)


def _smooth(points: Floats, places: Floats, mirror: NDArray[np.int64]) -> Floats:
    """`places` without the noise of the maps: how they leave the points' own directions, averaged over neighbours."""
    own = np.stack(
        [np.arctan2(points[:, 0], points[:, 2]), np.arctan2(points[:, 1], np.hypot(points[:, 0], points[:, 2]))], 1
    )
    ray = points / np.linalg.norm(points, axis=1, keepdims=True)
    kernel = np.exp(-((ray[:, None] - ray) ** 2).sum(2) / (2 * _NEAR**2))
    smooth = own + kernel @ np.linalg.solve(kernel + _NUGGET * np.eye(len(ray)), places - own)
    out: Floats = (smooth + smooth[mirror] * [-1, 1]) / 2
    return out


def make_table(real: list[tuple[Path, Path]], synthetic: list[tuple[Path, Path]]) -> HeadPoints:
    """The table from (landmarks .npz, pose map) pairs of real people and of synthetic ones."""
    faces = {where: _face(where[0]) for where in (*real, *synthetic)}
    seen = [face for where, face in faces.items() if face is not None and where in real]
    if not seen:
        raise InputError("no real person's landmarks have a face: give --real folders with landmarks and pose maps")
    mean, mirror = symmetric_face(mean_face(np.stack(seen)))
    medians = []
    for pairs in (real, synthetic):
        found = [read_places(face, read_iuv(at[1]).planes, mean) for at in pairs if (face := faces[at]) is not None]
        medians.append(_both_sides(np.stack(found), mirror))
    detected, exact_ones = medians
    share = np.array(_DETECTED)
    places = np.where(np.isnan(detected), exact_ones, share * detected + (1 - share) * exact_ones)
    points = _in_the_head(mean, places)
    places = _smooth(points, places, mirror)
    return HeadPoints(
        points.astype(np.float32), places[:, 0].astype(np.float32), places[:, 1].astype(np.float32), mirror
    )


def _face(path: Path) -> Floats | None:
    """The face of one person's landmarks with y up and z toward the camera."""
    with np.load(path) as landmarks:
        return landmarks["face"].astype(np.float64) * [1, -1, -1] if "face" in landmarks else None


def _pairs(landmarks: Path, maps: Path) -> list[tuple[Path, Path]]:
    return [(path, maps / f"{path.stem}.png") for path in sorted(landmarks.glob("*.npz"))]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for who in ("real", "synthetic"):
        parser.add_argument(
            f"--{who}", type=Path, nargs=2, required=True, metavar=("LANDMARKS", "MAPS"), help="folders: .npz, .png"
        )
    chosen = parser.parse_args()
    table = make_table(_pairs(*chosen.real), _pairs(*chosen.synthetic))
    np.savez_compressed(
        TABLE,
        points=table.points,
        azimuth=table.azimuth,
        elevation=table.elevation,
        mirror=table.mirror.astype(np.int16),
    )
    part, u, v = head_chart(table.azimuth, table.elevation)
    for name, numbers in (("chin", (CHIN,)), ("nose tip", (NOSE_TIP,)), ("right mouth corner", MOUTH_CORNERS[:1]),
                          ("right eye", EYE_CORNERS[0]), ("right brow", BROWS[0])):  # fmt: skip
        at = list(numbers)
        print(f"{name}: part {part[at[0]]}, U {u[at].mean():.3f}, V {v[at].mean():.3f}")


if __name__ == "__main__":
    main()
