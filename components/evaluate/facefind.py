"""In how many outputs is a face found?

Detectors of real faces are heavy and blind to synthetic ones, so a small network of this project's own, trained on
people of its own, says whether a face is where the pose map has one. It is tried on the real photos first: how many of
their faces it finds, and how much of what is none it takes for one. Both are shares of a few hundred pictures of a few
dozen people, so both are decided by their intervals: it can be relied on, it cannot, or there are too few to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.core.faces.head import head_box
from components.core.faces.nofaces import erased, shuffled, smeared
from components.core.faces.recognition import align
from components.core.judging.gate import Line, requirement
from components.core.networks.builtin import FinderNet
from components.core.networks.weights import load_network
from components.evaluate.intervals import Figure, Resampler, missing, side_of
from components.evaluate.pairs import Case
from components.evaluate.quality import Floats, Images

if TYPE_CHECKING:
    from components.evaluate.measure import Measured, Reals

FINDER = "builtin-finder"
RELIABLE = 0.85
"""Least share of real faces that must be found, and of non-faces that must not."""

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


class Trial:
    """Whether the finder can be relied on with photos like these; `reason` says why not, where it cannot.

    `finds` and `mistakes` are its shares with intervals over people.
    """

    def __init__(self, photos: Sequence[Reals], seed: int) -> None:
        names = [name for some in photos for name in some.identities]
        scores = np.concatenate([some.face_score for some in photos])
        none = np.concatenate([some.no_faces for some in photos])
        people = Resampler(names, _DRAWS, seed)
        self.finds = people.share(np.where(np.isfinite(scores), scores > 0, np.nan), nobody="no photo shows a face")
        # Of each photo the share of its non-faces: they are made of one face.
        shown = np.isfinite(none).any(axis=1)
        taken = np.where(shown, (none > 0).mean(axis=1), np.nan)
        self.mistakes = people.share(taken, nobody="no photo shows a face")
        self.reason = self._judged()

    def _judged(self) -> str:
        if self.finds.value is None or self.mistakes.value is None:
            return "no photo shows a face large enough to try the finder of faces on"
        sides = {side_of(self.finds, RELIABLE), -side_of(self.mistakes, 1 - RELIABLE)}
        if sides == {1}:
            return ""
        said = (f"on {self.finds.n} real photos the finder of faces finds {_percent(self.finds)} of the faces and "
                f"takes {_percent(self.mistakes)} of what is none for one")
        if -1 in sides:
            return f"{said}: it cannot be relied on"
        return f"{said}: too few to tell whether it can be relied on ({RELIABLE:.0%} and {1 - RELIABLE:.0%} are asked)"

    def lines(self) -> tuple[Line, Line]:
        """Both shares against what is asked."""
        return (requirement("faces found", self.finds.to_json(), RELIABLE, ">="),
                requirement("non-faces taken for one", self.mistakes.to_json(), round(1 - RELIABLE, 6), "<="))

    def share(self, cases: Sequence[Case], measured: Measured, reals: Reals, resampler: Resampler) -> Figure:
        """Share of the outputs, where the real photo in that pose shows a face, in which one is found."""
        if self.reason or not cases:
            return missing(self.reason or "nobody was asked for")
        shown = reals.face_valid[reals.rows([case.target for case in cases])]
        found = (np.nan_to_num(measured.face_score, nan=-1.0) > 0).astype(np.float64)
        return resampler.share(np.where(shown, found, np.nan), nobody="no target photo shows a face large enough")


_DRAWS = 500


def _percent(figure: Figure) -> str:
    return f"{figure.value:.0%} ({figure.low:.0%} to {figure.high:.0%})"


def _maps(poses: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(poses.transpose(0, 3, 1, 2)))
