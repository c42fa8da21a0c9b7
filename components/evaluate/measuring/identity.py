"""Is it their face? Cosine similarities of the output's face, by an embedder that did not train the model.

For a pair (source i, target j) of person p, with s(a, b) the cosine of two faces' embeddings:

- face similarity: s(output, photo j), against the real face in the same pose;
- another photo: mean of s(photo k, photo j) over p's other photos k: as similar as two photos of p are;
- a stranger: mean of s(photo x, photo j) over everybody else of the split;
- identity recovered: (output - stranger) / (another photo - stranger), the means over all pairs put in. 0 is a
  stranger's face, 1 is as similar as another photo; above 1 it copies the very photo it is compared with.

Left out, and counted: pairs whose source or target photo does not show the face, or too small for the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluate.measuring.intervals import Metric, Resampler, missing, side_of
from components.evaluate.measuring.measure import Measured, Reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Floats

LEAST_GAP = 0.05
"""Least difference between another photo's similarity and a stranger's for a share of it to mean anything."""
NO_FACE = "no pair shows the face in both photos, large enough to judge"


@dataclass(frozen=True)
class Similarities:
    """Per pair: cosines of output, another photo of the person, and strangers with the target's face, or NaN."""

    output: Floats
    another: Floats
    stranger: Floats


def similarities(pairs: Sequence[EvaluationPair], measured: Measured, reals: Reals) -> Similarities:
    """Compare the faces of the pairs' outputs with the real ones."""
    count = len(pairs)
    output, another, stranger = (np.full(count, np.nan) for _ in range(3))
    if not count:
        return Similarities(output, another, stranger)
    sources, targets = reals.rows([pair.source for pair in pairs]), reals.rows([pair.target for pair in pairs])
    valid = measured.face_valid & reals.face_valid[sources] & reals.face_valid[targets]
    names = np.asarray(reals.identities)
    cosines = reals.faces @ reals.faces.T
    for k in np.flatnonzero(valid):
        target = targets[k]
        same = (names == names[target]) & reals.face_valid
        same[target] = False
        others = (names != names[target]) & reals.face_valid
        output[k] = measured.faces[k] @ reals.faces[target]
        another[k] = cosines[target][same].mean() if same.any() else np.nan
        stranger[k] = cosines[target][others].mean() if others.any() else np.nan
    return Similarities(output, another, stranger)


def identity_metrics(found: Similarities, resampler: Resampler) -> dict[str, Metric]:
    """Face similarity, what it is measured against, and the share of identity recovered."""
    return {
        "face_similarity": resampler.mean(found.output, nobody=NO_FACE),
        "another_photo_similarity": resampler.mean(found.another, nobody=NO_FACE),
        "stranger_similarity": resampler.mean(found.stranger, nobody="nobody else in the split to compare with"),
        "identity_recovered": _recovered(found, resampler),
    }


def _recovered(found: Similarities, resampler: Resampler) -> Metric:
    usable = np.isfinite(found.output) & np.isfinite(found.another) & np.isfinite(found.stranger)
    if not usable.any():
        if not np.isfinite(found.output).any():
            return missing(NO_FACE)
        return missing("needs a second person and a second photo that show their faces")
    gap = np.where(usable, found.another - found.stranger, np.nan)
    apart = resampler.mean(gap)
    if (side := side_of(apart, LEAST_GAP)) < 1:
        said = "the judge cannot tell these people apart" if side < 0 else (
            "too few to say whether the judge can tell people apart")
        return missing(f"{said}: two photos of one person are only {apart.value:.2f} more alike than photos of two",
                       apart.n)
    return resampler.ratio(np.where(usable, found.output - found.stranger, np.nan), gap)


def separation(reals: Reals) -> Metric:
    """How well the judge tells the split's real people apart: the chance that two photos of one person are more alike
    than photos of two people (area under the ROC curve; 0.5 is guessing, 1 never wrong)."""
    shown = np.flatnonzero(reals.face_valid)
    names = np.asarray(reals.identities)[shown]
    cosines = reals.faces[shown] @ reals.faces[shown].T
    upper = np.triu(np.ones(cosines.shape, bool), 1)
    same = names[:, None] == names[None, :]
    genuine, impostor = np.sort(cosines[upper & same]), np.sort(cosines[upper & ~same])
    if not len(genuine) or not len(impostor):
        return missing("needs two people, one of them with two photos, that show their faces")
    below = np.searchsorted(impostor, genuine, "left") + np.searchsorted(impostor, genuine, "right")
    return Metric(float(below.mean() / 2 / len(impostor)), n=len(genuine))
