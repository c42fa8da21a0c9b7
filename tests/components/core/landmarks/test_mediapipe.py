"""Before and after the networks all is as in MediaPipe: its stored numbers come out where its sampling is used.

Our own sampling differs on purpose (no half pixel lost, nothing skipped), and so do, by a few pixels, our numbers.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.core.landmarks import body, parts, ssd
from components.core.landmarks.geometry import Square, letterbox
from components.core.pictures.images import Pixels, read_photo

Stored = Callable[[str], dict[str, np.ndarray]]


def as_mediapipe(photo: Pixels, square: Square, size: int, black: bool = False) -> Pixels:
    """The crop as OpenCV's converter in MediaPipe makes it: corners on pixel numbers, four pixels a sample."""
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    border = cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE
    matrix = cv2.getPerspectiveTransform(square.corners(), corners)
    return cv2.warpPerspective(photo, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def found(photo: Pixels) -> dict[str, np.ndarray]:
    """What MediaPipe's graphs find: the first detection, read once."""
    detection = ssd.detect(photo, ssd.BODIES, letterbox(*photo.shape[:2]))[0]
    person = body.find_body(photo, body.region(detection.points[:2]))
    seen = {"body": person.points, "visibility": person.visibility, "world": person.world,
            "face": parts.find_face(photo, person.points),
            "left_hand": parts.find_hand(photo, person.points, person.visibility, parts.LEFT_HAND),
            "right_hand": parts.find_hand(photo, person.points, person.visibility, parts.RIGHT_HAND)}
    return {name: value for name, value in seen.items() if value is not None}


def compare(photo: Pixels, stored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ssd, body, parts):
        monkeypatch.setattr(module, "crop", as_mediapipe)
    ours = found(photo)
    assert ours.keys() >= stored.keys() and set(ours) - set(stored) <= {"world"}
    unit = photo.shape[0] / 512
    apart = {name: np.hypot(*(ours[name][:, :2] - stored[name][:, :2]).T) / unit
             for name in ("body", "face", "left_hand", "right_hand") if name in stored}
    assert all(distance.max() < 2 for distance in apart.values()), "pixels at 512"
    assert apart["body"].mean() < 0.2
    assert np.abs(ours["visibility"] - stored["visibility"]).max() < 0.02
    if "world" in stored:
        assert np.abs(ours["world"] - stored["world"]).max() < 0.01


def test_synthetic_people_are_read_as_mediapipe_reads_them(networks, photos, mediapipe: Stored, monkeypatch):
    for name, photo in photos.items():
        compare(photo, mediapipe(name), monkeypatch)


def test_real_people_are_read_as_mediapipe_reads_them(networks, shared_data: Path, mediapipe: Stored, monkeypatch):
    photos = sorted((shared_data / "people" / "photos").iterdir())
    assert len(photos) == 20
    for path in photos:
        compare(read_photo(path), mediapipe(path.name), monkeypatch)
