"""Broken input by the thousand: valid files mutated, and what a reader may do with them: take or refuse in one line."""

from __future__ import annotations

import copy
import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.core.errors import PhotoshootError

SECONDS = 5
REFUSALS = (2, 4)
"""Exit codes: what the user brought, and artifacts that do not keep their contract."""
_LONGEST = 2000
_LAUGHS = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
                  for before, name in zip("abcdefgh", "bcdefghi", strict=True))
_TOKENS = [token.encode() for token in (
    "[" * 3000, "{" * 3000, '{"a":' * 2000, "- " * 3000, "a: &a [x, x]\n" + _LAUGHS, "&a [*a]", "*nobody", "<<: *a",
    "9" * 5000, "-" + "9" * 400, "0x" + "f" * 1020, "1e999", "-1e308", ".inf", ".nan", "NaN", "Infinity", "null",
    "!!int ''", "!!bool maybe", "2001-99-99", "!!python/object/apply:os.system [true]", "!!binary ###", "? [a]\n: b\n",
    "---\n---\n", "\x00", "\n", "\r\n", '"', "'", ",", ";", "\t", "|", "\u202e", "\ufeff", "é" * 50, "x" * 100_000,
    "../../../etc/passwd", "${HOME}", "%s%s%n", "1:" * 300 + "1",
)] + [b"\xff\xfe", b"\xfe\xff", b"\xed\xa0\x80", b"\xff" * 8, b"\x00" * 64, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00"]
_VALUES: list[Any] = [None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 1e308, -1e308, 0.5, "", "x", "\n",
                      "nan", "x" * 5000, [], {}, [[]], [None], {"": None}, {"value": "x"}, [1, 2, 3], {"format": 1}]


@dataclass(frozen=True)
class Reader:
    """Something that reads files: the file's name, whole examples of it, and how it is read and used."""

    name: str
    file: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]


def mutated(seed: bytes, draw: random.Random) -> bytes:
    """One to four changes of a file: of its values where it is JSON or YAML, of its bytes in any case."""
    if draw.random() < 0.5:
        changed = _values_changed(seed, draw)
        if changed is not None:
            return changed
    data = bytearray(seed)
    for _ in range(draw.randint(1, 4)):
        draw.choice((_flip, _cut, _insert, _repeat, _overwrite))(data, draw)
    return bytes(data)


def attack(reader: Reader, data: bytes, folder: Path) -> bool:
    """Read `data`; True where it is refused. Asserts that it takes no longer than `SECONDS`, that a refusal is one
    short line and no defect, and that nothing is left beside the file."""
    path = folder / reader.file
    path.write_bytes(data)
    before = _listed(folder)
    try:
        with _in_time():
            reader.read(path)
        refused = False
    except PhotoshootError as error:
        text = str(error)
        assert error.exit_code in REFUSALS, text
        assert len(text.splitlines()) == 1 and len(text) < _LONGEST, text[:3000]
        refused = True
    assert _listed(folder) == before
    return refused


class TooSlow(BaseException):
    """Raised in a reader that does not come to an end; no reader catches it."""


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)  # of this process' own time: others use the machine, too
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _listed(folder: Path) -> list[tuple[str, int]]:
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*"))


def _values_changed(seed: bytes, draw: random.Random) -> bytes | None:
    """A JSON or YAML document, or lines of JSON, with one to three of its values exchanged, removed or added."""
    try:
        text = seed.decode()
    except UnicodeDecodeError:
        return None
    for load, dump in ((json.loads, json.dumps), (yaml.safe_load, yaml.safe_dump)):
        try:
            tree = load(text)
        except (ValueError, yaml.YAMLError):
            continue
        if not isinstance(tree, (dict, list)):
            continue
        for _ in range(draw.randint(1, 3)):
            _change(tree, draw)
        return str(dump(tree)).encode()
    lines = text.splitlines()
    if lines and lines[0].startswith("{"):
        tree = [json.loads(line) for line in lines]
        _change(draw.choice(tree), draw)
        return "".join(json.dumps(line) + "\n" for line in tree).encode()
    return None


def _change(tree: Any, draw: random.Random) -> None:
    places = list(_places(tree))
    if not places:
        return
    holder, key = draw.choice(places)
    what = draw.random()
    if what < 0.6:
        holder[key] = _value(draw)
    elif what < 0.8:
        del holder[key]
    elif isinstance(holder, dict):
        holder[draw.choice(["", "x", "format", "value", "\n", "é" * 200])] = _value(draw)
    else:
        holder.append(_value(draw))


def _value(draw: random.Random) -> Any:
    return copy.deepcopy(draw.choice(_VALUES))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key, below in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(below, (dict, list)):
            yield from _places(below)


def _at(data: bytearray, draw: random.Random) -> int:
    # Headers decide more than what follows them.
    return draw.randrange(min(len(data), 256) + 1) if draw.random() < 0.5 else draw.randrange(len(data) + 1)


def _flip(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.randint(1, 8)):
        if data:
            data[min(_at(data, draw), len(data) - 1)] = draw.randrange(256)


def _cut(data: bytearray, draw: random.Random) -> None:
    at = _at(data, draw)
    del data[at : (at + draw.randint(1, 64)) if draw.random() < 0.6 else len(data)]


def _insert(data: bytearray, draw: random.Random) -> None:
    at = _at(data, draw)
    data[at:at] = draw.choice(_TOKENS)


def _overwrite(data: bytearray, draw: random.Random) -> None:
    at, token = _at(data, draw), draw.choice(_TOKENS)
    data[at : at + len(token)] = token


def _repeat(data: bytearray, draw: random.Random) -> None:
    at = _at(data, draw)
    piece = data[at : at + draw.randint(1, 64)]
    data[at:at] = piece * draw.randint(1, 50)
