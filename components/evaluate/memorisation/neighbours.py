"""Whose face, and how near to training photos: the two tests that look at outputs about held-out people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.core.settings import EvaluateSettings
from components.evaluate.measuring.intervals import Resampler, around, missing
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Floats
from components.evaluate.memorisation.probes import Finding

LEAST_FACES = 8
LEAST_OUTPUTS = 10
_PER_CELL = 20
_MOST_CELLS = 10


def identity_capture(pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals, training: Reals,
                     settings: EvaluateSettings) -> Finding:
    """Is the output's nearest face, among the source's and all training people's, a training person's?

    The value is that rate less the same rate of the real held-out photos in the same pose, over the pairs whose output,
    source and target show the face: 0 for a model that captures no more than chance and the judge's own errors do.
    """
    sources, targets = (reals.rows([getattr(pair, end) for pair in pairs]) for end in ("source", "target"))
    known = training.faces[training.face_valid]
    shown = reals.face_valid[sources] & reals.face_valid[targets]
    usable = np.flatnonzero(measured.face_valid & shown)
    if len(usable) < LEAST_FACES or not len(known):
        return Finding(missing(f"{len(usable)} outputs and {len(known)} training photos show a face large enough to "
                               f"judge, {LEAST_FACES} and 1 are needed", len(usable)))
    captured, chance, nearest = (np.full(len(pairs), np.nan) for _ in range(3))
    rows = np.flatnonzero(training.face_valid)
    for k in usable:
        own = reals.faces[sources[k]]
        ours, real = known @ measured.faces[k], known @ reals.faces[targets[k]]
        captured[k] = float(ours.max() > measured.faces[k] @ own)
        chance[k] = float(real.max() > reals.faces[targets[k]] @ own)
        nearest[k] = rows[int(ours.argmax())]
    resampler = Resampler([pair.identity for pair in pairs], settings.bootstrap, settings.seed)
    details = {"outputs": resampler.mean(captured), "real_photos": resampler.mean(chance)}
    worst = [int(k) for k in usable if captured[k] > 0][:3]
    return Finding(resampler.mean(captured - chance), details, [pairs[k] for k in worst],
                   [int(training.indices[int(nearest[k])]) for k in worst])


def neighbour_test(pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals, training: Reals,
                   settings: EvaluateSettings) -> Finding:
    """C_T of Meehan, Chaudhuri, Dasgupta 2020 (arXiv 2004.05675, section 3): the Mann-Whitney statistic, as a z-score,
    of distances to the nearest training photo, of outputs against held-out real photos, averaged over cells.

    One output for each held-out photo, in that photo's pose, so that both sides show the same poses.
    """
    first: dict[int, int] = {}
    for k, pair in enumerate(pairs):
        first.setdefault(pair.target, k)
    chosen, targets = list(first.values()), reals.rows(list(first))
    if len(chosen) < LEAST_OUTPUTS or len(training.features) < LEAST_OUTPUTS:
        return Finding(missing(f"{len(chosen)} outputs and {len(training.features)} training photos, "
                               f"{LEAST_OUTPUTS} of each are needed", len(chosen)))
    outputs, real = measured.features[chosen], reals.features[targets]
    near_out, at = _nearest(outputs, training.features)
    near_real, _ = _nearest(real, training.features)
    cells_out, cells_real = _cells(training.features, (outputs, real), len(chosen), settings.seed)
    value = copying(near_out, near_real, cells_out, cells_real)
    draws = Resampler([pairs[k].identity for k in chosen], min(settings.bootstrap, 200), settings.seed)
    drawn = [copying(near_out[rows], near_real[rows], cells_out[rows], cells_real[rows])
             for rows in (np.repeat(np.arange(len(chosen)), times.astype(int)) for times in draws.weights())]
    closest = [int(k) for k in np.argsort(near_out - near_real, kind="stable")[:3]]
    return Finding(around(value, [one for one in drawn if np.isfinite(one)], len(chosen), draws.by), {},
                   [pairs[chosen[k]] for k in closest], [int(training.indices[at[k]]) for k in closest])


def copying(outputs: Floats, reals: Floats, output_cells: np.ndarray, real_cells: np.ndarray) -> float:
    """C_T from distances to the nearest training sample [m], [n] and their cells; 0 where no cell holds both.

    Cells are weighted by their share of the real samples; those with fewer than 3 of either are left out.
    """
    total = weight = 0.0
    for cell in np.unique(real_cells):
        mine, theirs = outputs[output_cells == cell], reals[real_cells == cell]
        m, n = len(mine), len(theirs)
        if m < 3 or n < 3:
            continue
        above = (mine[:, None] > theirs).sum() + 0.5 * (mine[:, None] == theirs).sum()
        total += n * float((above - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))
        weight += n
    return total / weight if weight else 0.0


def _nearest(samples: Floats, training: Floats) -> tuple[Floats, np.ndarray]:
    """Distance of each sample to the nearest training sample, and which one it is."""
    squared = (samples**2).sum(axis=1)[:, None] + (training**2).sum(axis=1) - 2 * samples @ training.T
    at = squared.argmin(axis=1)
    return np.linalg.norm(samples - training[at], axis=1), at


def _cells(training: Floats, sides: tuple[Floats, Floats], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K-means cells of the training samples; the cell of each sample of both sides."""
    from sklearn.cluster import KMeans

    cells = int(np.clip(count // _PER_CELL, 1, min(_MOST_CELLS, len(training) // 2)))
    found = KMeans(cells, n_init=4, random_state=seed).fit(training)
    return found.predict(sides[0]), found.predict(sides[1])
