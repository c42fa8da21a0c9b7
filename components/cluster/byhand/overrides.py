"""What a person decided about identities, kept in a file that every later clustering respects.

One decision per line (JSON), oldest first. Decisions name photos by the sha256 of their files, so they hold whatever
the photos are called, whoever is added, and however identities are numbered:

- ``together``: these photos show one person, with a ``name`` where one was given;
- ``apart``: two lists of photos; nobody of the first is the person of the second, who is one person;
- ``aside``: these photos tell nobody; they are left out whatever else was decided.

Photos that are no longer there are passed over.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from components.cluster.grouping.tree import FREE, Links
from components.core.atomic import atomic_path
from components.core.documents import MOST_LINE, json_object
from components.core.errors import DataError, InputError, machine_errors
from components.core.stores.storage import address, is_remote, open_location

FORMAT = "photoshoot.overrides/1"


@dataclass(frozen=True)
class Decision:
    """One line of the file. `what` says it in words, `when` is an ISO time; photos are keys (`Subjects.keys`)."""

    what: str
    when: str
    together: tuple[str, ...] = ()
    name: str | None = None
    apart: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    aside: tuple[str, ...] = ()
    format: str = FORMAT


@dataclass(frozen=True)
class Ruling:
    """All decisions about the photos at hand: `links` among them, `aside` [n] bool, `names` of links' atoms."""

    links: Links
    aside: np.ndarray[Any, np.dtype[np.bool_]]
    names: dict[int, str]


@dataclass
class _Graph:
    """Who is together with whom, each step with the decision that says so."""

    steps: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def join(self, keys: Sequence[str], decision: int) -> None:
        for one, other in pairwise(keys):
            self.steps.setdefault(one, []).append((other, decision))
            self.steps.setdefault(other, []).append((one, decision))

    def components(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in self.steps:
            if start not in found:
                number = len(set(found.values())) if not found else max(found.values()) + 1
                waiting = [start]
                found[start] = number
                while waiting:
                    for other, _ in self.steps[waiting.pop()]:
                        if other not in found:
                            found[other] = number
                            waiting.append(other)
        return found

    def why(self, one: str, other: str) -> int:
        """The latest decision on the shortest way between two that are together."""
        came: dict[str, tuple[str, int]] = {one: (one, -1)}
        waiting = deque([one])
        while waiting and other not in came:
            at = waiting.popleft()
            for there, decision in self.steps[at]:
                if there not in came:
                    came[there] = (at, decision)
                    waiting.append(there)
        latest = -1
        while other != one:
            other, decision = came[other]
            latest = max(latest, decision)
        return latest


def read_overrides(path: str | Path) -> list[Decision]:
    """Decisions of a file or gs:// address, oldest first; none where there is no file.

    Raises `DataError` for a line that is no decision, `InputError` for decisions that contradict each other.
    """
    text = _text(path)
    decisions = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            tree = json_object(line, MOST_LINE)
            if tree.get("format") != FORMAT:
                raise DataError(f"line {number}: format {tree.get('format')!r}, this version reads {FORMAT!r}",
                                path=str(path), remedy="remove the line, or use the version that wrote it")
            first, second = tree.get("apart", ((), ()))
            decisions.append(Decision(
                what=str(tree["what"]), when=str(tree["when"]), together=_texts(tree.get("together", ())),
                name=_name(tree.get("name")), apart=(_texts(first), _texts(second)),
                aside=_texts(tree.get("aside", ()))))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"line {number}: not a decision ({error})", path=str(path),
                            remedy="correct or remove the line") from None
    check(decisions, path)
    return decisions


def write_overrides(path: str | Path, decisions: Iterable[Decision]) -> None:
    """Write the file, whole or not at all."""
    lines = []
    for decision in decisions:
        tree = {key: value for key, value in asdict(decision).items() if value not in ((), None, ((), ()))}
        lines.append(json.dumps(tree) + "\n")
    data = "".join(lines).encode()
    if is_remote(path):
        folder, _, name = address(path).rpartition("/")
        open_location(folder).write_bytes(name, data)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def check(decisions: Sequence[Decision], path: str | Path) -> None:
    """Raises `InputError`, naming both, where two decisions contradict each other."""
    graph = _together(decisions)
    component = graph.components()
    named: dict[int, tuple[str, int]] = {}
    for number, decision in enumerate(decisions):
        first, second = decision.apart
        inside = {component[key]: key for key in first if key in component}
        for key in second:
            other = key if key in first else inside.get(component.get(key, FREE))
            if other is not None:
                reason = graph.why(key, other) if key != other else number
                raise _contradiction(decisions, number, reason, path)
        if decision.name and decision.together:
            name, before = named.setdefault(component[decision.together[0]], (decision.name, number))
            if name != decision.name and not _renames(decision, decisions[before]):
                raise _contradiction(decisions, number, before, path)
            named[component[decision.together[0]]] = (decision.name, number)


def ruling(decisions: Sequence[Decision], keys: Sequence[str]) -> Ruling:
    """What the decisions say about the photos `keys`; they have been checked."""
    place = {key: index for index, key in enumerate(keys)}
    component = _together(decisions).components()
    numbers: dict[str, int] = {}
    atom = np.full(len(keys), FREE, np.int64)

    def number_of(key: str) -> int:
        name = f"c{component[key]}" if key in component else key
        return numbers.setdefault(name, len(numbers))

    for key in component:
        if key in place:
            atom[place[key]] = number_of(key)
    apart: set[tuple[int, int]] = set()
    aside = np.zeros(len(keys), np.bool_)
    names: dict[int, str] = {}
    for decision in decisions:
        present = [[key for key in group if key in place] for group in decision.apart]
        for key in (*present[0], *present[1]):
            atom[place[key]] = number_of(key)
        apart |= {(number_of(a), number_of(b)) for a in present[0] for b in present[1]}
        aside[[place[key] for key in decision.aside if key in place]] = True
        if decision.name and decision.together:
            names[number_of(decision.together[0])] = decision.name
    apart |= {(a, b) for a in names for b in names if a < b and names[a] != names[b]}
    return Ruling(Links(atom, sorted(apart)), aside, names)


def _together(decisions: Sequence[Decision]) -> _Graph:
    graph = _Graph()
    holder: dict[str, str] = {}
    for number, decision in enumerate(decisions):
        keys = list(decision.together)
        if decision.name and keys:  # photos under one name are one person
            keys.insert(0, holder.setdefault(decision.name, keys[0]))
        graph.join(keys, number)
        if len(keys) == 1:
            graph.steps.setdefault(keys[0], [])
        graph.join(list(decision.apart[1]), number)
    return graph


def _renames(later: Decision, earlier: Decision) -> bool:
    """Whether the later decision covers the earlier one's photos: then it is a new name, not another opinion."""
    return set(earlier.together) <= set(later.together)


def _contradiction(decisions: Sequence[Decision], one: int, other: int, path: str | Path) -> InputError:
    first, second = sorted((one, other))
    said = " and ".join(f"line {number + 1} ({decisions[number].what}, {decisions[number].when})"
                        for number in dict.fromkeys((first, second)))
    return InputError(f"decisions contradict each other: {said}", path=str(path),
                      remedy="`photoshoot identities undo` takes the latest back; or remove one of the lines")


def _name(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise ValueError("a name was expected")
    return value


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ValueError("a list of photos was expected")
    return tuple(str(value) for value in values)


def _text(path: str | Path) -> str:
    if is_remote(path):
        folder, _, name = address(path).rpartition("/")
        location = open_location(folder)
        return location.read_bytes(name).decode("utf-8") if location.exists(name) else ""
    with machine_errors(path):
        try:
            return Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (IsADirectoryError, UnicodeDecodeError):
            raise InputError("not a file of decisions", path=path, remedy="check cluster.overrides") from None
