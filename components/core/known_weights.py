"""Well-known weights that do not ship with the package: by name, checked against their digest.

Looked for, in this order: the folder or gs:// prefix in PHOTOSHOOT_WEIGHTS; the local cache (PHOTOSHOOT_CACHE, else
~/.cache/photoshoot); the address they are published at. What is fetched is kept in the cache.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError, SettingsError, machine_errors
from components.core.progress import task
from components.core.storage import open_location

PLACE, CACHE = "PHOTOSHOOT_WEIGHTS", "PHOTOSHOOT_CACHE"
_BLOCK, _TIMEOUT_S = 1 << 20, 30.0


@dataclass(frozen=True)
class KnownWeights:
    """A published file: its name, sha256, address and licence."""

    file: str
    sha256: str
    url: str
    licence: str


KNOWN: dict[str, KnownWeights] = {
    "vggface2": KnownWeights(
        "20180402-114759-vggface2.pt", "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
        "MIT; the photos it was trained on have VGGFace2's terms"),
    "inception-2015-12-05": KnownWeights(
        "pt_inception-2015-12-05-6726825d.pth", "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "Apache-2.0"),
}


def known_weights(name: str) -> Path:
    """The file of some weights on this machine.

    Raises `SettingsError` for an unknown name, `InputError` where PHOTOSHOOT_WEIGHTS is given without the file in it,
    `DataError` for a file with another digest, `MachineError` where it cannot be fetched.
    """
    if name not in KNOWN:
        raise SettingsError(f"unknown weights {name}", remedy=f"there are {', '.join(KNOWN)}")
    known, place = KNOWN[name], os.environ.get(PLACE)
    if place and "://" not in place:
        return _checked(_given(Path(place), known), known)
    cached = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "photoshoot") / "weights" / known.file
    if not cached.is_file():
        with machine_errors(cached), atomic_path(cached) as partial:
            if place:
                partial.write_bytes(open_location(place).read_bytes(known.file))
            else:
                _fetch(known, partial)
            _checked(partial, known)
    return _checked(cached, known)


def _given(folder: Path, known: KnownWeights) -> Path:
    path = folder / known.file
    if not path.is_file():
        raise InputError("no such weights", path=path,
                         remedy=f"bring them from {known.url}, or unset {PLACE} where there is a connection")
    return path


def _checked(path: Path, known: KnownWeights) -> Path:
    found = file_digest(path)
    if found != known.sha256:
        raise DataError(f"sha256 is {found[:12]}..., {known.file} has {known.sha256[:12]}...", path=path,
                        remedy=f"bring it again from {known.url}")
    return path


def _fetch(known: KnownWeights, to: Path) -> None:
    try:
        with urllib.request.urlopen(known.url, timeout=_TIMEOUT_S) as answer, open(to, "wb") as file:
            length = int(answer.headers.get("Content-Length") or 0)
            with task(f"{known.file}, MB", length // _BLOCK) as shown:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    shown.advance()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise MachineError(f"{known.url} cannot be fetched ({error})",
                           remedy=f"put {known.file} into a folder and name that in {PLACE}") from None
