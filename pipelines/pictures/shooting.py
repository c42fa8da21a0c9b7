"""The verb `shoot`: new photos of a person from a registered version, or from the starter model that ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.version import PREPROCESS
from components.core.errors import InputError
from components.core.record import answering
from components.core.record.registry import Versions
from components.core.settings import PreprocessSettings
from pipelines.home.folder import Home

if TYPE_CHECKING:
    from components.core.shooting.subjects import Subject
    from components.shoot.session import SessionSummary, Wishes

STARTER = "starter"
"""What `--version` calls the model that ships (`components.core.networks.pretrained.starter`, which imports torch)."""
RANDOM = "random"
"""What `--clothes` calls the wardrobe that ships."""
OWN_POSES = "poses"
"""Folder of a home's own poses."""


def subjects(photos: Sequence[Path], iuvs: Sequence[Path] = (), mattes: Sequence[Path] = ()) -> list[Subject]:
    """A person's photos and, where there are any, their pose maps and mattes, the first with the first and so on.

    Raises `InputError` where their numbers differ.
    """
    from components.core.shooting.subjects import Subject

    for what, option, files in (("pose maps", "--iuv", iuvs), ("mattes", "--matte", mattes)):
        if files and len(files) != len(photos):
            raise InputError(f"{len(photos)} photos, but {len(files)} {what}",
                             remedy=f"give {option} once for each --photo, in the same order, or not at all")
    nothing: Sequence[Path | None] = [None] * len(photos)
    return [Subject(*files) for files in zip(photos, iuvs or nothing, mattes or nothing, strict=True)]


class WornClothes(TypedDict, total=False):
    """`Wishes.clothes` or `Wishes.wardrobe`."""

    clothes: Sequence[Subject]
    wardrobe: Sequence[Subject]


def clothes_of(given: Sequence[Path]) -> WornClothes:
    """What `--clothes` says: photos, or one folder of them or ``random``, of which each picture gets one by chance.

    Raises `InputError` for a folder without photos, and for more than it.
    """
    from components.core.shooting.wardrobe import wardrobe

    several = next((path for path in given if str(path) == RANDOM or path.is_dir()), None)
    if several is None:
        return {"clothes": subjects(given)}
    if len(given) > 1:
        raise InputError("--clothes is given several times, once as a choice by chance", path=several,
                         remedy="give photos of one outfit, or one folder, or random")
    return {"wardrobe": wardrobe(None if str(several) == RANDOM else several)}


@dataclass(frozen=True)
class Chosen:
    """A model to take pictures with."""

    generator: Path
    preprocess: PreprocessSettings
    made_by: str
    """What pictures say made them."""
    note: str | None
    """Why it is this one, where nobody asked for it and it is not the champion; and what is odd about it: an alias
    that the ledger does not know, files that nobody recorded."""


@contextmanager
def chosen_model(home: Home, model_name: str, version: str | None) -> Iterator[Chosen]:
    """A version (a number, or an alias such as champion), ``starter``, or, None, the usual one: the champion, else the
    newest that its gate did not fail, else the starter model. Its files can be read until the block ends.

    Raises `InputError` when there is no such version, `DataError` where the starter model is not what its card says.
    """
    if version == STARTER:
        yield _starter(None)
        return
    answering.check(home.tracking_uri)
    versions = Versions(model_name, home.tracking_uri)
    found, why = versions.usual() if version is None else (versions.get(version), "")
    if found is None:
        yield _starter("; ".join([f"{why}: the starter model is used", *versions.notes]))
        return
    note = (f"{why}: version {found.number} (its gate: {found.tags.get('verdict', 'no verdict')}) is used; "
            f"`--version {STARTER}` takes the model that ships") if why else None
    with versions.files(found) as folder:
        note = "; ".join([*([note] if note else []), *versions.notes]) or None
        cut = PreprocessSettings.model_validate_json((folder / PREPROCESS).read_text(encoding="utf-8"))
        yield Chosen(folder / GENERATOR, cut, f"{model_name} version {found.number}", note)


def _starter(note: str | None) -> Chosen:
    from components.core.networks.pretrained.starter import starter

    found = starter()
    return Chosen(found.generator, found.preprocess, found.title, note)


def shoot_with_version(home: Home, model_name: str, version: str | None, subject: Sequence[Subject], wishes: Wishes,
                       out: Path | None = None) -> tuple[SessionSummary, Path]:
    """Paint the person of one or several photos with the model that `chosen_model` finds: the pictures, and the folder
    they are in, `out` or a new one here, photoshoot-<date>.

    Raises what `chosen_model` raises, and `InputError` for pictures that cannot be used.
    """
    from components.shoot.session import photoshoot

    with chosen_model(home, model_name, version) as model:
        place = out or new_folder(Path.cwd(), date.today())
        summary = photoshoot(model.generator, subject, wishes, place, model.made_by, preprocess=model.preprocess)
    return (replace(summary, notes=[model.note, *summary.notes]) if model.note else summary), place


def new_folder(parent: Path, day: date) -> Path:
    """photoshoot-<date>, or where that exists photoshoot-<date>-2 and so on."""
    first = parent / f"photoshoot-{day.isoformat()}"
    return next(path for number in count(1)
                if not (path := first if number == 1 else first.with_name(f"{first.name}-{number}")).exists())
