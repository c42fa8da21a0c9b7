"""A trained model: loaded from the registry, a folder or a file, and asked for pictures."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.version import PREPROCESS
from components.core.errors import DataError, InputError
from components.core.networks.generator.reposer import Reposer
from components.core.networks.pretrained.starter import STARTER, starter
from components.core.record import answering
from components.core.record.registry import Versions
from components.core.record.tracking import TRACKING_URI
from components.core.settings import PreprocessSettings
from components.core.shooting.personal.tuning import fitted_to
from components.core.shooting.shots import check_size, shoot, supported_size
from photoshoot.photos import Photo, Picture, Pixels, person_of, photo_pixels, target_of

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<number>[0-9]+))")
_ANYBODY = PreprocessSettings(min_person=8, min_coverage=0.0)
"""How people are cut out where a model does not say: small ones too, they are all that somebody may have."""
_HOME, _DEFAULT_HOME = "PHOTOSHOOT_HOME", ".photoshoot"


@dataclass(frozen=True, eq=False)
class Pictures:
    """New pictures, one for each target pose, in order."""

    images: Pixels
    """uint8 RGB [B, T, T, 3]: the person over the background; equal to it wherever the matte is 0."""
    mattes: Pixels
    """uint8 [B, T, T], 255 = person."""
    faces: list[int]
    """Per picture: which of the person's photos (its place among those given) gives face and hair."""
    other_clothes: list[int]
    """Which of the person's photos show other clothes than those worn: they give head and hands only."""


class Model:
    """A trained model; made by `load`."""

    def __init__(self, reposer: Reposer, preprocess: PreprocessSettings) -> None:
        self._reposer = reposer
        self._preprocess = preprocess.model_copy(update={"resolution": reposer.resolution, "texel": reposer.texel})

    @property
    def resolution(self) -> int:
        """S: the side of the pictures in which it decides. What it gives may be of another size, see `shoot`."""
        return self._reposer.resolution

    @property
    def origin(self) -> str:
        """Whom it was trained on: synthetic, rendered people; photos, real ones; personal: fitted to one person."""
        return self._reposer.origin

    @property
    def preprocess(self) -> PreprocessSettings:
        """How photos are cut out for it."""
        return self._preprocess

    @property
    def digest(self) -> str:
        """sha256, hex, of its weights: the same for copies of one model."""
        return weights_digest(self._reposer.network)

    def personalise(self, photos: Photo | Sequence[Photo]) -> Model:
        """This model fitted to one person: about a minute on two cores on photos of theirs, two or more.

        Each photo is painted from the others. This model stays as it is; what comes back is for this person's pictures
        alone: it cannot be saved or registered. It is kept in the user's cache (``PHOTOSHOOT_CACHE``, else
        ``~/.cache/photoshoot``), where the same photos find it again. Where a photo that is kept back is not painted
        better, it is this very model.

        Raises `InputError` for photos that cannot be used, `MachineError` where the cache cannot be written.
        """
        person = [person_of(photo, self._preprocess) for photo in _several(photos)]
        fitted = fitted_to(self._reposer, person)
        return Model(fitted.model, self._preprocess) if fitted.helped else self

    def shoot(self, photos: Photo | Sequence[Photo], poses: Picture | Sequence[Picture], *,
              background: Picture | None = None, clothes: Photo | Sequence[Photo] | None = None,
              size: int | None = None) -> Pictures:
        """Paint a person in each of the target poses.

        `photos` is one photo or several of the same person, in any order: what each shows of them is put together.
        `poses` are pose maps of any size, or photos of somebody in the pose, one or several. `background` is any
        picture, cut to a square around its middle (None: a studio wall). `clothes` are photos of whoever's clothes to
        wear (None: their own). Files and arrays may be mixed, see `Picture`. The same arguments give the same pictures.

        `size` is the pictures' side T, 64 to 2048 pixels. None: what the photos support, which is `resolution` doubled
        as long as the person fills it by four fifths, up to 1024. In another size than `resolution` the network decides
        there and the picture is made of the photos' own pixels; only a `paper` model's picture is enlarged as it is.

        Raises `InputError`, naming the file where it is one, for what cannot be read or is no photo or pose map, for
        sizes that do not go together or are out of bounds, for nobody in a pose map or photo, and where there is no
        photo or no pose; `MachineError` where a plain photo needs the landmark networks and they cannot be had.
        """
        cut = self._preprocess
        size = None if size is None else check_size(size)
        person = [person_of(photo, cut) for photo in _several(photos)]
        worn = None if clothes is None else [person_of(photo, cut) for photo in _several(clothes)]
        size = supported_size(person, self.resolution) if size is None else size
        targets = [target_of(pose, cut) for pose in _listed(poses)]
        wall = None if background is None else photo_pixels(background, cut)
        shot = shoot(self._reposer, person, targets, wall, worn, size)
        return Pictures(shot.images, shot.mattes, shot.faces, shot.other_clothes)


def load(model: str | Path, *, tracking_uri: str | None = None, device: str = "cpu") -> Model:
    """Load a model.

    `model` is one of

    - ``models:/NAME@ALIAS`` or ``models:/NAME/NUMBER``: a version in the MLflow registry at `tracking_uri` (default:
      ``MLFLOW_TRACKING_URI``, else the home folder that the commands use, ``PHOTOSHOOT_HOME`` or ``./.photoshoot``);
    - a folder: what `photoshoot train` wrote, or a registered version's files;
    - the file ``generator.safetensors``;
    - ``starter``: the model that ships with the package, taught by synthetic people.

    With a version comes how it cuts people out; a folder or file without the file preprocess.json beside it takes the
    defaults, and people of any size. `device` is what torch calls it: ``cpu``, ``cuda``, ``cuda:1``. MLflow is needed
    for ``models:/`` only.

    A version's files are compared with what the ledger says was registered, and ``@champion`` is the ledger's: what is
    odd about them (an alias set by hand, a version from before there were records) is a warning.

    Raises `InputError` where there is no such model, `DataError` for files that are torn, of another format version
    or, of a version, not as they were registered; `MachineError` where MLflow does not answer.
    """
    address = str(model)
    if model == STARTER:  # a Path of that name is a folder
        shipped = starter()
        return Model(Reposer.load(shipped.generator, device), shipped.preprocess)
    if not address.startswith("models:"):
        return load_files(_generator(Path(address)), device=device)
    found = _REGISTERED.fullmatch(address)
    if found is None:
        raise InputError(f"{address} is not the address of a registered version",
                         remedy="models:/NAME@ALIAS or models:/NAME/NUMBER, e.g. models:/photoshoot@champion")
    versions = Versions(found["name"], tracking_uri or _usual_registry())
    answering.check(versions.uri)
    with versions.files(versions.get(found["alias"] or found["number"])) as folder:
        for note in versions.notes:
            warnings.warn(note, stacklevel=2)
        return load_files(folder / GENERATOR, folder / PREPROCESS, device)


def load_files(generator: Path, preprocess: Path | None = None, device: str = "cpu") -> Model:
    """A model from its file and the file with how it cuts people out (default: the one beside it, if there is one).

    Raises as `load` does.
    """
    reposer = Reposer.load(generator, device)
    beside = generator.with_name(PREPROCESS)
    path = preprocess or (beside if beside.is_file() else None)
    if path is None:
        return Model(reposer, _ANYBODY)
    try:
        return Model(reposer, PreprocessSettings.model_validate_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"not the settings of a model ({str(error).splitlines()[0]})", path=path,
                        remedy="copy the model's files again, or register it again") from None


def weights_digest(network: nn.Module) -> str:
    """sha256, hex, of a network's weights with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + b"\0" + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _generator(path: Path) -> Path:
    """The file of a model that is given as a file or a folder."""
    places = [path / GENERATOR, path / "artifacts" / GENERATOR] if path.is_dir() else [path]
    return next((place for place in places if place.is_file()), places[0])


def _usual_registry() -> str | None:
    """Where the commands keep versions unless they are told otherwise; None where nothing was ever kept."""
    database = Path(os.environ.get(_HOME) or _DEFAULT_HOME).expanduser().absolute() / "mlflow.db"
    if os.environ.get(TRACKING_URI) or not database.is_file():
        return None
    return f"sqlite:///{database}"


def _several(photos: Photo | Sequence[Photo]) -> list[Photo]:
    return [photos] if isinstance(photos, Photo) else list(photos)


def _listed(pictures: Picture | Sequence[Picture]) -> list[Picture]:
    if isinstance(pictures, np.ndarray):
        return [pictures] if pictures.ndim < 4 else list(pictures)
    if isinstance(pictures, str | os.PathLike):
        return [pictures]
    return list(pictures)
