"""The loss weights that a study found, as an artifact: a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.errors import DataError, InputError
from components.core.settings import LossWeights

FORMAT = "photoshoot.loss-weights/1"
FILE = "loss_weights.json"


@dataclass(frozen=True)
class TunedWeights:
    """Weights by name, and where they come from."""

    weights: Mapping[str, float]
    study: str
    trial: int
    score: float
    mlflow_run: str

    def over(self, weights: LossWeights) -> LossWeights:
        """The found weights over others; what was not searched stays as it is."""
        return LossWeights.model_validate(weights.model_dump() | dict(self.weights))


def write_weights(folder: Path, found: TunedWeights) -> None:
    """Write ``loss_weights.json`` into a folder."""
    with atomic_path(folder / FILE) as partial:
        partial.write_text(json.dumps({"format": FORMAT, **asdict(found)}, indent=1) + "\n", encoding="utf-8")


def read_weights(folder: Path) -> TunedWeights:
    """Read ``loss_weights.json``. Raises `InputError` when there is none, `DataError` for another format."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format")
        if found != FORMAT:
            raise DataError(f"format {found}, expected {FORMAT}", path=path, remedy="tune again with this version")
        return TunedWeights(**content)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("no loss weights here", path=path, remedy="`photoshoot tune` finds some") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError("damaged loss weights", path=path, remedy="tune again") from None
