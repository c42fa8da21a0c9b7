"""Names of the container images, changing with the code and the recipe inside them.

KFP's cache keys hold a step's image but not what an imported package does. So the tag is a digest of the code the
step can reach (`components/core` and its own folder), of the versions of the libraries that compute, and of what its
image is made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import components
from components.core import digest
from components.core.atomic import atomic_path
from components.core.documents import MOST_JSON, json_object, read_bytes
from components.core.errors import DataError, InputError
from pipelines.steps import SERVICE_IMAGE, STEP_IMAGE, STEP_PACKAGES, STEP_ROOMS, STEPS

LOCAL = "localhost"
"""Registry part of the names of images that were built here."""
ENVIRONMENT = "environment"
"""The image that the others start from."""
DOCKERFILE = "images/Dockerfile"
"""All recipes, by stage; below the repository."""
REQUIREMENTS = "requirements"
"""What each image installs, with hashes, by list; below the repository."""
LOCK = "PHOTOSHOOT_IMAGES"
"""Environment variable: another lock file than ``images.lock.json`` beside the code."""
LOCK_FORMAT = "photoshoot.images/1"
_LIST = re.compile(r"^COPY requirements/([\w*-]+\.txt) ", re.MULTILINE)
"""A list of packages with hashes, or several, that a recipe installs from."""
_STAGE, _STARTS_FROM = re.compile(r"^(?=FROM )", re.MULTILINE), re.compile(r"(?:^FROM |,from=)([\w-]+)", re.MULTILINE)


def images(registry: str = "") -> dict[str, str]:
    """Image reference per step by content, ``[registry/]photoshoot-<image>:<code digest>``."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return {step: f"{prefix}photoshoot-{image}:{code_digest(step)}" for step, image in STEP_IMAGE.items()}


def services(registry: str = "") -> dict[str, str]:
    """Image reference per service by content, named as `images` names those of steps."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return {service: f"{prefix}photoshoot-{image}:{code_digest(service)}" for service, image in SERVICE_IMAGE.items()}


def pushed_images(registry: str = "") -> dict[str, str]:
    """Image reference per step for Kubeflow: by digest where `make push` recorded one, else by content.

    Without `registry` the one that was pushed to, if it is only one. Raises `InputError` for an image that was
    pushed from other code than this: Kubeflow would run, and its cache reuse, what is not in front of you.
    """
    registry = registry.rstrip("/")
    locked = read_lock()
    if not registry and len(locked) == 1:
        (registry,) = locked
    if registry not in locked:
        return images(registry)
    entries = locked[registry]
    stale = [step for step in STEPS if entries.get(step, {}).get("content") != code_digest(step)]
    if stale:
        raise InputError(f"what was pushed to {registry} is not this code: {', '.join(stale)}", path=lock_path(),
                         remedy=f"make images, then make push REGISTRY={registry}")
    return {step: str(entries[step]["reference"]) for step in STEPS}


@cache
def code_digest(step: str) -> str:
    """Digest (16 hex digits) of all code that a step or service can reach and of what its image is made from."""
    code = digest.code_digest("core", *STEP_ROOMS.get(step, (step,)), packages=STEP_PACKAGES.get(step, ()))
    return hashlib.sha256(f"{code} {recipe_digest((STEP_IMAGE | SERVICE_IMAGE)[step])}".encode()).hexdigest()[:16]


def recipe_digest(image: str) -> str:
    """Digest (16 hex digits) of an image's recipe, its environment's, and of what these install: the lists and pinned
    versions.

    The package alone, without the repository around it, has no recipes: then it is always the same.
    """
    text = "\0".join(recipe(name) for name in dict.fromkeys((ENVIRONMENT, image)))
    lists = {path for pattern in _LIST.findall(text) for path in (repository() / REQUIREMENTS).glob(pattern)}
    whole = hashlib.sha256(text.encode())
    for path in (repository() / "constraints.txt", *sorted(lists)):
        whole.update(b"\0" + path.name.encode() + b"\0" + _content(path))
    return whole.hexdigest()[:16]


def recipe(image: str) -> str:
    """The part of images/Dockerfile that an image is made of: what precedes the stages, and the stages it reaches."""
    heading, *blocks = _STAGE.split(_content(repository() / DOCKERFILE).decode())
    stages = {block.split(maxsplit=4)[3]: block.replace("${IMAGE}", image) for block in blocks}
    reached, waiting = set[str](), [target(image)]
    while waiting:
        name = waiting.pop()
        if name in stages and name not in reached:
            reached.add(name)
            waiting += _STARTS_FROM.findall(stages[name])
    return heading + "".join(block for name, block in stages.items() if name in reached)


def target(image: str) -> str:
    """The stage of images/Dockerfile that ends as the image."""
    return ENVIRONMENT if image == ENVIRONMENT else "image"


def repository() -> Path:
    """The folder that holds the code, images/ and constraints.txt."""
    return Path(components.__file__).parent.parent


def lock_path() -> Path:
    """File with the digests of what was pushed."""
    return Path(os.environ.get(LOCK) or repository() / "images.lock.json")


def read_lock() -> dict[str, dict[str, dict[str, str]]]:
    """What was pushed: registry -> step or service -> content (tag), variant (of the build) and reference (by digest).

    Raises `DataError` when the file is not a lock file.
    """
    path = lock_path()
    if not path.is_file():
        return {}
    try:
        lock: Any = json_object(read_bytes(path, MOST_JSON))
        if lock["format"] != LOCK_FORMAT:
            raise DataError(f"format {lock['format']!r}, not {LOCK_FORMAT}", path=path, remedy="make push writes it")
        return {registry: {step: dict(entry) for step, entry in steps.items()}
                for registry, steps in lock["registries"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not a lock file of images ({error})", path=path,
                        remedy="delete it; make push writes it anew") from None


def write_lock(registries: dict[str, dict[str, dict[str, str]]]) -> None:
    """Keep what was pushed."""
    with atomic_path(lock_path()) as partial:
        text = json.dumps({"format": LOCK_FORMAT, "registries": registries}, indent=1, sort_keys=True)
        partial.write_text(text + "\n", encoding="utf-8")


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
