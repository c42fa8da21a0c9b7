"""In how many outputs is a face found?

Detectors of real faces are heavy and blind to synthetic ones, so the judge's own embedder decides: a linear boundary
between its embeddings of training photos' faces and of what is no face (`measure.no_faces`: a chest, a shuffled face, a
smear), tried on the held-out photos before it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.evaluate.intervals import Figure, Resampler, missing
from components.evaluate.measure import Measured, Reals
from components.evaluate.pairs import Case
from components.evaluate.quality import Floats

LEAST_FACES = 20
RELIABLE = 0.85
"""Least share of held-out faces that must be found, and of held-out non-faces that must not."""


class FaceFinder:
    """Fitted on one population, tried on another; `reason` says why it cannot be used, if it cannot."""

    def __init__(self, training: Reals, held_out: Reals) -> None:
        self.reason = ""
        faces, none = training.faces[training.face_valid], training.no_faces
        real, fake = held_out.faces[held_out.face_valid], held_out.no_faces
        if len(faces) < LEAST_FACES or not len(real):
            self.reason = (f"{len(faces)} training and {len(real)} held-out photos show a face, {LEAST_FACES} and 1 "
                           "are needed")
            return
        from sklearn.linear_model import LogisticRegression

        labels = np.r_[np.ones(len(faces)), np.zeros(len(none))]
        self._boundary = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced")
        self._boundary.fit(np.concatenate([faces, none]), labels)
        self.finds, self.mistakes = float(self._is_face(real).mean()), float(self._is_face(fake).mean())
        if self.finds < RELIABLE or self.mistakes > 1 - RELIABLE:
            self.reason = (f"on held-out photos the judge finds {self.finds:.0%} of the faces and takes "
                           f"{self.mistakes:.0%} of what is none for one: it cannot be relied on")

    def share(self, cases: Sequence[Case], measured: Measured, reals: Reals, resampler: Resampler) -> Figure:
        """Share of the outputs, where the real photo in that pose shows a face, in which one is found."""
        if self.reason or not cases:
            return missing(self.reason or "nobody was asked for")
        shown = reals.face_valid[reals.rows([case.target for case in cases])]
        found = np.where(measured.face_valid, self._is_face(measured.faces), False).astype(np.float64)
        return resampler.mean(np.where(shown, found, np.nan), nobody="no target photo shows a face large enough")

    def _is_face(self, embeddings: Floats) -> np.ndarray:
        return np.asarray(self._boundary.predict(embeddings) > 0.5)
