"""What a trial is worth: one number from people it was not trained on, none of them among the test people.

    score = identity recovered - Fréchet distance / Fréchet distance of the texture warp

Both parts have no unit. The first is 0 for a stranger's face and 1 for one as similar as another photo of the person
(`components.evaluate.measuring.identity`); the second is 1 for pictures as far from real photos as texture maps that
were only looked up, without a network, in the same pairs. So a gain of 0.1 in either is worth the same.

The Fréchet distance is taken in the leading principal components of the real photos' features, as many as the number
of pictures can determine: validation sets are small, and what matters is the order of trials.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.core.errors import DataError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import EvaluateSettings, TuneSettings
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.identity import identity_metrics, similarities
from components.evaluate.measuring.intervals import Resampler
from components.evaluate.measuring.measure import Instruments, Measured, measure, measure_reals
from components.evaluate.measuring.methods import ModelMethod, TextureWarp
from components.evaluate.measuring.pairs import choose
from components.evaluate.measuring.quality import frechet

Floats = npt.NDArray[np.float64]
Held = Literal["validation", "test"]
_PER_COMPONENT = 4
"""Pictures per principal component."""
_MOST_COMPONENTS = 64


@dataclass(frozen=True)
class Score:
    """A trial's score and its parts."""

    value: float
    identity_recovered: float
    frechet: float
    """As a multiple of the texture warp's."""
    perceptual: float
    """Mean distance from the truth; not in the score, for the record."""

    def parts(self) -> dict[str, float]:
        """By name, for logs."""
        return asdict(self)


class Scorer:
    """Scores models on fixed pairs of the validation identities (or, to see whether a study was right, the test ones).

    Raises `DataError` when those cannot tell: too few pairs, or faces that the judge cannot tell apart.
    """

    def __init__(self, people: Path, identities: Path, settings: TuneSettings, split: Held = "validation") -> None:
        dataset = PeopleDataset.open(people)
        self._album = Album(dataset)
        judge = EvaluateSettings(split=split, pairs=settings.pairs, seed=settings.seed)
        pair_set = choose(dataset, Identities.open(identities), split, settings.pairs, settings.seed)
        self._pairs = pair_set.transfer
        if len(self._pairs) < 8:
            raise DataError(f"the {split} people have {len(self._pairs)} pairs: too few to score a trial",
                            path=identities, remedy=f"raise cluster.{split}, or bring more photos per person")
        self._instruments = Instruments(judge, dataset.origin)
        self._reals = measure_reals(self._album, pair_set.members, self._instruments)
        self._resampler = Resampler([pair.identity for pair in self._pairs], 100, settings.seed)
        count = min(len(self._pairs), len(self._reals.features))
        self._axes = _principal(self._reals.features, min(max(count // _PER_COMPONENT, 1), _MOST_COMPONENTS))
        self._plain = self._distance(self._measure(TextureWarp(), "texture warp"))

    @property
    def facts(self) -> dict[str, int]:
        """What the score is taken from."""
        return {"pairs": len(self._pairs), "people": len({pair.identity for pair in self._pairs}),
                "frechet_components": self._axes.shape[1]}

    def __call__(self, reposer: Reposer) -> Score:
        """Score a model."""
        measured = self._measure(ModelMethod(reposer), "score")
        identity = identity_metrics(similarities(self._pairs, measured, self._reals), self._resampler
                                    )["identity_recovered"]
        if identity.value is None:
            raise DataError(f"identity cannot be scored on the validation people: {identity.reason}",
                            remedy="raise cluster.validation")
        distance = self._distance(measured) / self._plain
        return Score(identity.value - distance, identity.value, distance, float(np.nanmean(measured["perceptual"])))

    def _measure(self, method: ModelMethod | TextureWarp, label: str) -> Measured:
        return measure(self._album, self._pairs, method, self._instruments, label)

    def _distance(self, measured: Measured) -> float:
        return frechet(measured.features @ self._axes, self._reals.features @ self._axes)


def _principal(features: Floats, count: int) -> Floats:
    """The leading principal directions of features [n, d] as columns [d, count]."""
    _, _, directions = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    return np.asarray(directions[:count].T)
