"""YAML, JSON and CSV that came from outside, read within bounds: the one place where such text becomes values.

A few hundred bytes of YAML can stand for gigabytes (anchors that name anchors), a few thousand brackets for a call
stack, a digit string for minutes of arithmetic. So text is bounded in size, depth, and in what it stands for, before
values are made of it. Whatever is beyond that, or not in the language at all, is `Unreadable`, a `ValueError` whose
text is one short line; who called says of which file and what to do about it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

MOST_YAML = 256 << 10
"""Bytes of a file that people write (settings, profiles, poses); all settings with their explanations take 20 kB."""
MOST_PIPELINE = 16 << 20
"""Bytes of a compiled pipeline, which carries the code of its components."""
MOST_JSON = 16 << 20
"""Bytes of a JSON artifact: an evaluation takes 100 kB, its pairs a kilobyte each."""
MOST_SUMMARY = 512 << 20
"""Bytes of what grows with the photos: a step's summary has the reason of every one that was left out."""
MOST_LINE = 1 << 20
"""Characters of one line of a file of JSON lines."""
MOST_LABELS = 256 << 20
"""Bytes of labels.csv: five million rows."""
MOST_DEPTH = 64
"""Levels of lists and mappings in one another; no format here has more than ten."""

_MOST_NODES = 100_000
_MOST_PIPELINE_NODES = 2_000_000
_MOST_DIGITS = 1024
_MOST_CELL = 32_767  # what a spreadsheet holds
_LARGEST = 2**63 - 1
_SHOWN = 160
# What could be a number out of range, or rather what certainly cannot: a walk through all values is for the rest.
_SUSPECT = re.compile(r"[eE]\+?\d{3}|\d{19}")


class Unreadable(ValueError):
    """Text that is not in its language, or beyond the bounds; in one line."""


def read_bytes(path: Path, most: int) -> bytes:
    """A file's content. Raises `Unreadable` for more than `most` bytes, OSError where it cannot be read."""
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"more than {most >> 10} kB")
    return data


def read_text(path: Path, most: int) -> str:
    """A file's content as UTF-8. Raises as `read_bytes`, and `Unreadable` for other bytes."""
    return _text(read_bytes(path, most), most)


def json_value(text: str | bytes, most: int = MOST_JSON, *, finite: bool = True) -> Any:
    """The value of a JSON document. Raises `Unreadable`; `finite` refuses NaN and infinities, which are no JSON."""
    text = _text(text, most)
    try:
        value = json.loads(text, parse_constant=_no_constant if finite else None)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable(f"nested deeper than {MOST_DEPTH} levels") from None
    except ValueError as error:  # digits beyond Python's own limit among them
        raise Unreadable(_line(error)) from None
    if text.count("[") + text.count("{") > MOST_DEPTH:
        _check_depth(value)
    if _SUSPECT.search(text):
        _check_numbers(value, finite)
    return value


def json_object(text: str | bytes, most: int = MOST_JSON, *, finite: bool = True) -> dict[str, Any]:
    """`json_value` of a document that is an object. Raises `Unreadable` for any other."""
    value = json_value(text, most, finite=finite)
    if not isinstance(value, dict):
        raise Unreadable(f"an object was expected, this is {_kind(value)}")
    return value


def json_lines(text: str | bytes, most: int = MOST_SUMMARY) -> list[dict[str, Any]]:
    """The objects of a file that has one a line. Raises `Unreadable`, which names the line."""
    found = []
    for number, line in enumerate(_text(text, most).splitlines(), 1):
        try:
            found.append(json_object(line, MOST_LINE, finite=False))
        except Unreadable as error:
            raise Unreadable(f"line {number}: {error}") from None
    return found


def yaml_value(text: str | bytes, most: int = MOST_YAML) -> Any:
    """The value of a YAML document, of plain scalars, lists and mappings. Raises `Unreadable`."""
    (value,) = yaml_values(text, most, _MOST_NODES) or [None]
    return value


def yaml_values(text: str | bytes, most: int = MOST_PIPELINE, nodes: int = _MOST_PIPELINE_NODES) -> list[Any]:
    """The values of all documents in a YAML text, which may stand for `nodes` values. Raises `Unreadable`."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same language, ten times as fast
    text = _text(text, most)
    try:
        several = _measure(yaml.parse(text, Loader=loader), nodes)
        if nodes == _MOST_NODES and several > 1:
            raise Unreadable("several documents where one was expected")
        return list(yaml.load_all(text, Loader=loader))
    except Unreadable:
        raise
    except yaml.YAMLError as error:
        raise Unreadable(_line(error)) from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # What PyYAML's constructors let through: !!int "", !!bool maybe, 2001-99-99.
        raise Unreadable(f"a value of no kind that YAML knows ({_line(error) or type(error).__name__})") from None


def csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of a CSV text. Raises `Unreadable` for what is none, and for a cell no spreadsheet holds."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if any(len(cell) > _MOST_CELL for cell in row):
                raise Unreadable(f"line {reader.line_num}: a cell of more than {_MOST_CELL} characters")
            yield reader.line_num, row
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {_line(error)}") from None


def shown(value: Any) -> str:
    """A value as it stands in a message: `repr`, but short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers beyond Python's limit of digits
        return f"({_kind(value)})"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _text(text: str | bytes, most: int) -> str:
    if len(text) > most:
        raise Unreadable(f"more than {most >> 10} kB")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 (byte {error.start})") from None


def _check_depth(value: Any) -> None:
    """Level by level, not by recursion: what is nested too deeply would overflow in those who use it."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise Unreadable(f"nested deeper than {MOST_DEPTH} levels")
        level = [below for one in level for below in _below(one) if isinstance(below, (dict, list))]


def _check_numbers(value: Any, finite: bool) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        waiting += _below(one)
        if isinstance(one, float) and finite and not math.isfinite(one):
            raise Unreadable("a number beyond what a computer holds")
        if isinstance(one, int) and abs(one) > _LARGEST:
            raise Unreadable("a whole number beyond 64 bits")


def _below(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _measure(events: Iterator[Any], most: int) -> int:
    """Count what the events of a YAML text stand for, each alias as much as what it names; the number of documents.

    Raises `Unreadable` for more than `most` values, too many levels, and an alias inside of what it names.
    """
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents, sizes = documents + 1, {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise Unreadable(f"the alias {shown(event.anchor)} names nothing before it, or what it stands in")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            _check_scalar(event.value, event.implicit[0])
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            total += 1
            open_nodes.append((event.anchor, total))
            if len(open_nodes) > MOST_DEPTH:
                raise Unreadable(f"nested deeper than {MOST_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        if total > most:
            raise Unreadable(f"stands for more than {most} values")
    return documents


def _check_scalar(text: str, plain: bool) -> None:
    if plain and len(text) > _MOST_DIGITS and text[0] in "+-.0123456789":
        raise Unreadable(f"a number of {len(text)} digits")


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name}, which is no JSON")


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
