"""The model that a training starts from (`train.from`), as a step finds it: by its address, checked by its digest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from components.core.artifacts.start import STARTER, Start, refuse_misfit, write_start
from components.core.artifacts.version import LINEAGE, lineage, trained_on, write_lineage
from components.core.digest import file_digest
from components.core.errors import DataError, SettingsError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import TrainSettings
from components.core.stores.known_weights import file_at
from components.core.stores.storage import is_remote, open_location


class Weights(NamedTuple):
    """A generator's weights to start from, by name, and whose they are."""

    tensors: Mapping[str, Tensor]
    start: Start
    training_photos: frozenset[str]
    """Digests of the photos that it says it was trained on, it and the models before it."""


def with_digest(settings: TrainSettings) -> TrainSettings:
    """The settings with the digest of the model that they start from, where a caller other than the command line names
    its file alone.

    Raises `SettingsError` for a version of the registry: a step does not look into one.
    """
    if settings.from_ is None:
        return settings.model_copy(update={"from_digest": None})
    if settings.from_digest is not None:
        return settings
    return settings.model_copy(update={"from_digest": file_digest(_file(settings.from_))})


def opened(settings: TrainSettings, people: PeopleDataset, who: Identities) -> Weights | None:
    """The weights that such a training starts from; None: at random.

    Raises `SettingsError` for networks of other sizes, `DataError` for another model than the one that was asked for
    and for one that was trained on people who are held out here, `InputError` where there is none.
    """
    if settings.from_ is None:
        return None
    path = _file(settings.from_)
    digest = file_digest(path)
    if digest != settings.from_digest:
        raise DataError(f"train.from: sha256 is {digest[:12]}..., asked for was {str(settings.from_digest)[:12]}...",
                        path=settings.from_, remedy="run the command again: it looks the model up anew")
    refuse_misfit(path, settings, people.resolution, people.texel)
    seen = _trained_on(settings.from_)
    _refuse_seen(seen, people, who)
    return Weights(Reposer.load(path).network.state_dict(), Start(digest, seen is not None), seen or frozenset())


def without_place(settings: TrainSettings) -> TrainSettings:
    """The settings as a model carries them: where its start lay on some machine is of no use to others."""
    return settings if settings.from_ in (None, STARTER) else settings.model_copy(update={"from_": None})


def write_history(out: Path, weights: Weights | None, people: PeopleDataset, who: Identities) -> None:
    """Leave beside a model what it was trained on, and what it started from."""
    photos = people.photo_digests(who.members(people, "train").values())
    write_lineage(out, lineage(people.digest, who.digest, photos | (weights.training_photos if weights else set())))
    if weights:
        write_start(out, weights.start)


def _file(address: str) -> Path:
    if address == STARTER:
        from components.core.networks.pretrained.starter import starter

        return starter().generator
    if "/" not in address and not address.endswith(".safetensors"):
        raise SettingsError(f"train.from={address}: only the command line looks into the registry",
                            remedy="give the path of a generator.safetensors, or starter")
    return file_at(address)


def _trained_on(address: str) -> frozenset[str] | None:
    """Digests of the photos that a model was trained on, from the lineage that a version has beside it."""
    if address == STARTER:
        return frozenset()  # synthetic people
    folder = address.rpartition("/")[0] or "."
    if not open_location(folder).exists(LINEAGE):
        return None
    beside = file_at(f"{folder}/{LINEAGE}") if is_remote(address) else Path(folder) / LINEAGE
    return frozenset(trained_on(beside.parent))


def _refuse_seen(seen: frozenset[str] | None, people: PeopleDataset, who: Identities) -> None:
    """Who is held out here must not have been trained on there: the evaluation would flatter."""
    if not seen:
        return
    for split in ("test", "validation"):
        held = people.photo_digests(who.members(people, split).values())
        if both := len(held & seen):
            raise DataError(f"train.from: that model was trained on {both} of the {len(held)} photos of the {split} "
                            "split",
                            remedy="keep the splits of its run (cluster.previous), or start from another model")
