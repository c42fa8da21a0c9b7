"""Reading and writing JSON files of artifacts: each says its format, and a reader that meets another names it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.documents import MOST_JSON, MOST_SUMMARY, Unreadable, json_lines, json_object, read_bytes
from components.core.errors import DataError, InputError

SUMMARY = "summary.json"
"""What a step says of its outcome, inside its output folder."""


NUMBER, MAYBE_NUMBER = (int, float), (int, float, type(None))
METRIC = {"value": MAYBE_NUMBER, "low?": NUMBER, "high?": NUMBER, "n?": int, "reason?": str}
"""A shape: of these kinds. Shapes are kinds, mappings of keys to shapes (a key that ends with "?" may be missing or
null), and `Each`."""


@dataclass(frozen=True)
class Each:
    """The shape of a list or an object whose values all have the shape `of`; of an object, unless `lists`."""

    of: Any
    lists: bool = False


def misfit(value: Any, shape: Any, where: str = "") -> str | None:
    """Where a value does not have a shape, in a few words; None where it does. What is not named in it may be there."""
    if isinstance(shape, Each):
        if not isinstance(value, list if shape.lists else dict):
            return f"{where or 'it'} is no {'list' if shape.lists else 'object'}"
        below = enumerate(value) if isinstance(value, list) else value.items()
        found = (misfit(one, shape.of, f"{where}.{str(key)[:40]}".lstrip(".")) for key, one in below)
        return next((reason for reason in found if reason), None)
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            return f"{where or 'it'} is no object"
        for key, one in shape.items():
            name, optional = key.removesuffix("?"), key.endswith("?")
            if optional and value.get(name) is None:
                continue
            if name not in value:
                return f"{where}.{name} is missing".lstrip(".")
            if reason := misfit(value[name], one, f"{where}.{name}".lstrip(".")):
                return reason
        return None
    fits = isinstance(value, shape) and (not isinstance(value, bool) or shape is bool)
    return None if fits else f"{where or 'it'} is of another kind"


def write_json(path: Path, content: Any, indent: int | None = 1, *, allow_nan: bool = True) -> None:
    """Write `content` as one JSON document. Raises `ValueError` for NaN and infinities where they are not allowed."""
    path.write_text(json.dumps(content, indent=indent, allow_nan=allow_nan) + "\n", encoding="utf-8")


def read_json(path: Path, expected: str, what: str, again: str, shape: Any = None) -> dict[str, Any]:
    """Read an object whose "format" is `expected` and that has `shape`; `what` it is called, `again`: the command that
    makes it.

    Raises `InputError` where there is none, `DataError` for one that is torn, of another format or another shape.
    """
    try:
        content = json_object(read_bytes(path, MOST_JSON), finite=False)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise InputError(f"no {what} here", path=path, remedy=f"make one with `{again}`") from None
    except Unreadable as error:
        raise DataError(f"damaged {what} ({error})", path=path, remedy=f"`{again}` again") from None
    found = content.get("format")
    if found != expected:
        raise DataError(f"format {str(found)[:80]}, expected {expected}", path=path,
                        remedy=f"`{again}` again with this version")
    if reason := misfit(content, shape or {}):
        raise DataError(f"damaged {what} ({reason})", path=path, remedy=f"`{again}` again")
    return content


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_lines(path: Path, shape: Any = None) -> list[dict[str, Any]]:
    """Read what `write_lines` wrote, each line of `shape`. Raises `FileNotFoundError`, and `Unreadable`, which is a
    `ValueError`, for a torn file."""
    lines = json_lines(read_bytes(path, MOST_SUMMARY))
    if reason := misfit(lines, Each(shape or {}, lists=True), "line"):
        raise Unreadable(reason)
    return lines


def read_summary(path: Path) -> dict[str, Any]:
    """What a step said of its outcome. Raises `DataError` for a file that is missing or torn."""
    try:
        return json_object(read_bytes(path, MOST_SUMMARY), MOST_SUMMARY, finite=False)
    except (FileNotFoundError, Unreadable) as error:
        raise DataError(f"damaged summary of a step ({error})", path=path, remedy="run again") from None
