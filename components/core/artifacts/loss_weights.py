"""The loss weights that a study found, as an artifact: a small JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.core.artifacts.files import NUMBER, Each, read_json, write_json
from components.core.atomic import atomic_path
from components.core.errors import DataError
from components.core.settings import LossWeights

FORMAT = "photoshoot.loss-weights/1"
FILE = "loss_weights.json"
_SHAPE = {"weights": Each(NUMBER), "study": str, "trial": int, "score": NUMBER, "mlflow_run": str}


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
        write_json(partial, {"format": FORMAT, **asdict(found)})


def read_weights(folder: Path) -> TunedWeights:
    """Read ``loss_weights.json``. Raises `InputError` when there is none, `DataError` for a torn file or another
    format."""
    path = folder / FILE
    content = read_json(path, FORMAT, "loss weights", "photoshoot tune", _SHAPE)
    try:
        found = TunedWeights(**{key: value for key, value in content.items() if key != "format"})
        found.over(LossWeights())
    except (TypeError, ValueError):  # what is no weight, or out of a weight's range
        raise DataError("damaged loss weights", path=path, remedy="tune again") from None
    return found
