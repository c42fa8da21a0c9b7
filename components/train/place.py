"""Where a training keeps its checkpoints, by all that decides its result."""

from __future__ import annotations

from pathlib import Path

from components.core.digest import json_digest
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import TrainSettings
from components.core.settings.training import START
from components.core.stores.storage import address

_DOES_NOT_MATTER = {"log_every", "sample_every", "checkpoint_every", "keep_checkpoints", "device", "processes", "nodes",
                   "runtime", *START}


def place_of(people: Path | str, identities: Path, settings: TrainSettings, state: Path | str) -> str:
    """Folder or gs:// address of a training's checkpoints below `state`."""
    who = Identities.open(identities)
    return place_below(state, training_digest(settings, PeopleDataset.open(people).digest, who.digest))


def place_below(state: Path | str, digest: str) -> str:
    return f"{address(state)}/{digest[:16]}"


def training_digest(settings: TrainSettings, people: str, identities: str) -> str:
    """Names a training by all that decides its result; how often it logs or saves does not.

    Of a model that it starts from its content decides, wherever it lies, and how it is kept to.
    """
    matters = settings.model_dump(mode="json", exclude=_DOES_NOT_MATTER)
    matters["momentum"] = matters.pop("beta1")  # as 0.1 called it: a training that it began goes on
    return json_digest([matters, people, identities, *settings.start_key()])
