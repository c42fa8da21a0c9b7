"""What is judged: a model, and the people it is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core.artifacts.model import generator_of
from components.core.digest import file_digest
from components.core.errors import DataError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import EvaluateSettings, GateSettings
from components.evaluate.measurer import Measurer
from components.evaluate.measuring.album import Album, album_for
from components.evaluate.measuring.measure import Instruments
from components.evaluate.measuring.methods import ModelMethod


@dataclass(frozen=True)
class Ground:
    """What anybody is judged on: people and who they are, what measures them, and the bounds."""

    people: PeopleDataset
    identities: Identities
    measurer: Measurer
    settings: EvaluateSettings
    gate: GateSettings

    @property
    def album(self) -> Album:
        """The people's photos, at the size at which pictures are judged."""
        return self.measurer.album

    @property
    def instruments(self) -> Instruments:
        """The networks that judge."""
        return self.measurer.instruments

    def training_photos(self, always: set[int]) -> list[int]:
        """Data set indices of the training photos that outputs are compared with: `always`, and more by seed."""
        members = self.identities.members(self.people, "train")
        every = sorted(int(index) for group in members.values() for index in group)
        order = [int(index) for index in np.random.default_rng(self.settings.seed).permutation(every)]
        return sorted(always | set(order[: self.settings.training_photos]))


@dataclass(frozen=True)
class EvaluatedModel(Ground):
    """And the model."""

    folder: Path
    reposer: Reposer

    @property
    def method(self) -> ModelMethod:
        """The model as a method."""
        return ModelMethod(self.reposer)

    def card(self) -> dict[str, Any]:
        """What metrics.json says of the model."""
        weights = generator_of(self.folder)
        return {"digest": file_digest(weights), "bytes": weights.stat().st_size,
                "generator": self.reposer.settings.generator, "resolution": self.reposer.resolution,
                "texel": self.reposer.texel, "trained_on": self.reposer.origin,
                "settings": self.reposer.settings.model_dump(mode="json")}


def open_evaluated(model: Path, people: Path, identities: Path, settings: EvaluateSettings, gate: GateSettings,
                   cache: Path | None) -> EvaluatedModel:
    """Open what is judged. Raises `InputError` for what is missing, `DataError` for what does not belong together."""
    weights = generator_of(model)
    dataset, reposer = PeopleDataset.open(people), Reposer.load(weights)
    if (dataset.resolution, dataset.texel) != (reposer.resolution, reposer.texel):
        raise DataError(f"the model is for {reposer.resolution} px and texture tiles of {reposer.texel}, these people "
                        f"have {dataset.resolution} px and {dataset.texel}", path=people,
                        remedy="preprocess the photos with the model's settings")
    owners = Identities.open(identities)
    measurer = Measurer(album_for(dataset, owners, settings), Instruments(settings, dataset.origin), cache)
    return EvaluatedModel(dataset, owners, measurer, settings, gate, model, reposer)
