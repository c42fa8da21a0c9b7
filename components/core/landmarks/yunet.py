"""YuNet on OpenCV's FaceDetectorYN (model of March 2023, MIT; Wu and others, "YuNet: A Tiny Millisecond-level Face
Detector", 2023): what it says of one picture. `faces.yunet` looks at whole photos with it.
"""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.core.errors import MachineError
from components.core.pictures.images import Pixels
from components.core.stores.known_weights import known_weights

_OVERLAP, _MOST = 0.3, 200
_LEAST_SIDE = 64
"""Shortest side in pixels that the network is shown: a shorter one leaves its coarsest maps a single row, of which
OpenCV (4.10 to 4.14) reads memory that was never written, and finds faces of any size in it."""
_loaded = threading.local()


def detect_faces(photo: Pixels, min_score: float) -> npt.NDArray[np.float64]:
    """[n, 15] for a picture uint8 RGB [H, W, 3]: box as x, y, width, height; five points; score. Of 10 to 300 px.

    Raises as `load_yunet` does.
    """
    bgr = np.ascontiguousarray(photo[..., ::-1])
    low, right = (max(_LEAST_SIDE - side, 0) for side in bgr.shape[:2])
    if low or right:
        bgr = np.asarray(cv2.copyMakeBorder(bgr, 0, low, 0, right, cv2.BORDER_CONSTANT), np.uint8)
    detector = load_yunet()
    detector.setInputSize((bgr.shape[1], bgr.shape[0]))
    detector.setScoreThreshold(min_score)
    rows = detector.detect(bgr)[1]
    return np.zeros((0, 15)) if rows is None else np.asarray(rows, np.float64)


def load_yunet() -> Any:
    """The detector, one for each thread: it keeps the size of what it looks at.

    Raises what `known_weights` raises, `MachineError` where OpenCV cannot read the network.
    """
    if not hasattr(_loaded, "detector"):
        path = known_weights("yunet")
        try:
            _loaded.detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.5, _OVERLAP, _MOST)
        except cv2.error as error:
            raise MachineError(f"OpenCV cannot read the face detector ({error.err})", path=path,
                               remedy="install opencv-python-headless 4.8 or newer") from None
    return _loaded.detector
