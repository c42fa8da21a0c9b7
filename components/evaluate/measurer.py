"""Everything that is measured of real photos and of the controls, in one place, so that an experiment that measures
the same photos a hundred times can remember them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.evaluate.measuring.album import Album
from components.evaluate.measuring.measure import Instruments, Measured, Reals, masked_errors, measure_by_target
from components.evaluate.measuring.methods import Method
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.quality import Floats
from components.evaluate.measuring.reference import reference
from components.evaluate.memorisation.probes import Seen, look


class Measurer:
    """Measures anew, but for real photos' own metrics, which are kept in the folder `cache` (None: nowhere)."""

    def __init__(self, album: Album, instruments: Instruments, cache: Path | None) -> None:
        self.album, self.instruments, self._cache = album, instruments, cache

    def reals(self, members: Mapping[str, npt.NDArray[np.int64]], label: str) -> Reals:
        """All photos of some identities."""
        return reference(self.album, members, self.instruments, label, self._cache)

    def outputs(self, pairs: Sequence[EvaluationPair], method: Method, label: str) -> Measured:
        """Outputs of a method that depend on the target alone."""
        return measure_by_target(self.album, pairs, method, self.instruments, label)

    def errors(self, pairs: Sequence[EvaluationPair], method: Method, label: str) -> Floats:
        """The metric `l1` of a method's outputs."""
        return masked_errors(self.album, pairs, method, label)

    def look(self, method: Method, pairs: Sequence[EvaluationPair], label: str) -> Seen:
        """What a method puts around the people of some pairs: at the networks' own size, where a memory would be."""
        return look(self.album.own, method, pairs, label)
