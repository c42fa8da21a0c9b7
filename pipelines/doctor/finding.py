"""What one look found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_LONGEST = 300


class Level(StrEnum):
    """How bad it is."""

    PROBLEM = "problem"
    """A run would fail."""
    WARNING = "warning"
    """A run may fail, be slow, or it cannot be told from here."""
    OK = "ok"
    """As it should be."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, what was wanted, how to mend it. No value of a secret is in it."""

    what: str
    found: str
    wanted: str = ""
    how_to_mend: str = ""
    level: Level = Level.OK


def ok(what: str, found: str, wanted: str = "") -> Finding:
    """All is well."""
    return Finding(what, line(found), wanted)


def warning(what: str, found: str, wanted: str, how_to_mend: str) -> Finding:
    """A run may fail."""
    return Finding(what, line(found), wanted, how_to_mend, Level.WARNING)


def problem(what: str, found: str, wanted: str, how_to_mend: str) -> Finding:
    """A run would fail."""
    return Finding(what, line(found), wanted, how_to_mend, Level.PROBLEM)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Problems, then warnings, then what is well; else in the order they came."""
    return sorted(findings, key=lambda finding: list(Level).index(finding.level))


def line(text: object) -> str:
    """Text on one line of at most 300 characters, without the user and password of an address."""
    return _PASSWORD.sub("***@", " ".join(str(text).split()))[:_LONGEST]
