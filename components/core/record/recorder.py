"""What a step tells about itself while it works: the interface between the work and the experiment tracker.

The work takes a `Recorder` and knows nothing of MLflow; a notebook passes none and nothing is recorded.
`tracking.py` has the MLflow one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Recorder(Protocol):
    """Receives a step's parameters, metrics and pictures."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings and facts that do not change during the run; nested mappings are flattened with dots."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Metrics, all of one moment."""

    def headline(self, values: Mapping[str, float]) -> None:
        """Metrics that belong on the pipeline run too, where runs are compared."""

    def image(self, key: str, image: np.ndarray, step: int | None = None) -> None:
        """A picture [H, W, 3] uint8 RGB under a key; with `step` it joins the key's slider."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file or a folder to keep with the run."""

    def dataset(self, name: str, source: str, digest: str, context: str) -> None:
        """A data set that went into the step; `context` says as what (training, evaluation)."""

    def logged(self, prefix: str) -> int:
        """Last step of which metrics whose names begin with `prefix` are there already, by an earlier process; or 0."""


class NoRecord:
    """Records nothing."""

    def params(self, values: Mapping[str, Any]) -> None: ...
    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None: ...
    def headline(self, values: Mapping[str, float]) -> None: ...
    def image(self, key: str, image: np.ndarray, step: int | None = None) -> None: ...
    def artifact(self, path: Path, folder: str | None = None) -> None: ...
    def dataset(self, name: str, source: str, digest: str, context: str) -> None: ...

    def logged(self, prefix: str) -> int:
        return 0
