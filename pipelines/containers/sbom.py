"""The bill of materials of each image that is built, as CycloneDX: ``make sbom``.

What an image holds is asked of the image itself (`contents`): Python's packages with their licences and what needs
what, the system's packages, and the published networks that it brings along with their digests. One image is always
described by the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from components.core import masking
from components.core.atomic import atomic_path
from components.core.errors import InputError, MachineError, PhotoshootError
from pipelines.containers.engines import Engine, find_engine
from pipelines.containers.images import LOCAL, images, repository, services

FOLDER = "build/sbom"
"""Where the bills are written; below the repository."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/photoshoot")


def contents_of(engine: Engine, reference: str) -> dict[str, Any]:
    """What an image says that it holds. Raises `MachineError` where it cannot be run or says something else."""
    said = engine.run("run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", reference,
                      "python3", "-m", "pipelines.containers.contents")
    try:
        return dict(json.loads(said))
    except ValueError as error:
        raise MachineError(f"{reference} does not say what it holds ({error})", remedy="make images") from None


def bill(contents: dict[str, Any], reference: str, image: dict[str, Any]) -> str:
    """CycloneDX 1.6 as JSON. `image` is what the engine knows of it: ``Id``, ``Created``, ``Config``."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    digest = image["Id"].removeprefix("sha256:")
    name, _, tag = reference.rpartition("/")[2].partition(":")
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, digest))
    bom.metadata.timestamp = datetime.fromisoformat(_cut(image["Created"]))
    bom.metadata.component = whole = Component(
        name=name, version=tag, type=ComponentType.CONTAINER, bom_ref=f"{name}:{digest}",
        purl=PackageURL("oci", None, name, f"sha256:{digest}"), properties=_properties(image))
    python = [_package(one) for one in contents["packages"]]
    parts = [*python, *map(_system, contents["system"]), *map(_network, contents["networks"])]
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(whole, parts)
    known = {one.name: one for one in python}
    for one in contents["packages"]:
        bom.register_dependency(known[one["name"]], [known[name] for name in one["needs"]])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1) + "\n"


def _package(one: dict[str, Any]) -> Any:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    licences = [LicenseFactory().make_from_string(one["licence"])] if one["licence"] else []
    purl = PackageURL("pypi", None, one["name"], one["version"])
    return Component(name=one["name"], version=one["version"], type=ComponentType.LIBRARY, purl=purl,
                     bom_ref=purl.to_string(), licenses=licences)


def _system(one: dict[str, str]) -> Any:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL("deb", "debian", one["name"], one["version"], {"arch": one["architecture"]})
    return Component(name=one["name"], version=one["version"], type=ComponentType.LIBRARY, purl=purl,
                     bom_ref=purl.to_string())


def _network(one: dict[str, str]) -> Any:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one["sha256"])] if one["sha256"] else []
    return Component(name=one["name"], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=f"network:{one['name']}",
                     description=f"{one['file']}, from {one['source']}", hashes=hashes,
                     licenses=[LicenseFactory().make_from_string(one["licence"])])


def _properties(image: dict[str, Any]) -> list[Any]:
    from cyclonedx.model import Property

    labels = (image.get("Config") or {}).get("Labels") or {}
    return [Property(name=key, value=value) for key, value in sorted(labels.items()) if value]


def _cut(created: str) -> str:
    """Docker and podman give nanoseconds, Python takes microseconds."""
    seconds, _, rest = created.partition(".")
    return f"{seconds.removesuffix('Z')}.{rest.rstrip('Z')[:6].ljust(6, '0')}+00:00"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bill of every image of this code; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.containers.sbom",
                                     description="Write the bill of materials of each image that is built.")
    parser.add_argument("--engine", default="", help="docker or podman (default: whichever answers)")
    parser.add_argument("--out", type=Path, default=None, help=f"folder (default: {FOLDER})")
    given = parser.parse_args(arguments)
    try:
        engine = find_engine(given.engine)
        for reference in _one_of_each():
            image = engine.inspect(reference)
            if image is None:
                raise InputError(f"no image {reference}", remedy="make images")
            text = bill(contents_of(engine, reference), reference, image)
            path = (given.out or repository() / FOLDER) / f"{reference.rpartition('/')[2].partition(':')[0]}.cdx.json"
            with atomic_path(path) as partial:
                partial.write_text(text, encoding="utf-8")
            print(path)
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _one_of_each() -> list[str]:
    """A reference of each image: steps that share an image have references of their own to it."""
    found = {reference.partition(":")[0]: reference for reference in (images(LOCAL) | services(LOCAL)).values()}
    return list(found.values())


if __name__ == "__main__":
    masking.install()
    raise SystemExit(main())
