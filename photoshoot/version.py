"""Which version of photoshoot this is."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def installed_version() -> str:
    """The version that is installed; in a checkout that is not, what its pyproject.toml says; else 0+unknown."""
    try:
        return version("photoshoot")
    except PackageNotFoundError:
        pass
    try:
        return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "0+unknown"


__version__ = installed_version()
