"""Build and push the images: ``make images``, ``make push REGISTRY=...``, with docker or podman.

Each image gets a tag per step that it serves, the digest of that step's code and recipe (see `images`). What is
there already is not built again, and a step whose code did not change keeps the reference it was pushed with, so that
Kubeflow's cache goes on being right.

pip in the build is configured like pip here: the configuration goes along as a secret that no layer keeps, local
folders of packages as read-only mounts (podman only).
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from components.core import masking
from components.core.errors import InputError, MachineError, PhotoshootError
from pipelines.containers.engines import Engine, find_engine
from pipelines.containers.images import (
    DOCKERFILE,
    ENVIRONMENT,
    LOCAL,
    code_digest,
    images,
    read_lock,
    recipe,
    recipe_digest,
    repository,
    services,
    target,
    write_lock,
)
from pipelines.steps import SERVICE_IMAGE, STEP_IMAGE

BASE_IMAGE = "python:3.11-slim-bookworm"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Index of torch without CUDA, a tenth of the size."""
VARIANT = "photoshoot.variant"
"""Label: digest of what a build was given (base image, arguments), which the tag does not hold."""
_PARTS = STEP_IMAGE | SERVICE_IMAGE
"""Image of each step and service."""
_CARRIED = {"studio": {"PHOTOSHOOT_WEIGHTS_NAMES": "landmarks,faces"}}
"""Arguments that an image gets unless others are given: a page behind a network policy fetches no networks."""
_REMEDIES = {"preprocess": "where DensePose's repository cannot be reached, make images BUILD_ARGS=DENSEPOSE=0",
             "environment": "a build of torch that is not PyPI's has other hashes: make images "
                            "BUILD_ARGS=TORCH_REQUIREMENTS= takes it by its version, CPU=1 does so by itself",
             "studio": "where networks cannot be fetched, make images BUILD_ARGS=PHOTOSHOOT_WEIGHTS_NAMES="}
"""What to do when an image does not build."""
_CA = "/run/secrets/ca.pem"
_LOCAL_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Build:
    """What a build is given."""

    base_image: str = BASE_IMAGE
    pip_args: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments of single images, such as DENSEPOSE=0."""

    def variant(self, base: str) -> str:
        """Digest (16 hex digits); `base` is the base image's own digest."""
        given = json.dumps([base, self.pip_args, sorted(self.arguments.items())])
        return hashlib.sha256(given.encode()).hexdigest()[:16]


def build_images(engine: Engine, build: Build, names: Sequence[str] = ()) -> list[str]:
    """Build the images (default: all) where they are not there yet; returns the references that now exist here.

    Raises `MachineError` when the base image cannot be had or a build fails.
    """
    base = engine.digest(build.base_image) or engine.pull(build.base_image)
    variant = build.variant(base)
    if "@" not in build.base_image and not build.base_image.startswith(f"{LOCAL}/"):
        _say(f"warning: {build.base_image} is a tag, which moves: BASE_IMAGE={build.base_image}@{base} takes the image "
             "of this build again")
    environment = f"{LOCAL}/photoshoot-{ENVIRONMENT}:{recipe_digest(ENVIRONMENT)}-{variant}"
    known = {"BASE_IMAGE": build.base_image, "ENVIRONMENT": environment, "PIP_ARGS": build.pip_args,
             "BASE_NAME": build.base_image, "BASE_DIGEST": base, "VARIANT": variant, "REVISION": _revision(),
             "CREATED": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "VERSION": _version(), **build.arguments}
    made = []
    with _pip_of_this_machine(engine) as pip:
        if engine.digest(environment) is None:
            _build(engine, ENVIRONMENT, [environment], known, pip)
        local = images(LOCAL) | services(LOCAL)
        for name in names or dict.fromkeys(_PARTS.values()):
            references = list(dict.fromkeys(local[part] for part, image in _PARTS.items() if image == name))
            if any(engine.label(reference, VARIANT) != variant for reference in references):
                _build(engine, name, references, _CARRIED.get(name, {}) | known, pip)
            made += references
    return made


def push_images(engine: Engine, registry: str) -> dict[str, dict[str, str]]:
    """Push what was built to a registry and record the digests in the lock file; returns its entries by step and
    service.

    Raises `InputError` for images that are not built, `MachineError` when the registry refuses.
    """
    registry = registry.rstrip("/")
    if not registry or "://" in registry:
        raise InputError(f"{registry or 'nothing'} is not a registry", remedy="make push REGISTRY=host/path")
    lock = read_lock()
    local, remote = images(LOCAL) | services(LOCAL), images(registry) | services(registry)
    known, entries, pushed = lock.get(registry, {}), {}, dict[str, str]()
    for step in _PARTS:
        variant = engine.label(local[step], VARIANT)
        if variant is None:
            raise InputError(f"no image {local[step]}", remedy="make images")
        wanted = {"content": code_digest(step), "variant": variant}
        if wanted.items() <= known.get(step, {}).items():
            entries[step] = known[step]
            continue
        if remote[step] not in pushed:
            _say(f"pushing {remote[step]}")
            digest = engine.push(local[step], remote[step], insecure=_host(registry) in _LOCAL_HOSTS)
            pushed[remote[step]] = f"{remote[step].rpartition(':')[0]}@{digest}"
        entries[step] = {**wanted, "reference": pushed[remote[step]]}
    write_lock({**lock, registry: entries})
    return entries


def _build(engine: Engine, name: str, tags: Sequence[str], known: Mapping[str, str], options: Sequence[str]) -> None:
    dockerfile = repository() / DOCKERFILE
    if not dockerfile.is_file():
        raise InputError("no Dockerfile", path=dockerfile, remedy="build in a checkout of the repository")
    # An argument that the image's stages do not declare would be complained about.
    text, known = recipe(name), {**known, "IMAGE": name}
    arguments = [f"--build-arg={key}={value}" for key, value in known.items()
                 if re.search(rf"^ARG {key}\b", text, re.MULTILINE)]
    _say(f"building {', '.join(tags)}")
    started = time.monotonic()
    try:
        engine.run("build", *options, *arguments, *[f"--tag={tag}" for tag in tags], f"--file={dockerfile}",
                   f"--target={target(name)}", str(repository()), shown=True)
    except MachineError as error:
        raise MachineError(f"image {name} failed to build: see the output above", path=dockerfile,
                           remedy=_REMEDIES.get(name, "run the same command again to resume")) from error
    _say(f"built {name} in {time.monotonic() - started:.0f} s")


@contextmanager
def _pip_of_this_machine(engine: Engine) -> Iterator[list[str]]:
    """Options that give a build the pip configuration of this machine."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True,
                            check=False).stdout
    values: dict[str, str] = {}
    for line in listed.splitlines():  # global.key='value', and :env:.key='value' last, which is how pip ranks them
        key, separator, value = line.partition("=")
        if separator and key.startswith(("global.", "install.", ":env:.")):
            values[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    values.pop("constraint", None)  # a file of this machine; the build has the repository's own
    options = []
    certificate = values.get("cert", "")
    if Path(certificate).is_file():
        values["cert"] = _CA
        options.append(f"--secret=id=ca,src={certificate}")
    if engine.name == "podman":
        options += [f"--volume={folder}:{folder}:ro" for folder in _folders(values)]
    # Readable by nobody else: an index may come with a password.
    with tempfile.NamedTemporaryFile("w", prefix="photoshoot-pip-", suffix=".conf") as file:
        lines = [f"{key} = " + " ".join(value.split()) for key, value in values.items()]
        file.write("\n".join(["[global]", *lines, ""]))
        file.flush()
        yield [*options, f"--secret=id=pip,src={file.name}"]


def _folders(values: Mapping[str, str]) -> list[Path]:
    """Folders of this machine that pip finds packages in; an index as files refers to what lies beside it."""
    indexes = f"{values.get('index-url', '')} {values.get('extra-index-url', '')}".split()
    found = [Path(urlsplit(url).path).parent for url in indexes if url.startswith("file:")]
    found += [Path(urlsplit(place).path) for place in values.get("find-links", "").split()
              if place.startswith(("/", "file:"))]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _host(registry: str) -> str:
    return registry.partition("/")[0].partition(":")[0]


def _revision() -> str:
    found = subprocess.run(["git", "-C", str(repository()), "rev-parse", "HEAD"], capture_output=True, text=True,
                           check=False)
    return found.stdout.strip()


def _version() -> str:
    from importlib.metadata import version

    return version("photoshoot")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pipelines.containers.build [--push REGISTRY]``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.containers.build",
                                     description="Build or push the images.")
    parser.add_argument("names", nargs="*", choices=[[], *dict.fromkeys(_PARTS.values())], metavar="image",
                        help="which images to build (default: all)")
    parser.add_argument("--push", metavar="REGISTRY", help="push what was built, and record the digests")
    parser.add_argument("--engine", default="", help="docker or podman (default: whichever answers)")
    parser.add_argument("--base-image", default=BASE_IMAGE, help=f"image with Python 3.11 (default: {BASE_IMAGE})")
    parser.add_argument("--pip-args", default="", help="arguments for pip, e.g. another index of torch")
    parser.add_argument("--cpu", action="store_true", help=f"torch without CUDA, from {CPU_INDEX}")
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="a build argument")
    given = parser.parse_args(arguments)
    try:
        engine = find_engine(given.engine)
        if given.push:
            for step, entry in push_images(engine, given.push).items():
                print(f"{step:<11} {entry['reference']}")
            return 0
        cpu = f"--extra-index-url {CPU_INDEX}" if given.cpu else ""
        more = {name: value for name, _, value in (pair.partition("=") for pair in given.arg)}
        if given.cpu:
            more.setdefault("TORCH_REQUIREMENTS", "")
        build = Build(given.base_image, " ".join(filter(None, [cpu, given.pip_args])), more)
        print("\n".join(build_images(engine, build, given.names)))
    except PhotoshootError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted: run the same command again to resume")
        return 130
    return 0


if __name__ == "__main__":
    masking.install()
    raise SystemExit(main())
