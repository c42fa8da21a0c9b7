"""Where the 468 points of a face lie in the head charts: the table that the head of a plain photo is drawn by.

The points of all faces of real people are laid over one another (scale, turn and shift), their median is made
symmetric and laid over the synthesiser's mean head; each point is looked up in the pose maps of its photo. Detected
maps of real people and exact maps of synthetic ones both have their share, because the product reads both.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.core.body.charts import head_chart, head_direction
from components.core.body.head import CENTRE, directions, head_mesh, unit
from components.core.body.meshes import Floats
from components.core.errors import InputError, PhotoshootError
from components.core.fitting.head_points import (
    BROWS,
    CHIN,
    EYE_CORNERS,
    FOREHEAD,
    MEAN_HEAD,
    MOUTH_CORNERS,
    NOSE_TIP,
    TABLE,
    HeadPoints,
    similarity,
)
from components.core.landmarks.finder import find_people
from components.core.pictures.images import Pixels, read_photo
from components.core.pictures.iuv import HEAD_PARTS, read_iuv

_DETECTED = (0.45, 0.65)
"""Share of the maps of real people in a point's azimuth and elevation; the rest is the exact maps'."""
_FACING = 0.35
_NEAR, _NUGGET = 0.22, 0.3


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


def read_places(face: Floats, planes: Pixels, mean: Floats) -> Floats:
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a point that no map shows stays NaN
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


def _in_the_head(face: Floats, places: Floats, known: NDArray[np.bool_]) -> Floats:
    """The mean face in metres, laid over the mean head where its points have known places."""
    from scipy.optimize import least_squares

    target = _surface_at(places[known])

    def laid(q: Floats) -> Floats:
        cos, sin = np.cos(q[1]), np.sin(q[1])
        x, y, z = (face * q[0]).T
        return np.stack([x, y * cos - z * sin + q[2], y * sin + z * cos + q[3]], 1)

    start = np.array([0.05, 0.0, 0.0, 0.06])
    return laid(least_squares(lambda q: (laid(q)[known] - target).ravel(), start, loss="soft_l1", f_scale=0.004).x)


def _smooth(points: Floats, places: Floats, known: NDArray[np.bool_], mirror: NDArray[np.int64]) -> Floats:
    """`places` without the noise of the maps: how they leave the points' own directions, averaged over neighbours."""
    own = np.stack(
        [np.arctan2(points[:, 0], points[:, 2]), np.arctan2(points[:, 1], np.hypot(points[:, 0], points[:, 2]))], 1
    )
    ray = points / np.linalg.norm(points, axis=1, keepdims=True)
    kernel = np.exp(-((ray[:, None] - ray[known]) ** 2).sum(2) / (2 * _NEAR**2))
    smooth = own + kernel @ np.linalg.solve(kernel[known] + _NUGGET * np.eye(known.sum()), (places - own)[known])
    out: Floats = (smooth + smooth[mirror] * [-1, 1]) / 2
    return out


def make_table(real: list[tuple[Floats, Pixels]], synthetic: list[tuple[Floats, Pixels]]) -> HeadPoints:
    """The table from faces [468, 3] in picture axes (y up, z toward the camera) with the pose maps of their photos."""
    mean, mirror = symmetric_face(mean_face(np.stack([face for face, _ in real])))
    detected, exact_ones = (
        _both_sides(np.stack([read_places(face, planes, mean) for face, planes in faces]), mirror)
        for faces in (real, synthetic)
    )
    share = np.array(_DETECTED)
    places = np.where(np.isnan(detected), exact_ones, share * detected + (1 - share) * exact_ones)
    known = np.asarray(~np.isnan(places).any(1))
    points = _in_the_head(mean, places, known)
    places = _smooth(points, places, known, mirror)
    return HeadPoints(
        points.astype(np.float32), places[:, 0].astype(np.float32), places[:, 1].astype(np.float32), mirror
    )


def _faces(photos: Path, maps: Path) -> list[tuple[Floats, Pixels]]:
    """The face of the largest person in each photo that has a pose map and shows a face, with that map."""
    found: list[tuple[Floats, Pixels]] = []
    for path in sorted(photos.iterdir()):
        if not (maps / f"{path.stem}.png").exists():
            continue
        people = find_people(read_photo(path))
        if people and people[0].face is not None:
            face = people[0].face.astype(np.float64) * [1, -1, -1]
            found.append((face, read_iuv(maps / f"{path.stem}.png").planes))
    if not found:
        raise InputError(f"{photos} shows no face in a photo that has a pose map in {maps}: name other folders")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the table and print the places of the best known points."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pretraining.tables.head_points", description=__doc__)
    for who in ("real", "synthetic"):
        parser.add_argument(f"--{who}", type=Path, nargs=2, required=True, metavar=("PHOTOS", "MAPS"),
                            help="folders of photos and of their pose maps, <stem>.png")  # fmt: skip
    parser.add_argument("--out", type=Path, default=TABLE, help="default: where the package reads it")
    given = parser.parse_args(arguments)
    try:
        table = make_table(_faces(*given.real), _faces(*given.synthetic))
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    np.savez_compressed(given.out, points=table.points, azimuth=table.azimuth, elevation=table.elevation,
                        mirror=table.mirror.astype(np.int16))  # fmt: skip
    part, u, v = head_chart(table.azimuth, table.elevation)
    for name, numbers in (("chin", (CHIN,)), ("nose tip", (NOSE_TIP,)), ("right mouth corner", MOUTH_CORNERS[:1]),
                          ("right eye", EYE_CORNERS[0]), ("right brow", BROWS[0])):  # fmt: skip
        at = list(numbers)
        print(f"{name}: part {part[at[0]]}, U {u[at].mean():.3f}, V {v[at].mean():.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
