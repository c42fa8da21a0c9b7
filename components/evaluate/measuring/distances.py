"""Distances between the set of outputs and the set of real held-out photos, with what they are worth.

A Fréchet distance of few images is biased upward, so its plain value says little. Three things are given with it:

- an interval from resampled identities, moved so that its middle is the value (resampling with repetition makes the
  distance larger by itself);
- the distance between two halves of the real photos;
- `frechet_ratio`, where the bias cancels: split the real photos into halves A and B, put the model's outputs in the
  place of B (one for each photo of B, in its pose), and divide the distance from A by that of the real B from A.
  1: outputs are as near to A as real photos are. The mean over random halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.evaluate.measuring.intervals import Metric, Resampler, around, missing
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Floats, KernelDistance, frechet

HALVES = 20
"""Random halves behind the ratio."""
_FRECHET_DRAWS = 200
# A whole split can be drawn as a few copies of one identity: covariances of fewer different images are left out.
_LEAST_DRAWN = 8


@dataclass(frozen=True)
class Space:
    """The features that sets are compared in: the network's name, which every metric carries, and the factor that
    brings its features to the scale that the cubic kernel expects."""

    name: str
    kernel_scale: float

    def mark(self, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
        """The metrics with this network's name."""
        return {name: replace(metric, features=self.name) for name, metric in metrics.items()}


def set_distances(pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals, space: Space, *, least: int,
                  draws: int, seed: int) -> dict[str, Metric]:
    """Fréchet distance, kernel distance, Fréchet ratio of the outputs; null where there are fewer than `least`
    images on either side, or, for the Fréchet distance, no more images than dimensions."""
    outputs, real = measured.features, reals.features
    fewest, dim = min(len(outputs), len(real)), real.shape[1]
    names = ("frechet", "kernel", "frechet_ratio")
    if fewest < least:
        reason = f"{len(outputs)} outputs and {len(real)} real photos, evaluate.min_images is {least} of each"
        return space.mark(dict.fromkeys(names, missing(reason, fewest)))
    weights = Resampler([*(pair.identity for pair in pairs), *reals.identities], draws, seed)
    drawn = weights.weights()
    w_out, w_real = drawn[:, : len(outputs)], drawn[:, len(outputs) :]
    kernel = _kernel_distance(outputs, real, space)
    metrics = {"kernel": _centred(float(kernel()[0]), kernel(w_out, w_real), fewest, weights.by)}
    if fewest <= dim:
        metrics["frechet"] = missing(f"{fewest} images do not determine a covariance of {dim} features", fewest)
    else:
        enough = ((w_out > 0).sum(axis=1) >= _LEAST_DRAWN) & ((w_real > 0).sum(axis=1) >= _LEAST_DRAWN)
        resampled = [frechet(outputs, real, a, b) for a, b in
                     zip(w_out[enough][:_FRECHET_DRAWS], w_real[enough][:_FRECHET_DRAWS], strict=True)]
        metrics["frechet"] = _centred(frechet(outputs, real), np.asarray(resampled), fewest, weights.by)
    metrics["frechet_ratio"] = ratio(pairs, outputs, reals, seed)
    return space.mark({name: metrics[name] for name in names})


def ratio(pairs: Sequence[EvaluationPair], outputs: Floats, reals: Reals, seed: int) -> Metric:
    """The Fréchet ratio (see above) over the real photos that are some pair's target."""
    of_photo: dict[int, list[int]] = {}
    for k, row in enumerate(reals.rows([pair.target for pair in pairs])):
        of_photo.setdefault(int(row), []).append(k)
    photos = np.asarray(sorted(of_photo), np.intp)
    if len(photos) < 2 * _LEAST_DRAWN:
        return missing(f"only {len(photos)} photos are a target: too few to halve", len(photos))
    random, over, under = np.random.default_rng(seed), [], []
    for _ in range(HALVES):
        shuffled = random.permutation(photos)
        half_a, half_b = shuffled[: len(photos) // 2], shuffled[len(photos) // 2 :]
        instead = [int(random.choice(of_photo[int(row)])) for row in half_b]
        over.append(frechet(outputs[instead], reals.features[half_a]))
        under.append(frechet(reals.features[half_b], reals.features[half_a]))
    return around(float(np.sum(over) / np.sum(under)), np.asarray(over) / np.asarray(under), len(photos), "half")


def real_halves(reals: Reals, space: Space, *, least: int, seed: int) -> dict[str, Metric]:
    """The same distances between two random halves of the real photos: what perfection would score at that size."""
    count = len(reals.features)
    if count < max(least, 2 * _LEAST_DRAWN):
        few = missing(f"{count} real photos, evaluate.min_images is {least}", count)
        return space.mark(dict.fromkeys(("frechet_halves", "kernel_halves"), few))
    random, frechets, kernels = np.random.default_rng(seed), [], []
    for _ in range(HALVES):
        shuffled = random.permutation(count)
        a, b = reals.features[shuffled[: count // 2]], reals.features[shuffled[count // 2 :]]
        frechets.append(frechet(a, b))
        kernels.append(float(_kernel_distance(a, b, space)()[0]))
    return space.mark({"frechet_halves": around(float(np.mean(frechets)), frechets, count, "half"),
                       "kernel_halves": around(float(np.mean(kernels)), kernels, count, "half")})


def _kernel_distance(first: Floats, second: Floats, space: Space) -> KernelDistance:
    return KernelDistance(first * space.kernel_scale, second * space.kernel_scale)


def _centred(value: float, draws: Floats, n: int, by: str) -> Metric:
    usable = draws[np.isfinite(draws)]
    if len(usable) == 0:
        return Metric(value, n=n)
    return around(value, usable - np.median(usable) + value, n, by)
