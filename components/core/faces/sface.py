"""SFace, an independent judge of real faces (OpenCV's FaceRecognizerSF, model of December 2021, Apache-2.0; Zhong and
others, "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021).

The network is `known_weights`' sface. It has no gradient here, so it cannot be in a loss.
"""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from components.core.errors import MachineError
from components.core.faces.head import CANONICAL_FACE, CHIP
from components.core.stores.known_weights import known_weights

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SIZE, DIM = CHIP, 128
SAME_COSINE = 0.363
"""Published: a cosine above it says the same person."""
SAME_PERSON = float(np.sqrt(2 - 2 * SAME_COSINE))
"""The same as a distance between vectors of length one: 1.129."""
_LANDMARKS = (CANONICAL_FACE * CHIP).ravel()


class SFace(nn.Module):
    """Aligned faces [B, 3, CHIP, CHIP] in [-1, 1] -> vectors [B, 128], not normalised; without gradient.

    OpenCV's `alignCrop` takes them to the alignment that the network knows, by where their landmarks should be. To look
    for these with YuNet again was tried: on 18 real faces it tells people apart as well in the photos' own pixels (area
    under the curve 1.0 both ways) and worse at 128 px (.953, .994 without), where heads are 16 to 33 px high.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.local()
        self._own.network = _network()

    def forward(self, faces: Tensor) -> Tensor:
        pixels = ((faces.detach().cpu().double() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        vectors = [self.vector(chip) for chip in pixels.permute(0, 2, 3, 1).contiguous().numpy()]
        return torch.from_numpy(np.stack(vectors) if vectors else np.zeros((0, DIM))).to(faces)

    def vector(self, chip: Pixels) -> Floats:
        """The vector [128] of an aligned face uint8 RGB [CHIP, CHIP, 3]."""
        if not hasattr(self._own, "network"):  # another thread: a network keeps what it is given
            self._own.network = _network()
        network = self._own.network
        bgr = np.ascontiguousarray(chip[..., ::-1])
        aligned = network.alignCrop(bgr, np.asarray([0, 0, CHIP, CHIP, *_LANDMARKS, 1.0], np.float32))
        return np.asarray(network.feature(aligned)[0], np.float64)


def _network() -> Any:
    path = known_weights("sface")
    try:
        return cv2.FaceRecognizerSF.create(str(path), "")
    except cv2.error as error:
        raise MachineError(f"OpenCV cannot read the face network ({error.err})", path=path,
                           remedy="install opencv-python-headless 4.8 or newer") from None
