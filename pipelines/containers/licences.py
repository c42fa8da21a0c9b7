"""The licences of all dependencies, held against those that are allowed: ``make licences``.

Looked at is what constraints.txt and the images' lists name. pyproject.toml has the list of those allowed, the licences
of packages whose metadata does not tell them, and packages that may come under another, each with the reason
(``tool.photoshoot.licences``). A package's metadata speaks for the package; what its wheels bundle is told where it is
known to differ.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import NamedTuple

from components.core import masking
from components.core.errors import DataError, PhotoshootError
from pipelines.containers.contents import packages
from pipelines.containers.images import REQUIREMENTS, repository
from pipelines.containers.requirements import versions

_TOKEN = re.compile(r"\(|\)|\bAND\b|\bOR\b|[^\s()]+(?: WITH [^\s()]+)?")


@dataclass(frozen=True)
class Rules:
    """What pyproject.toml says."""

    allowed: frozenset[str]
    known: Mapping[str, str]
    """Licence by name pattern, where metadata does not tell it."""
    exceptions: Mapping[str, str]
    """Reason by name pattern why a package may come under a licence that is not allowed."""


class Finding(NamedTuple):
    """A package, its licence (empty: unknown) and how it stands: ``allowed``, a reason, or ``not allowed``."""

    name: str
    version: str
    licence: str
    stands: str

    @property
    def wrong(self) -> bool:
        """Whether somebody has to look at it."""
        return self.stands == "not allowed"


def rules() -> Rules:
    """The rules of this repository. Raises `DataError` where pyproject.toml has none."""
    path = repository() / "pyproject.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["photoshoot"]["licences"]
        return Rules(frozenset(found["allowed"]), found["known"], found["exceptions"])
    except (OSError, KeyError) as error:
        raise DataError(f"no tool.photoshoot.licences ({error})", path=path,
                        remedy="run this in a checkout of the repository") from None


def findings(by: Rules) -> list[Finding]:
    """Every dependency by name. Those of other machines (CUDA's libraries) are known by their pattern alone."""
    texts = [repository() / "constraints.txt", *sorted((repository() / REQUIREMENTS).glob("*.txt"))]
    wanted = {name: version for path in texts for name, version in versions(path.read_text(encoding="utf-8")).items()}
    told = {one["name"]: one["licence"] for one in packages()}
    found = []
    for name, version in sorted(wanted.items()):
        licence = _matching(by.known, name) or told.get(name, "")
        stands = "allowed" if licence and allows(licence, by.allowed) else _matching(by.exceptions, name)
        found.append(Finding(name, version, licence, stands or "not allowed"))
    return found


def allows(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression leaves a choice that is allowed in all its parts; a broken one does not."""
    tokens = _TOKEN.findall(expression)

    def either() -> bool:
        found = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        token = tokens.pop(0) if tokens else ""
        if token != "(":
            return token in allowed
        found = either()
        return bool(tokens) and tokens.pop(0) == ")" and found

    return either() and not tokens


def _matching(table: Mapping[str, str], name: str) -> str:
    return next((value for pattern, value in table.items() if fnmatch(name, pattern)), "")


def main(arguments: Sequence[str] | None = None) -> int:
    """List them; returns 1 where one is not allowed."""
    argparse.ArgumentParser(prog="python -m pipelines.containers.licences",
                            description="List the licences of all dependencies and check them.").parse_args(arguments)
    try:
        found = findings(rules())
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for one in found:
        print(f"{one.name:<32} {one.version:<18} {one.licence or 'unknown':<34} {one.stands}".rstrip())
    wrong = [f"{one.name} ({one.licence or 'unknown'})" for one in found if one.wrong]
    if wrong:
        print(f"error: not among the licences allowed: {', '.join(wrong)} -- use another package, or say in "
              "pyproject.toml (tool.photoshoot.licences) what is known of it", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    masking.install()
    raise SystemExit(main())
