"""In how many outputs is a face found?

Detectors of real faces are heavy and blind to synthetic ones, so a small network of this project's own, trained on
people of its own, says whether a face is where the pose map has one. It is tried on the real photos first: how many of
their faces it finds, and how much of what is none it takes for one. Both are shares of a few hundred pictures of a few
dozen people, so both are decided by their intervals: it can be relied on, it cannot, or there are too few to tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.core.judging.gate import Line, requirement
from components.evaluate.measuring.intervals import Metric, Resampler, missing, side_of
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair

RELIABLE = 0.85
"""Least share of real faces that must be found, and of non-faces that must not."""

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
                f"takes {_percent(self.mistakes)} of non-faces for faces")
        if -1 in sides:
            return f"{said}: it cannot be relied on"
        return f"{said}: too few to tell whether it can be relied on ({RELIABLE:.0%} and {1 - RELIABLE:.0%} are needed)"

    def lines(self) -> tuple[Line, Line]:
        """Both shares against their bounds."""
        return (requirement("faces found", self.finds.to_json(), RELIABLE, ">="),
                requirement("non-faces taken for one", self.mistakes.to_json(), round(1 - RELIABLE, 6), "<="))

    def share(self, pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals, resampler: Resampler) -> Metric:
        """Share of the outputs, where the real photo in that pose shows a face, in which one is found."""
        if self.reason or not pairs:
            return missing(self.reason or "there are no pairs")
        shown = reals.face_valid[reals.rows([pair.target for pair in pairs])]
        found = (np.nan_to_num(measured.face_score, nan=-1.0) > 0).astype(np.float64)
        return resampler.share(np.where(shown, found, np.nan), nobody="no target photo shows a face large enough")


_DRAWS = 500


def _percent(metric: Metric) -> str:
    return f"{metric.value:.0%} ({metric.low:.0%} to {metric.high:.0%})"
