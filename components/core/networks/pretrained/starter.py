"""The starter model that ships: a whole model, to take pictures with before anything was trained.

It lies beside the small networks: `starter.safetensors`, a model file in half precision, and its card in `cards.json`.
`make starter` makes both anew (`pipelines.pretraining.starter`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.digest import file_digest
from components.core.errors import DataError
from components.core.networks.pretrained import weights
from components.core.settings import PreprocessSettings

STARTER = "starter"
MODELS = "models"
"""Key of the cards of whole models in cards.json."""
_REMEDY = "install the package anew, or make it with `make starter`"


@dataclass(frozen=True)
class Starter:
    """The file of the model, how it cuts people out, and its digest (sha256, hex, of the file)."""

    generator: Path
    preprocess: PreprocessSettings
    digest: str

    @property
    def title(self) -> str:
        """What pictures say made them."""
        return f"photoshoot starter model {self.digest[:12]}"


def starter() -> Starter:
    """The starter model, checked against its digest.

    Raises `DataError`, naming the file, where it is missing or is not what its card says.
    """
    folder = Path(str(weights.folder()))
    card = starter_card(weights.cards())
    path = folder / str(card["file"])
    if not path.is_file():
        raise DataError("the starter model is missing", path=path, remedy=_REMEDY)
    digest = file_digest(path)
    if digest != card["sha256"]:
        raise DataError(f"sha256 is {digest[:12]}..., the card says {str(card['sha256'])[:12]}...", path=path,
                        remedy=_REMEDY)
    try:
        return Starter(path, PreprocessSettings.model_validate(card["preprocess"]), digest)
    except (KeyError, ValueError) as error:
        raise DataError(f"the starter model's card is not complete ({str(error).splitlines()[0]})",
                        path=folder / weights.CARDS, remedy=_REMEDY) from None


def starter_card(cards: Mapping[str, Any]) -> dict[str, Any]:
    """The starter's card in the document of cards. Raises `DataError` where there is none."""
    card: dict[str, Any] | None = cards.get(MODELS, {}).get(STARTER)
    if card is None:
        raise DataError("no card for the starter model", path=str(weights.folder() / weights.CARDS), remedy=_REMEDY)
    return card
