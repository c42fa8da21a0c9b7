"""Reading and writing JSON files of artifacts: each says its format, and a reader that meets another names it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.core.errors import DataError, InputError

SUMMARY = "summary.json"
"""What a step says of its outcome, inside its output folder."""


def write_json(path: Path, content: Any, indent: int | None = 1, *, allow_nan: bool = True) -> None:
    """Write `content` as one JSON document. Raises `ValueError` for NaN and infinities where they are not allowed."""
    path.write_text(json.dumps(content, indent=indent, allow_nan=allow_nan) + "\n", encoding="utf-8")


def read_json(path: Path, expected: str, what: str, again: str) -> dict[str, Any]:
    """Read an object whose "format" is `expected`; `what` it is called, `again`: the command that makes it.

    Raises `InputError` where there is none, `DataError` for one that is torn or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"no {what} here", path=path, remedy=f"make one with `{again}`") from None
    except ValueError:
        raise DataError(f"damaged {what}", path=path, remedy=f"`{again}` again") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected:
        raise DataError(f"format {found}, expected {expected}", path=path, remedy=f"`{again}` again with this version")
    return dict(content)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read what `write_lines` wrote. Raises `FileNotFoundError`, and `ValueError` for a torn file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
