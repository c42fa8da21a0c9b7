"""A judge trained anew each time to tell photos from outputs, tested on people it has not seen.

It is a logistic regression on how the layers of the package's perceptual network answer to a picture (mean and spread
of each channel, and the spread of the picture's finest detail), so that it costs seconds. What it finds, a person finds
sooner; what it does not find may still be seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from components.core.networks.pretrained.builtin import PerceptualNet
from components.core.networks.pretrained.weights import load_network
from components.core.pictures.images import Pixels
from components.evaluate.measuring.intervals import Metric, Resampler, around, missing
from components.evaluate.measuring.quality import to_torch

Floats = npt.NDArray[np.float64]

FACE, FIGURE = 150, 256
"""Sides in pixels at which faces and whole figures are looked at."""
_FOLDS, _LEAST_PEOPLE = 5, 4
_STRENGTH = 0.02
"""Inverse of the ridge: there are a hundred times more features than people."""


class Looks:
    """Describes pictures for the judge."""

    def __init__(self) -> None:
        network = load_network("builtin-perceptual")
        assert isinstance(network, PerceptualNet)
        self._network = network.eval()

    @torch.no_grad()
    def __call__(self, picture: Pixels, side: int) -> list[float]:
        """How a picture [S, S, 3], brought to `side`, looks: a list of numbers, always as many."""
        if len(picture) != side:
            how = cv2.INTER_AREA if len(picture) > side else cv2.INTER_CUBIC
            picture = np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)
        numbers: list[float] = []
        for layer in self._network(to_torch(picture[None])):
            flat = layer[0].flatten(1).double()
            numbers += [*flat.mean(1).tolist(), *flat.std(1).tolist()]
        detail = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), cv2.CV_32F)
        numbers += [float(np.log1p(np.abs(detail)).mean()), float(np.log1p(detail.std()))]
        return [round(one, 5) for one in numbers]


def told_apart(real: Floats, outputs: Floats, real_people: Sequence[str], output_people: Sequence[str], *,
               draws: int = 500, seed: int = 0) -> Metric:
    """Area under the ROC curve [0..1] of telling `outputs` [m, d] from `real` [n, d]: 0.5 cannot, 1 always can.

    Each person is judged by a classifier that was trained on others; the interval is over people.
    """
    people = np.asarray([*real_people, *output_people], dtype=str)
    names = np.unique(people)
    if not len(real) or not len(outputs):
        return missing("no photos or no outputs to tell apart")
    if min(len(set(real_people)), len(set(output_people))) < _LEAST_PEOPLE:
        return missing(f"too few people to train a judge: {len(names)}", len(outputs))
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([real, outputs])
    made = np.arange(len(features)) >= len(real)
    fold_of = dict(zip(np.random.default_rng(seed).permutation(names), np.arange(len(names)) % _FOLDS, strict=True))
    fold = np.asarray([fold_of[name] for name in people])
    scores = np.full(len(features), np.nan)
    for number in np.unique(fold):
        train = fold != number
        if len(np.unique(made[train])) < 2:
            continue
        judge = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2000))
        judge.fit(features[train], made[train])
        scores[~train] = judge.decision_function(features[~train])
    resampler = Resampler(people.tolist(), draws, seed)
    value = area(scores[made], scores[~made])
    resampled = [area(scores[made], scores[~made], weights[made], weights[~made]) for weights in resampler.weights()]
    return around(value, np.asarray([one for one in resampled if np.isfinite(one)]), len(outputs), resampler.by)


def area(above: Floats, below: Floats, above_weights: Floats | None = None,
         below_weights: Floats | None = None) -> float:
    """Chance that one of `above` [m] exceeds one of `below` [n], ties half; weights are multiplicities. NaN without."""
    first = np.ones(len(above)) if above_weights is None else above_weights
    second = np.ones(len(below)) if below_weights is None else below_weights
    total = first.sum() * second.sum()
    if not total:
        return float("nan")
    wins = (above[:, None] > below[None, :]) + 0.5 * (above[:, None] == below[None, :])
    return float(first @ wins @ second / total)
