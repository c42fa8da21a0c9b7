"""Every network that can be needed: what asks for it, its licence and digest, where it is or how it comes here."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import SettingsError
from components.core.stores.known_weights import (
    GROUPS,
    KNOWN,
    PLACE,
    Found,
    KnownWeights,
    fetched_file,
    found,
    published_file,
)
from components.core.stores.storage import is_remote, open_location
from components.preprocess.densepose.weights import PUBLISHED, published_weights

_SHIPPED_FOR = "the defaults"
# Those of the package face-recognition-models, a requirement of the extra `cluster`: name -> file, what for, bytes,
# sha256. dlib's author gave them to the public domain (github.com/davisking/dlib-models).
_DLIB = {
    "dlib": ("dlib_face_recognition_resnet_model_v1.dat",
             "cluster.embedder=dlib, evaluate.embedder=dlib, train.face=dlib",
             22_466_066, "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"),
    "dlib-landmarks": ("shape_predictor_5_face_landmarks.dat", "cluster on photos without pose maps",
                       9_150_489, "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"),
}
_DLIB_PACKAGE = "face-recognition-models==0.3.0"


@dataclass(frozen=True)
class Network:
    """One network, for a list of them."""

    name: str
    file: str
    needed_by: str
    licence: str
    size: int
    """Bytes; 0 where it is not known before it is here."""
    digest: str
    """sha256:..., or of DensePose's the digits that are published, md5:..."""
    where: str
    """package, image, folder, bucket, cache, or absent."""
    address: str
    """Path or gs:// address; empty where it is absent."""
    source: str
    """Where it is published: an address, or the member of a wheel."""
    publisher: str
    """The same in short."""
    get: str
    """The command that brings it; empty where it is here."""


def networks() -> list[Network]:
    """Those that ship, dlib's, those known by name, and DensePose's.

    Raises what `storage` raises where PHOTOSHOOT_WEIGHTS is a bucket that cannot be reached.
    """
    return [*_shipped(), *_dlibs(), *(_listed(name, known) for name, known in _published())]


def chosen(names: Iterable[str]) -> dict[str, KnownWeights]:
    """The published networks of these names, or names of groups (`GROUPS`), each once; one text may hold several with
    commas, as arguments of builds do.

    Raises `SettingsError` for an unknown name; it names the nearest.
    """
    published = dict(_published())
    asked = [one for text in names for name in text.split(",") for one in GROUPS.get(name, (name,))]
    for name in asked:
        if name not in published:
            near = difflib.get_close_matches(name, [*published, *GROUPS], n=1)
            raise SettingsError(f"unknown weights {name}", remedy=f"did you mean {near[0]}?" if near else
                                f"`photoshoot weights --all` lists them; groups are {', '.join(GROUPS)}")
    return {name: published[name] for name in asked}


def destination(to: str | None) -> str | None:
    """Where fetched networks go: `to`, else the folder that PHOTOSHOOT_WEIGHTS names; None: the cache."""
    place = os.environ.get(PLACE)
    return to or (place if place and not is_remote(place) else None)


def bring(name: str, known: KnownWeights, to: str | None) -> str:
    """Fetch a network where it is not there yet; its path or address.

    `to`: folder or gs:// prefix; None: the cache. Raises what `published_file` and `storage` raise.
    """
    if to is None:
        return str(published_file(known, name))
    if is_remote(to):
        location = open_location(to)
        if not location.exists(known.file):
            location.write_bytes(known.file, fetched_file(known, name).read_bytes())
        return f"{to.rstrip('/')}/{known.file}"
    path = Path(to) / known.file
    if not (path.is_file() and known.sha256 and file_digest(path) == known.sha256):
        with atomic_path(path) as partial:
            shutil.copyfile(fetched_file(known, name), partial)
    return str(path)


def _published() -> Iterator[tuple[str, KnownWeights]]:
    yield from KNOWN.items()
    for name in PUBLISHED:
        yield name, published_weights(name)


def _listed(name: str, known: KnownWeights) -> Network:
    here = found(known) or Found("absent", "")
    size = Path(here.address).stat().st_size if here.kind in ("folder", "shipped", "cache") else known.size
    return Network(
        name, known.file, known.needed_by, known.licence, size,
        f"sha256:{known.sha256}" if known.sha256 else f"md5:{known.md5}...",
        "image" if here.kind == "shipped" else here.kind, here.address, known.source, known.publisher,
        "" if here.address else f"photoshoot weights fetch {name}")


def _shipped() -> Iterator[Network]:
    folder = resources.files("components.core") / "data"
    # `weights_card` would import torch.
    cards = json.loads((folder / "cards.json").read_text(encoding="utf-8"))
    for kind, needed_by in (("networks", _SHIPPED_FOR), ("models", "shoot, before there is a version")):
        for name, card in cards.get(kind, {}).items():
            yield Network(name, card["file"], needed_by, card["licence"], card["bytes"], f"sha256:{card['sha256']}",
                          "package", str(folder / card["file"]), "this package", "", "")


def _dlibs() -> Iterator[Network]:
    package = importlib.util.find_spec("face_recognition_models")
    for name, (file, needed_by, size, sha256) in _DLIB.items():
        path = Path(package.origin).parent / "models" / file if package and package.origin else Path(file)
        here = path.is_file()
        yield Network(name, file, needed_by, "CC0-1.0", size, f"sha256:{sha256}", "package" if here else "absent",
                      str(path) if here else "", f"the package {_DLIB_PACKAGE}", f"package {_DLIB_PACKAGE}",
                      "" if here else f"pip install --no-deps {_DLIB_PACKAGE}")
