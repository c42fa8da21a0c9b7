"""Weights that are fetched by name: are those that the settings ask for here, with the right digest?"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from components.core.digest import file_digest
from components.core.settings import Settings
from components.core.stores.known_weights import CACHE, KNOWN, PLACE, KnownWeights
from components.core.stores.storage import is_remote, open_location
from pipelines.doctor.finding import Finding, ok, problem

_ANSWER_S = 5.0
INCEPTION = "inception-2015-12-05"


def wanted_weights(settings: Settings) -> list[str]:
    """Names of published weights that the settings need."""
    names = [name for name in (settings.cluster.embedder, settings.evaluate.embedder) if name in KNOWN]
    if settings.evaluate.features == "inception":
        names.append(INCEPTION)
    # A search tries weights above 0 whatever the settings say.
    weights, searched = settings.train.weights, settings.tune.enabled
    losses = {settings.train.perceptual: weights.perceptual, settings.train.face: weights.face}
    names += [name for name, weight in losses.items() if name in KNOWN and (weight > 0 or searched)]
    return list(dict.fromkeys(names))


def weights(settings: Settings) -> list[Finding]:
    """Published weights by name, and networks that the settings name by file."""
    return [*[_known(name) for name in wanted_weights(settings)], *_files(settings)]


def _known(name: str) -> Finding:
    what, known, place = f"weights {name}", KNOWN[name], os.environ.get(PLACE)
    if place and not is_remote(place):
        path = Path(place) / known.file
        if not path.is_file():
            return problem(what, f"no {path}", known.file, f"bring it from {known.url}, or unset {PLACE}")
        return _digest(what, path, known)
    cached = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "photoshoot") / "weights" / known.file
    if cached.is_file():
        return _digest(what, cached, known)
    if place:
        there = open_location(place).exists(known.file)
        return (ok(what, f"at {place}", known.file) if there
                else problem(what, f"not at {place}", known.file, f"upload it there from {known.url}"))
    return _published(what, known)


def _digest(what: str, path: Path, known: KnownWeights) -> Finding:
    found = file_digest(path)
    if found == known.sha256:
        return ok(what, f"{path}, sha256 {found[:12]}", known.sha256[:12])
    return problem(what, f"{path}: sha256 {found[:12]}", known.sha256[:12],
                   f"remove it, and bring it again from {known.url}")


def _published(what: str, known: KnownWeights) -> Finding:
    try:
        request = urllib.request.Request(known.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=_ANSWER_S):
            return ok(what, "not here yet; the step that needs them can fetch them", known.file)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        return problem(what, f"not here, and {known.url} cannot be reached ({error})", known.file,
                       f"put {known.file} into a folder and name that in {PLACE}")


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


