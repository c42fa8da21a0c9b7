"""The model that a training starts from: whether it fits, and what is kept of it with the model that comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from components.core.artifacts.files import read_json, write_json
from components.core.artifacts.model import FORMAT as MODEL_FORMAT
from components.core.atomic import atomic_path
from components.core.documents import json_object
from components.core.errors import DataError, InputError, SettingsError
from components.core.settings import TrainSettings

FORMAT, FILE = "photoshoot.start/1", "start.json"
STARTER = "starter"
"""What `train.from` calls the model that ships."""
_SHAPE = {"digest": str, "known": bool}
_ARCHITECTURE = ("generator", "width", "max_width", "latent")


class Start(NamedTuple):
    """A model that a training started from."""

    digest: str
    """sha256 of its generator's file, hex."""
    known: bool
    """Whether it says which photos it was trained on."""


def write_start(folder: Path, start: Start) -> None:
    """Write ``start.json`` beside a generator."""
    with atomic_path(folder / FILE) as partial:
        write_json(partial, {"format": FORMAT, **start._asdict()})


def read_start(folder: Path) -> Start | None:
    """What `write_start` wrote; None for a model that started from nothing. Raises `DataError` for a torn file."""
    if not (folder / FILE).is_file():
        return None
    content = read_json(folder / FILE, FORMAT, "start of a training", "photoshoot train", _SHAPE)
    return Start(content["digest"], content["known"])


def refuse_misfit(generator: Path, settings: TrainSettings, resolution: int, texel: int) -> None:
    """Return where networks of these settings can take the weights of a model file, of which only the header is read.

    Raises `SettingsError` that names the settings which differ, `InputError` and `DataError` for what is no model file
    of this format.
    """
    header = _header(generator)
    found = header.get("format", "none")
    if found != MODEL_FORMAT:
        raise DataError(f"format {found}, expected {MODEL_FORMAT}", path=generator,
                        remedy="start from a model of this version")
    try:
        apart = list(_apart(header, settings, resolution, texel))
    except (KeyError, ValueError):
        raise DataError("not a complete model: its header does not say how it was made", path=generator,
                        remedy="start from another model") from None
    if apart:
        theirs = " ".join(f"{name}={value}" for name, value, _ in apart)
        ours = ", ".join(f"{name}={value}" for name, _, value in apart)
        raise SettingsError(f"train.from: {generator} has other networks, made with {theirs}; asked is {ours}",
                            remedy=" ".join(f"--set {name}={value}" for name, value, _ in apart)
                                   + ", or another train.from")


def _apart(header: dict[str, str], settings: TrainSettings, resolution: int, texel: int
           ) -> Iterator[tuple[str, Any, Any]]:
    """Name of each setting that decides on the networks' shapes and differs: its value there and here."""
    theirs = json_object(header["settings"])
    for name in _ARCHITECTURE:
        there, here = theirs[name], getattr(settings, name)
        if there != here:
            yield f"train.{name}", there, here
    for name, here in (("resolution", resolution), ("texel", texel)):
        there = int(header[name])
        if there != here:
            yield f"preprocess.{name}", there, here


def _header(generator: Path) -> dict[str, str]:
    if not generator.is_file():
        raise InputError("no model here to start from", path=generator, remedy="train.from=starter, or a model's file")
    try:
        with safe_open(generator, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"damaged or not a model file ({str(error).splitlines()[0]})", path=generator,
                        remedy="start from another model") from None
