"""The network that says whether a face is where the pose map has one, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.faces.alignment import align
from components.core.faces.head import head_box
from components.core.faces.nofaces import erased, shuffled, smeared
from components.core.networks.pretrained.builtin import FinderNet
from components.core.networks.pretrained.weights import load_network
from components.evaluate.measuring.quality import Floats, Images

FINDER = "builtin-finder"
NO_FACES: dict[str, Callable[[Tensor], Tensor]] = {
    "shuffled": shuffled, "smeared": smeared, "erased": erased, "upside down": lambda faces: faces.flip(2),
}
"""Non-faces that are made of an aligned face; a fifth is what lies a head and a half below it."""
KINDS = (*NO_FACES, "chest")


class FaceFinder:
    """The network behind one interface: pictures and pose maps in, scores out."""

    def __init__(self) -> None:
        self.network = cast(FinderNet, load_network(FINDER))
        self.name = FINDER

    @torch.no_grad()
    def scores(self, images: Tensor, poses: Images) -> Floats:
        """Images [B, 3, S, S] in [-1, 1], pose maps uint8 [B, S, S, 3] -> logits [B]; NaN without a face to look at."""
        faces, valid = align(images, _maps(poses), FinderNet.size)
        return self._placed(faces, valid.numpy())

    @torch.no_grad()
    def tried(self, images: Tensor, poses: Images) -> Floats:
        """Logits [B, len(KINDS)] of non-faces made from each picture; NaN where it shows no face."""
        maps = _maps(poses)
        faces, valid = align(images, maps, FinderNet.size)
        heads = [box[3] - box[1] if (box := head_box(pose)) else 0 for pose in poses]
        below = torch.stack([image.roll(-round(1.5 * head), 1) for image, head in zip(images, heads, strict=True)])
        made = [*(make(faces) for make in NO_FACES.values()), align(below, maps, FinderNet.size)[0]]
        return np.stack([self._placed(some, valid.numpy()) for some in made], axis=1)

    def _placed(self, faces: Tensor, valid: npt.NDArray[np.bool_]) -> Floats:
        out = np.full(len(faces), np.nan)
        if valid.any():
            out[valid] = self.network(faces[torch.from_numpy(valid)]).double().numpy()
        return out


def _maps(poses: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(poses.transpose(0, 3, 1, 2)))
