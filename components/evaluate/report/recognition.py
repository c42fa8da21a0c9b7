"""Who would one say it is? The outputs' faces against everybody held out, by the embedder that judges.

For each output the mean cosine to the real photos of each held-out person, without the source photo, for a copy of it
would be recognised by itself; recognised is an output whose own person comes first. (The true photo in the target pose
stays: many people have no third one. Its face was not shown to the model.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluate.measuring.identity import NO_FACE
from components.evaluate.measuring.intervals import Metric, Resampler, mean_of, missing
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair

MOST_SHOWN = 16
"""People in the matrix: more cannot be read; metrics are of all."""


@dataclass(frozen=True)
class Recognition:
    """`matrix[r][c]`: mean cosine of the outputs of `names[r]` to the real photos of `names[c]`, or None; `chance` is
    what guessing would score."""

    names: list[str]
    matrix: list[list[float | None]]
    recognised: Metric
    chance: float | None
    left_out: int

    def to_json(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {"names": self.names, "matrix": self.matrix, "recognised": self.recognised.to_json(),
                "chance": self.chance, "left_out": self.left_out}


def recognise(pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals, resampler: Resampler) -> Recognition:
    """Compare the outputs of `pairs` with all real people of `reals`; `resampler` is that of the pairs."""
    names = sorted(set(reals.identities))
    if not len(pairs):
        return Recognition([], [], missing("no held-out person has two photos"), None, 0)
    cosines = measured.faces @ reals.faces.T
    owners = np.asarray(reals.identities)
    usable = np.broadcast_to(reals.face_valid, cosines.shape).copy()
    usable[np.arange(len(pairs)), reals.rows([pair.source for pair in pairs])] = False
    belongs = np.stack([owners == name for name in names], axis=1).astype(float)
    counts = usable.astype(float) @ belongs
    sums = np.where(usable, cosines, 0.0) @ belongs
    likeness = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)  # [pairs, people]
    own = np.asarray([names.index(pair.identity) for pair in pairs])
    mine = likeness[np.arange(len(pairs)), own]
    valid = measured.face_valid & np.isfinite(mine) & (np.isfinite(likeness).sum(axis=1) > 1)
    best = np.nanmax(np.where(np.isfinite(likeness), likeness, -2.0), axis=1)
    hits = np.where(valid, (mine >= best).astype(float), np.nan)
    metric = resampler.mean(hits, nobody=NO_FACE)
    present = [name for name in names if any(pair.identity == name for pair in pairs)]
    shown = present[:MOST_SHOWN]
    columns = [names.index(name) for name in shown]
    matrix = [[mean_of(likeness[(own == names.index(name)) & measured.face_valid, column], 4) for column in columns]
              for name in shown]
    chance = round(float(np.mean(1 / np.isfinite(likeness[valid]).sum(axis=1))), 4) if valid.any() else None
    return Recognition(shown, matrix, metric, chance, len(present) - len(shown))
