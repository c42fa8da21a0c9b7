"""The model that a training starts from (`train.from`), looked up once, by the command that submits the run.

The settings then hold a digest and a place where every step can read the file: caches and trainings go by what it is,
and no step asks a registry what an alias means today.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.start import STARTER, refuse_misfit
from components.core.artifacts.version import LINEAGE, PREPROCESS
from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import InputError, SettingsError, machine_errors
from components.core.record import answering
from components.core.record.registry import CHAMPION, Versions
from components.core.settings import PreprocessSettings, Settings
from components.core.stores.known_weights import file_at
from components.core.stores.storage import address, is_remote, open_location

_ENDING = ".safetensors"
_SAME_CROPS = ("resolution", "texel", "margin")
"""Settings of preprocessing that decide what a network is shown of a person."""


@dataclass(frozen=True)
class _Found:
    """A model to start from: its file on this machine, whatever lies beside it, and where else the steps find it."""

    generator: Path
    where: str | None
    """Name, path or gs:// address for the settings; None: a passing copy, which has to be kept somewhere."""
    preprocess: PreprocessSettings | None = None
    """How its people were cut out; None: it does not say."""


def with_start(settings: Settings, registry: str | None, keep: str | Path | None) -> Settings:
    """The settings with `train.from` as steps can read it, and with its digest.

    Args:
        settings: Those of the run.
        registry: MLflow's address, for a version; None: there is none.
        keep: Folder or gs:// prefix where the steps can read, for what lies elsewhere. None: there is no such place.

    Raises `SettingsError` for a model with networks or crops of other sizes, and where it cannot be kept; `InputError`
    for one that is not there, and `DataError` for one that is not as it was registered.
    """
    asked = settings.train.from_
    if asked is None:
        return _with(settings, None, None)
    with _found(asked, settings.register_.model_name, registry) as found:
        cut = settings.preprocess
        refuse_misfit(found.generator, settings.train, cut.resolution, cut.texel)
        _refuse_other_crops(asked, found.preprocess, cut)
        digest = file_digest(found.generator)
        where = found.where
        if where is None or (where != STARTER and is_remote(keep or "gs://") and not is_remote(where)):
            where = _kept(found.generator, digest, keep, asked)
    return _with(settings, where, digest)


def _with(settings: Settings, where: str | None, digest: str | None) -> Settings:
    train = settings.train.model_copy(update={"from_": where, "from_digest": digest})
    return settings.model_copy(update={"train": train})


@contextmanager
def _found(asked: str, model_name: str, registry: str | None) -> Iterator[_Found]:
    if asked == STARTER:
        from components.core.networks.pretrained.starter import starter

        ships = starter()
        yield _Found(ships.generator, STARTER, ships.preprocess)
    elif "/" in asked or asked.endswith(_ENDING):
        yield _file(asked)
    else:
        with _version(asked, model_name, registry) as found:
            yield found


def _file(asked: str) -> _Found:
    if is_remote(asked):
        if not asked.endswith(_ENDING):
            raise SettingsError(f"train.from={asked}: not the address of a model's file",
                                remedy=f"give that of a {GENERATOR}")
        return _Found(file_at(asked), asked)
    path = Path(asked).absolute()
    generator = path / GENERATOR if path.is_dir() else path
    if not generator.is_file():
        raise InputError("train.from: no model's file here", path=generator, remedy=f"give the path of a {GENERATOR}")
    return _Found(generator, str(generator))


@contextmanager
def _version(asked: str, model_name: str, registry: str | None) -> Iterator[_Found]:
    if registry is None:
        raise InputError(f"train.from={asked}: no registry to look into",
                         remedy="set MLFLOW_TRACKING_URI, or train.from=starter")
    answering.check(registry)
    versions = Versions(model_name, registry)
    found = versions.champion() if asked == CHAMPION else next(
        (one for one in versions.all() if one.number == versions.aliases().get(asked, asked)), None)
    if found is None:
        raise versions.missing(asked, use="`--set train.from={}`")
    with versions.files(found) as folder:
        cut = PreprocessSettings.model_validate_json((folder / PREPROCESS).read_text(encoding="utf-8"))
        yield _Found(folder / GENERATOR, None, cut)


def _refuse_other_crops(asked: str, theirs: PreprocessSettings | None, ours: PreprocessSettings) -> None:
    if theirs is None:
        return
    apart = [name for name in _SAME_CROPS if getattr(theirs, name) != getattr(ours, name)]
    if apart:
        said = ", ".join(f"preprocess.{name}={getattr(theirs, name)}, not {getattr(ours, name)}" for name in apart)
        raise SettingsError(f"train.from={asked}: its people were cut out with {said}",
                            remedy=" ".join(f"--set preprocess.{name}={getattr(theirs, name)}" for name in apart)
                                   + ", or another train.from")


def _kept(generator: Path, digest: str, keep: str | Path | None, asked: str) -> str:
    """Put the model, with the lineage beside it, where the steps can read it; its address there."""
    if keep is None:
        raise SettingsError(f"train.from={asked}: the steps cannot read this machine's files, and the profile has no "
                            "gs:// prefix to put it under", remedy="state: gs://bucket/prefix in the profile, --root "
                                                                   f"gs://..., or the gs:// address of a {GENERATOR}")
    folder = f"{address(keep).rstrip('/')}/{digest[:16]}"
    for name in (LINEAGE, GENERATOR):
        source = generator if name == GENERATOR else generator.parent / name
        if source.is_file():
            _put(source, folder, name)
    return f"{folder}/{GENERATOR}"


def _put(source: Path, folder: str, name: str) -> None:
    if is_remote(folder):
        place = open_location(folder)
        if not place.exists(name):  # named by its digest: it is what it was
            place.write_bytes(name, source.read_bytes())
        return
    with machine_errors(folder), atomic_path(Path(folder) / name) as partial:
        shutil.copyfile(source, partial)
