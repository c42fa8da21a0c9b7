"""The networks that say whether a face is where the pose map has one, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.faces.alignment import align
from components.core.faces.head import CHIP, head_box
from components.core.faces.nofaces import erased, shuffled, smeared
from components.core.faces.yunet import check_detector, faces_in
from components.core.networks.pretrained.builtin import FinderNet
from components.core.networks.pretrained.weights import load_network
from components.evaluate.measuring.quality import Floats, Images

FINDER, YUNET = "builtin-finder", "yunet"
NO_FACES: dict[str, Callable[[Tensor], Tensor]] = {
    "shuffled": shuffled, "smeared": smeared, "erased": erased, "upside down": lambda faces: faces.flip(2),
}
"""Non-faces that are made of an aligned face; a fifth is what lies a head and a half below it."""
KINDS = (*NO_FACES, "chest")


def finder_for(origin: str) -> FaceFinder:
    """What finds the faces of people of that origin, "synthetic" or "photos"."""
    return BuiltinFinder() if origin == "synthetic" else YunetFinder()


class FaceFinder(ABC):
    """The network behind one interface: pictures and pose maps in, scores out.

    `name` is the network's, `size` the side of an aligned face as it is looked at, `around` what is seen on every side
    of it besides.
    """

    name: str
    size: int
    around: int = 0

    @torch.no_grad()
    def scores(self, images: Tensor, poses: Images) -> Floats:
        """Images [B, 3, S, S] in [-1, 1], pose maps uint8 [B, S, S, 3] -> logits [B]; NaN without a face to look at."""
        faces, valid = align(images, _maps(poses), self.size, around=self.around)
        return self._placed(faces, valid.numpy())

    @torch.no_grad()
    def tried(self, images: Tensor, poses: Images) -> Floats:
        """Logits [B, len(KINDS)] of non-faces made from each picture; NaN where it shows no face."""
        maps = _maps(poses)
        faces, valid = align(images, maps, self.size, around=self.around)
        heads = [box[3] - box[1] if (box := head_box(pose)) else 0 for pose in poses]
        below = torch.stack([image.roll(-round(1.5 * head), 1) for image, head in zip(images, heads, strict=True)])
        inner = slice(self.around, self.around + self.size)
        made = [self._with(faces, make(faces[..., inner, inner]), inner) for make in NO_FACES.values()]
        made.append(align(below, maps, self.size, around=self.around)[0])
        return np.stack([self._placed(some, valid.numpy()) for some in made], axis=1)

    @staticmethod
    def _with(faces: Tensor, made: Tensor, inner: slice) -> Tensor:
        """The faces with something else in their middle."""
        changed = faces.clone()
        changed[..., inner, inner] = made
        return changed

    def _placed(self, faces: Tensor, valid: npt.NDArray[np.bool_]) -> Floats:
        out = np.full(len(faces), np.nan)
        if valid.any():
            out[valid] = self._scores(faces[torch.from_numpy(valid)])
        return out

    @abstractmethod
    def _scores(self, faces: Tensor) -> Floats:
        """Faces [B, 3, S, S] in [-1, 1], S = size + 2 around -> scores [B], above 0 for a face."""


class BuiltinFinder(FaceFinder):
    """This project's network, which knows synthetic faces; the scores are logits."""

    name, size = FINDER, FinderNet.size

    def __init__(self) -> None:
        self.network = cast(FinderNet, load_network(FINDER))

    def _scores(self, faces: Tensor) -> Floats:
        return np.asarray(self.network(faces).double().numpy())


class YunetFinder(FaceFinder):
    """YuNet, which knows real faces: one is there where it is sure enough, and surer than upside down.

    (It takes faces that are upside down for upright ones, with scores of up to .9.)
    """

    name, size, around = YUNET, CHIP, CHIP // 2

    def __init__(self) -> None:
        check_detector()

    def _scores(self, faces: Tensor) -> Floats:
        pixels = ((faces + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        return np.asarray([self._score(one) for one in pixels], np.float64)

    def _score(self, picture: npt.NDArray[np.uint8]) -> float:
        upright, turned = self._seen(picture), self._seen(np.ascontiguousarray(picture[::-1, ::-1]))
        return min(upright - _SURE, upright - turned)

    def _seen(self, picture: npt.NDArray[np.uint8]) -> float:
        """The score of a face whose middle is where the aligned face is."""
        middle = picture.shape[0] / 2
        return max((face.score for face in faces_in(picture, _LEAST, turned=False, sides=picture.shape[:1])
                    if max(abs(face.middle[0] - middle), abs(face.middle[1] - middle)) < self.size / 4), default=0.0)


_LEAST, _SURE = 0.3, 0.6
"""YuNet's scores from which on it is listened to, and taken for sure."""


def _maps(poses: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(poses.transpose(0, 3, 1, 2)))
