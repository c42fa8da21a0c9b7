"""Whose face a picture shows: found by YuNet, compared by SFace, which is in no loss, and by dlib's network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from components.core.errors import MachineError
from components.core.faces.head import head_box
from components.core.faces.levelling import levelled
from components.core.faces.recognition import FaceEmbedder, load_embedder
from components.core.faces.sface import SAME_COSINE, SFace
from components.core.faces.yunet import FoundFace, faces_in
from components.core.pictures.images import Pixels

Floats = npt.NDArray[np.float64]

DLIB_SAME = 0.6
"""Published: a distance below it says the same person."""
_SIDES = (640, 1280)
_ROOM = 0.25
"""How far outside the head's box, as a share of its height, the middle of a face may lie and still be that head's."""


@dataclass(frozen=True)
class Face:
    """A face found in a picture, aligned, and the two networks' vectors."""

    found: FoundFace
    chip: Pixels
    """uint8 [150, 150, 3]."""
    sface: Floats
    """[128], of length one."""
    dlib: Floats
    """[128], as they come; empty where dlib's weights are not installed."""


class Judges:
    """The networks. dlib's is left out where its package is not installed: its columns stay empty."""

    def __init__(self) -> None:
        self._sface = SFace()
        self._dlib: FaceEmbedder | None
        try:
            self._dlib = load_embedder("dlib")
        except MachineError:
            self._dlib = None

    @torch.no_grad()
    def face(self, picture: Pixels, iuv: Pixels) -> Face | None:
        """The face of the head that a pose map [S, S, 3] puts in a picture [S, S, 3]; None where none is found."""
        box = head_box(iuv)
        if box is None:
            return None
        found = [one for one in faces_in(picture, turned=False, sides=_SIDES) if _inside(one, box)]
        if not found:
            return None
        best = levelled(picture, max(found, key=lambda one: one.score))
        chip = best.chip(picture)
        vector = self._sface.vector(chip)
        dlib = np.zeros(0)
        if self._dlib is not None:
            tensor = torch.from_numpy(chip.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
            dlib = self._dlib.raw(tensor)[0].double().numpy()
        return Face(best, chip, vector / np.linalg.norm(vector), dlib)


def _inside(face: FoundFace, box: tuple[int, int, int, int]) -> bool:
    room = _ROOM * (box[3] - box[1])
    (x, y), (x0, y0, x1, y1) = face.middle, box
    return x0 - room <= x <= x1 + room and y0 - room <= y <= y1 + room


@dataclass(frozen=True)
class Likeness:
    """Two faces compared; NaN where a network is missing."""

    sface: float
    """Cosine."""
    dlib: float
    """Euclidean distance."""

    @property
    def same(self) -> dict[str, float]:
        """1 or 0 for each network and for both; NaN where it cannot be said."""
        sface = float(self.sface > SAME_COSINE)
        dlib = float(self.dlib < DLIB_SAME) if np.isfinite(self.dlib) else float("nan")
        return {"sface_same": sface, "dlib_same": dlib, "both_same": sface * dlib}


def likeness(one: Face, other: Face) -> Likeness:
    """Compare two faces."""
    dlib = float(np.linalg.norm(one.dlib - other.dlib)) if len(one.dlib) and len(other.dlib) else float("nan")
    return Likeness(float(one.sface @ other.sface), dlib)
