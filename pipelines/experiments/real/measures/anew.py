"""A judge trained anew each time to tell photos from outputs, tested on people it has not seen.

It is a logistic regression, so that it costs seconds: on how much detail of each size a picture has, how its sizes go
together and how peaked it is, in light and in colours, which tells enlarged, smeared or pieced pictures from photos at
once; and on how the layers of the package's perceptual network answer to it. What it finds, a person finds sooner; what
it does not find may still be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from components.core.networks.pretrained.builtin import PerceptualNet
from components.core.networks.pretrained.weights import load_network
from components.core.pictures.images import Pixels
from components.evaluate.measuring.intervals import Metric, Resampler, around, missing
from components.evaluate.measuring.quality import to_torch

Floats = npt.NDArray[np.float64]

FACE, FIGURE = 150, 256
"""Sides in pixels at which faces and whole figures are looked at."""
_FOLDS, _LEAST_PEOPLE = 5, 4
_STRENGTH = 0.1
"""Inverse of the ridge: there are many more features than people."""
_SOLID, _LEAST_PIXELS = 229, 64
_SCALES = (1, 2, 4, 8)
_DETAIL = 3 * (3 * len(_SCALES) - 1) + 2
"""Features of detail; the network's follow."""


class Looks:
    """Describes pictures for the judge."""

    def __init__(self) -> None:
        network = load_network("builtin-perceptual")
        assert isinstance(network, PerceptualNet)
        self._network = network.eval()

    @torch.no_grad()
    def __call__(self, picture: Pixels, side: int, matte: Pixels | None = None) -> list[float]:
        """How a picture [S, S, 3], brought to `side`, looks inside a matte [S, S]: numbers, always as many."""
        picture = _sized(picture, side)
        inside = np.ones((side, side), np.bool_)
        if matte is not None:  # its rim shows the background
            inside = cv2.erode((_sized(matte, side) > _SOLID).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if inside.sum() < _LEAST_PIXELS:
            inside[:] = True
        numbers = _detail(picture, inside)
        weight = torch.from_numpy(inside.astype(np.float32))[None, None]
        for layer in self._network(to_torch(picture[None])):
            share = functional.interpolate(weight, layer.shape[-2:], mode="area")[0, 0]
            mean = (layer[0] * share).sum((1, 2)) / share.sum()
            spread = (((layer[0] - mean[:, None, None]) ** 2 * share).sum((1, 2)) / share.sum()).sqrt()
            numbers += [*mean.tolist(), *spread.tolist()]
        return [round(one, 5) for one in numbers]


def _sized(picture: Pixels, side: int) -> Pixels:
    if len(picture) == side:
        return picture
    how = cv2.INTER_AREA if len(picture) > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def _detail(picture: Pixels, inside: npt.NDArray[np.bool_]) -> list[float]:
    """Per channel of YCrCb the spread of each band of a Laplacian pyramid, logarithmic, the steps from band to band,
    and the peakedness of each; then how strong the finest detail of the light is."""
    planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    numbers: list[float] = []
    for channel in range(3):
        plane, spreads, peaks = planes[..., channel], [], []
        for scale in _SCALES:
            blurred = cv2.GaussianBlur(plane, (0, 0), scale)
            band = (plane - blurred)[inside].astype(np.float64)
            spreads.append(float(np.log(band.std() + 0.05)))
            peaks.append(float(np.log1p(((band - band.mean()) ** 4).mean() / (band.var() + 1e-3) ** 2)))
            plane = np.asarray(blurred, np.float32)
        numbers += [*peaks, *spreads, *(one - other for one, other in pairwise(spreads))]
    fine = np.abs(cv2.Laplacian(planes[..., 0], cv2.CV_32F)[inside])
    return [*numbers, float(np.log1p(fine).mean()), float(np.log1p(fine.std()))]


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
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    features = np.concatenate([real, outputs])
    # The network's many features have as much to say as those of detail, together.
    weigh = np.where(np.arange(features.shape[1]) < _DETAIL, 1, np.sqrt(_DETAIL / max(1, features.shape[1] - _DETAIL)))
    made = np.arange(len(features)) >= len(real)
    fold_of = dict(zip(np.random.default_rng(seed).permutation(names), np.arange(len(names)) % _FOLDS, strict=True))
    fold = np.asarray([fold_of[name] for name in people])
    scores = np.full(len(features), np.nan)
    for number in np.unique(fold):
        train = fold != number
        if len(np.unique(made[train])) < 2:
            continue
        judge = make_pipeline(StandardScaler(), FunctionTransformer(lambda rows, by=weigh: rows * by),
                              LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=2000))
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
