"""The head in a pose map: where it is, whether its face is seen, where eyes, nose and mouth are, the face cut out.

No face detector: DensePose's two head charts (part 23 the person's right half, 24 the left) say where on the head a
pixel lies. Both halves together have one coordinate `around`, an angle-like number: 0 at the middle of the face,
-1 and 1 at the back, negative on the person's right; and `up`, the chart's V: chin 0.25, brows 0.71. The landmark
positions below are medians over 22 photos of dlib's landmarks looked up in their pose maps (spread about 0.05).

NumPy only: preparing photos must not load torch. `recognition.py` has the same alignment for tensors, and who it is.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
View = Literal["front", "side", "back"]

_RIGHT, _LEFT = 23, 24
_TORSO_BACK, _TORSO_FRONT = 1, 2

LANDMARKS = ("right eye", "left eye", "nose tip", "right mouth corner", "left mouth corner")
_LANDMARKS: Floats = np.asarray([(-0.22, 0.63), (0.20, 0.63), (0.0, 0.51), (-0.13, 0.39), (0.15, 0.39)])
"""Landmarks as (around, up), in the order of LANDMARKS; the person's right is the image's left in a front view."""

_CANONICAL: Floats = np.asarray([(0.229, 0.216), (0.751, 0.216), (0.490, 0.516), (0.254, 0.780), (0.726, 0.780)])
"""The landmarks of the mean face in dlib's unit face square (its alignment targets, eyes averaged), as (x, y)."""
_PADDING = 0.25
"""Room around the unit face square in an aligned face, as a share of its side: what dlib's network was made with."""

CANONICAL_FACE: Floats = (_CANONICAL + _PADDING) / (1 + 2 * _PADDING)
"""The landmarks in an aligned face of side 1, as (x, y)."""

_FACE_AROUND, _FACE_UP = 0.3, (0.25, 0.75)
_MIN_FACE_PIXELS = 8
_MIN_FACE_SHARE = 0.1
"""Least share of the head's pixels that lie on the face: 0.33 to 0.41 in front and side views, 0 from behind."""
_SIDE, _BACK = 0.25, 0.6
"""|around| of the head's middle from which a head is seen from the side (45 degrees) and from behind."""
_MOST_PIXELS = 4096
"""Head pixels that are enough to fit the landmarks; of larger heads every n-th is taken."""
MIN_HEAD = 12
"""Default smallest height in pixels of a head that is worth aligning: a fifth of a 64 px crop, rounded down."""
CHIP = 150
"""Side of the face chips that the people data set keeps: what dlib's network takes; the others take less."""
MOST_SUPERSAMPLING = 16


def head_box(iuv: Pixels) -> tuple[int, int, int, int] | None:
    """Bounding box (x0, y0, x1, y1) of the head in a pose map [H, W, 3], half-open; None where no head shows.

    A row or column counts when it holds more than one head pixel and more than a twentieth of the fullest one's, so
    that a detector's stray pixels do not stretch the box.
    """
    head = _is_head(iuv)
    if not head.any():
        return None
    ys, xs = _filled(head.sum(axis=1)), _filled(head.sum(axis=0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def _filled(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    most = counts.max()
    return np.flatnonzero(counts > min(max(1.0, 0.05 * most), most - 1))


def face_seen(iuv: Pixels) -> bool:
    """Whether the pose map [H, W, 3] shows the face, not only the head: false for a person seen from behind."""
    _, around, up = _head_coordinates(iuv)
    return _shows_face(around, up)


def _shows_face(around: Floats, up: Floats) -> bool:
    if len(around) == 0:
        return False
    face = (np.abs(around) < _FACE_AROUND) & (up > _FACE_UP[0]) & (up < _FACE_UP[1])
    return bool(face.sum() >= _MIN_FACE_PIXELS and face.mean() >= _MIN_FACE_SHARE)


def view(iuv: Pixels) -> View:
    """From which side the head is seen; where no head shows, the torso decides (None of both counts as back)."""
    _, around, up = _head_coordinates(iuv)
    if len(around) >= _MIN_FACE_PIXELS:
        # A mean of angles: a head from behind has `around` near both -1 and 1, whose plain mean would be 0.
        middle = abs(float(np.angle(np.exp(1j * np.pi * around).mean()))) / np.pi
        if middle >= _BACK or not _shows_face(around, up):
            return "back"
        return "front" if middle < _SIDE else "side"
    front, back = int((iuv[..., 0] == _TORSO_FRONT).sum()), int((iuv[..., 0] == _TORSO_BACK).sum())
    if front > 2 * back:
        return "front"
    return "side" if 2 * front > back else "back"


def face_points(iuv: Pixels) -> Floats | None:
    """Positions [5, 2] as (x, y) in pixels (pixel centres are whole numbers) of LANDMARKS; None if no face is seen.

    Over the head's pixels near the face, x and y are quadratic functions of (around, up), fitted by weighted least
    squares; the landmarks are read from the fit. So a landmark that is hidden (a side view) is extrapolated, a few
    wrong pixels do not matter, and 12 px high heads give the same places as 150 px ones.
    """
    positions, around, up = _head_coordinates(iuv)
    if not _shows_face(around, up):
        return None
    positions, around, up = (values[:: 1 + len(values) // _MOST_PIXELS] for values in (positions, around, up))
    chart = np.stack([around, up], axis=1)
    nearest = np.min([(around - x) ** 2 + (up - y) ** 2 for x, y in _LANDMARKS.tolist()], axis=0)
    weights = np.exp(-nearest / (2 * 0.3**2)) * (np.abs(around) < 0.6)
    basis = _quadratic(chart)
    # A little ridge on slopes, more on curvature: with half a face the missing half must not bend away.
    ridge = 1e-4 * weights.sum() * np.diag([0.0, 0.02, 0.02, 0.3, 0.3, 0.3])
    normal = basis.T @ (basis * weights[:, None]) + ridge
    coefficients = np.linalg.solve(normal, basis.T @ (positions * weights[:, None]))
    return np.asarray(_quadratic(_LANDMARKS) @ coefficients, np.float64)


def face_to_image(iuv: Pixels, size: int, min_head: int) -> tuple[complex, complex] | None:
    """Similarity from an aligned face of side `size` to the image: z -> turn * z + shift, z = x + iy in pixels.

    The least-squares one from `face_points`. None where the face is not seen or the head is under `min_head` pixels
    high.
    """
    left, top, right, bottom = _head_area(iuv)
    iuv = iuv[top:bottom, left:right]  # all that follows looks at the head alone
    box = head_box(iuv)
    if box is None or box[3] - box[1] < min_head:
        return None
    points = face_points(iuv)
    if points is None:
        return None
    points = points + np.asarray([left, top])
    return similarity_to(points, size)


def similarity_to(points: Floats, size: int) -> tuple[complex, complex]:
    """The least-squares similarity from an aligned face of side `size` to the image in which LANDMARKS, or the first n
    of them, are at `points` [n, 2] as (x, y): z -> turn * z + shift, z = x + iy in pixels."""
    face = CANONICAL_FACE[: len(points)] * size
    source = face[:, 0] + 1j * face[:, 1]
    target = points[:, 0] + 1j * points[:, 1]
    centred = source - source.mean()
    turn = complex((centred.conj() * (target - target.mean())).sum() / (np.abs(centred) ** 2).sum())
    return turn, complex(target.mean() - turn * source.mean())


def supersampling(turn: complex) -> int:
    """Samples along each side of an aligned face's pixel: more than one where the face shrinks."""
    return int(np.clip(np.ceil(abs(turn) - 0.1), 1, MOST_SUPERSAMPLING))


def face_chip(photo: Pixels, iuv: Pixels, size: int = CHIP, *, min_head: int = MIN_HEAD) -> Pixels | None:
    """The aligned face [size, size, 3] of a photo [H, W, 3] with its pose map [H, W, 3]; `recognition.align` in NumPy.

    Meant for photos at their own resolution: what tells faces apart is lost in a crop of 64 or 128 pixels. None where
    the face is not seen, or the head is under `min_head` pixels high.
    """
    transform = face_to_image(iuv, size, min_head)
    return None if transform is None else cut_face(photo, transform, size)


def cut_face(photo: Pixels, transform: tuple[complex, complex], size: int) -> Pixels:
    """The face [size, size, 3] that `transform`, as of `face_to_image`, finds in a photo [H, W, 3]."""
    turn, shift = transform
    factor = supersampling(turn)
    # From the finer grid's pixels to the image: a pixel's centre is half a step from its corner on both grids.
    turn, shift = turn / factor, shift + turn * complex(0.5 / factor - 0.5, 0.5 / factor - 0.5)
    matrix = np.asarray([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    fine = cv2.warpAffine(photo, matrix, (size * factor, size * factor),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    chip = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) if factor > 1 else fine
    return np.asarray(chip, np.uint8)


def _is_head(iuv: Pixels) -> npt.NDArray[np.bool_]:
    head: npt.NDArray[np.bool_] = (iuv[..., 0] == _RIGHT) | (iuv[..., 0] == _LEFT)
    return head


def _head_area(iuv: Pixels) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) around every head pixel; empty where there is none."""
    labels = np.ascontiguousarray(iuv[..., 0])
    x, y, width, height = cv2.boundingRect(np.asarray(cv2.inRange(labels, _RIGHT, _LEFT), np.uint8))
    return x, y, x + width, y + height


def _head_coordinates(iuv: Pixels) -> tuple[Floats, Floats, Floats]:
    """Of each head pixel: position [n, 2] as (x, y), around [n] in -1..1, up [n] in 0..1."""
    pixels = np.flatnonzero(_is_head(iuv))
    ys, xs = np.divmod(pixels, iuv.shape[1])
    part, u, up = iuv.reshape(-1, 3).take(pixels, axis=0).T.astype(np.float64, order="C")
    around = np.where(part == _RIGHT, u / 255 - 1, u / 255)
    return np.stack([xs, ys], axis=1).astype(np.float64), around, up / 255


def _quadratic(chart: Floats) -> Floats:
    around, up = chart[:, 0], chart[:, 1] - 0.5
    return np.stack([np.ones_like(up), around, up, around * around, around * up, up * up], axis=1)
