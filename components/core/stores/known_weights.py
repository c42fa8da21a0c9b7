"""Weights that do not ship with the package: published ones by name, checked against their digest; files by address.

Looked for, in this order: the folder or gs:// prefix in PHOTOSHOOT_WEIGHTS; the local cache (PHOTOSHOOT_CACHE, else
~/.cache/photoshoot); the address they are published at. What is fetched is kept in the cache.
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError, SettingsError, machine_errors
from components.core.progress import task
from components.core.stores.storage import is_remote, open_location

PLACE, CACHE = "PHOTOSHOOT_WEIGHTS", "PHOTOSHOOT_CACHE"
_BLOCK, _TIMEOUT_S, _TRIES = 1 << 20, 30.0, 3


@dataclass(frozen=True)
class KnownWeights:
    """A published file."""

    file: str
    sha256: str
    """Hex; empty where none is published."""
    url: str
    licence: str
    md5: str = ""
    """The first digits of it, where no more is published."""


_TORCHVISION = "BSD-3-Clause, as torchvision; the photos it was trained on have ImageNet's terms"
KNOWN: dict[str, KnownWeights] = {
    "vggface2": KnownWeights(
        "20180402-114759-vggface2.pt", "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
        "MIT; the photos it was trained on have VGGFace2's terms"),
    "inception-2015-12-05": KnownWeights(
        "pt_inception-2015-12-05-6726825d.pth", "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "Apache-2.0"),
    "vgg16": KnownWeights(
        "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "https://download.pytorch.org/models/vgg16-397923af.pth", _TORCHVISION),
    "vgg19": KnownWeights(
        "vgg19-dcbb9e9d.pth", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", _TORCHVISION),
}


def known_weights(name: str) -> Path:
    """The file of the weights that `KNOWN` has under this name, on this machine.

    Raises `SettingsError` for an unknown name, else as `published_file` does.
    """
    if name not in KNOWN:
        raise SettingsError(f"unknown weights {name}", remedy=f"there are {', '.join(KNOWN)}")
    return published_file(KNOWN[name])


def published_file(known: KnownWeights) -> Path:
    """A published file on this machine, fetched where it is not.

    Raises `InputError` where PHOTOSHOOT_WEIGHTS is given without the file in it, `DataError` for a file with another
    digest, `MachineError` where it cannot be fetched.
    """
    place = os.environ.get(PLACE)
    if place and not is_remote(place):
        return _checked(_given(Path(place), known), known)
    cached = _cache() / "weights" / known.file
    if not cached.is_file():
        with machine_errors(cached), atomic_path(cached) as partial:
            if place:
                partial.write_bytes(open_location(place).read_bytes(known.file))
            else:
                _fetch(known, partial)
            _checked(partial, known)
    return _checked(cached, known)


def file_at(address: str) -> Path:
    """A file by path or gs:// address, on this machine's disk; one on gs:// is fetched anew, for it may have changed.

    Raises `InputError` where it does not exist, else what `storage` raises.
    """
    if not is_remote(address):
        if not Path(address).is_file():
            raise InputError("no such file", path=address, remedy="check the path; it is relative to where you are")
        return Path(address)
    folder, _, name = address.rpartition("/")
    kept = _cache() / "files" / hashlib.sha256(folder.encode()).hexdigest()[:16] / name
    with machine_errors(kept), atomic_path(kept) as temporary:
        temporary.write_bytes(open_location(folder).read_bytes(name))
    return kept


def _cache() -> Path:
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "photoshoot")


def _given(folder: Path, known: KnownWeights) -> Path:
    path = folder / known.file
    if not path.is_file():
        raise InputError("no such weights", path=path,
                         remedy=f"bring them from {known.url}, or unset {PLACE} where there is a connection")
    return path


def _checked(path: Path, known: KnownWeights) -> Path:
    remedy = f"bring it again from {known.url}"
    if known.sha256 and (found := file_digest(path)) != known.sha256:
        raise DataError(f"sha256 is {found[:12]}..., {known.file} has {known.sha256[:12]}...", path=path, remedy=remedy)
    if known.md5 and not (found := _md5(path)).startswith(known.md5):
        raise DataError(f"MD5 is {found[:6]}..., {known.file} has {known.md5}...", path=path, remedy=remedy)
    return path


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(known: KnownWeights, to: Path) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            return _fetch_once(known, to)
        except (urllib.error.URLError, TimeoutError, ConnectionError, EOFError) as error:
            if attempt == _TRIES or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                raise MachineError(f"{known.url} cannot be fetched ({error})",
                                   remedy=f"put {known.file} into a folder and name that in {PLACE}") from None
            time.sleep(2.0 ** (attempt - 1))


def _fetch_once(known: KnownWeights, to: Path) -> None:
    """Raises `EOFError` when the connection ended too soon."""
    with urllib.request.urlopen(known.url, timeout=_TIMEOUT_S) as answer, open(to, "wb") as file:
        length, received = int(answer.headers.get("Content-Length") or 0), 0
        with task(f"{known.file}, MB", length // _BLOCK or None) as shown:
            while block := answer.read(_BLOCK):
                file.write(block)
                shown.advance((received + len(block)) // _BLOCK - received // _BLOCK)
                received += len(block)
    if received < length:
        raise EOFError(f"{received} of {length} bytes came")
