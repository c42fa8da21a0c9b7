"""Installed packages against what the package's metadata asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.doctor.finding import Finding, ok, problem, warning

LOCAL, KUBEFLOW = "all", "kubeflow"
_OURS = "photoshoot"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)", re.MULTILINE)


def packages(*, on_kubeflow: bool, tested: Path | None = None) -> list[Finding]:
    """Whether all packages of a run are there, in versions that are allowed; and how far from the tested set-up.

    `tested`: a file of pins; default: constraints.txt of the checkout that this code lies in, where there is one.
    """
    try:
        asked = metadata.requires(_OURS) or []
    except metadata.PackageNotFoundError:
        return [problem("packages", f"{_OURS} is not installed", "an installed package", "pip install -e '.[all]'")]
    wanted = requirements(asked, LOCAL) + (requirements(asked, KUBEFLOW) if on_kubeflow else [])
    installed = {one.name: _version(one.name) for one in wanted}
    tested = tested or Path(__file__).parents[2] / "constraints.txt"
    pins = tested.read_text(encoding="utf-8") if tested.is_file() else ""
    return [*against_ranges(wanted, installed), *against_pins(pins, installed)]


def requirements(asked: Iterable[str], extra: str) -> list[Requirement]:
    """The requirements of an extra, those it takes over from other extras included, each once."""
    every = [Requirement(text) for text in asked]
    found: dict[str, Requirement] = {}
    waiting, seen = [extra], {extra}
    while waiting:
        current = waiting.pop()
        for one in every:
            if one.marker is not None and not one.marker.evaluate({"extra": current}):
                continue
            if canonicalize_name(one.name) != _OURS:
                found[str(one.name)] = one
                continue
            waiting += one.extras - seen
            seen |= one.extras
    return list(found.values())


def against_ranges(wanted: Iterable[Requirement], installed: Mapping[str, str | None]) -> list[Finding]:
    """A problem for each package that is missing or in a version that is not allowed."""
    found = []
    for one in wanted:
        version = installed[one.name]
        if version is None:
            found.append(problem(f"package {one.name}", "not installed", str(one.specifier) or "any version",
                                 f"pip install '{one.name}{one.specifier}'"))
        elif not one.specifier.contains(version, prereleases=True):
            found.append(problem(f"package {one.name}", version, str(one.specifier),
                                 f"pip install '{one.name}{one.specifier}'"))
    return found or [ok("packages", f"{len(installed)} installed, versions as required")]


def against_pins(pins: str, installed: Mapping[str, str | None]) -> list[Finding]:
    """One warning where versions differ from the set-up that is tested; nothing without pins."""
    tested = {canonicalize_name(pin["name"]): pin["version"] for pin in _PIN.finditer(pins)}
    pairs = [(name, version, tested.get(canonicalize_name(name))) for name, version in sorted(installed.items())]
    # What comes after + says how it was built, not what it is.
    other = [f"{name} {version} (tested {pin})" for name, version, pin in pairs
             if version and pin and version.partition("+")[0] != pin.partition("+")[0]]
    if not other:
        return []
    return [warning("tested versions", f"{len(other)} differ: {', '.join(other[:4])}", "those of constraints.txt",
                    "pip install -c constraints.txt -e '.[all]'")]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
