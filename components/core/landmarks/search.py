"""Where else to look for people than in the whole photo: below faces nobody explains, turned, closer, cleaned."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, letterbox
from components.core.landmarks.ssd import BODIES, Detection, detect
from components.core.landmarks.yunet import detect_faces
from components.core.pictures.images import Pixels

_TURNS = (0.5 * np.pi, -0.5 * np.pi, np.pi)
_TILES, _STEP = (0.6, 0.36), 2 / 3
_FACE_SCORE = 0.6
_FACE_SIDE, _CLEAN_SIDE = 512, 640
_BODY, _BELOW = 9.0, 3.0
_DARKEST, _BRIGHTEST = 1.0, 99.0
_DOUBTFUL, _MOST = 0.3, 3


def faces(photo: Pixels) -> list[Floats]:
    """Boxes [4] left, top, right, bottom of the faces that YuNet sees, down to a fiftieth of the longer side."""
    small = reduced(photo, _FACE_SIDE)
    found = detect_faces(small, _FACE_SCORE)
    boxes = found[:, :4] * np.tile([photo.shape[1] / small.shape[1], photo.shape[0] / small.shape[0]], 2)
    boxes[:, 2:] += boxes[:, :2]
    return list(boxes.astype(np.float32))


def below(photo: Pixels, face: Floats) -> Iterator[Detection]:
    """The detection of the person whose face is in the box, looked for where their body would be if they stood."""
    height = float(face[3] - face[1])
    middle = (face[:2] + face[2:]) / 2
    square = Square(float(middle[0]), float(middle[1]) + _BELOW * height, _BODY * height)
    for one in detect(photo, BODIES, square):
        head = (one.box[:2] + one.box[2:]) / 2
        if np.hypot(*(head - middle)) < height:
            yield one


def turned(photo: Pixels) -> Iterator[Detection]:
    """Detections in the photo turned by quarters."""
    whole = letterbox(*photo.shape[:2])
    for turn in _TURNS:
        yield from doubtful(photo, Square(whole.x, whole.y, whole.side, turn))


def closer(photo: Pixels) -> Iterator[Detection]:
    """Detections in overlapping tiles of the photo, the large tiles first."""
    height, width = photo.shape[:2]
    for share in _TILES:
        side = share * max(height, width)
        for y in _middles(height, side):
            for x in _middles(width, side):
                yield from doubtful(photo, Square(x, y, side))


def doubtful(photo: Pixels, square: Square) -> list[Detection]:
    """The surest detections, which only `people.read` tells from mistakes."""
    return detect(photo, BODIES, square, _DOUBTFUL)[:_MOST]


def cleaned(photo: Pixels) -> Pixels:
    """A copy with most of its grain taken out and the tones of a well exposed photo, no finer than 640 pixels."""
    small = reduced(photo, _CLEAN_SIDE)
    strength = float(np.clip(1.1 * grain(small), 3.0, 25.0))
    calm = cv2.fastNlMeansDenoisingColored(small, None, strength, strength, 5, 15)
    low, high = np.percentile(calm, (_DARKEST, _BRIGHTEST))
    tones = np.clip((np.arange(256) - low) * (255 / max(high - low, 1.0)), 0, 255)
    bright = cv2.LUT(calm, np.rint(tones).astype(np.uint8))
    return np.asarray(cv2.resize(bright, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def grain(photo: Pixels) -> float:
    """The standard deviation of a photo's noise, 0..255, after Immerkaer (Fast noise variance estimation, 1996)."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(cv2.filter2D(grey, -1, kernel)).mean())


def reduced(photo: Pixels, side: int) -> Pixels:
    """`photo` with its longer side at most `side`."""
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return photo
    height, width = (max(1, round(length * scale)) for length in photo.shape[:2])
    return np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _middles(length: int, side: float) -> list[float]:
    """Middles of tiles of `side` that cover `length` with steps of at most two thirds of a tile."""
    if side >= length:
        return [length / 2]
    number = int(np.ceil((length - side) / (_STEP * side))) + 1
    return [float(middle) for middle in np.linspace(side / 2, length - side / 2, number)]
