"""``make house``: docs/architecture.svg, drawn from the import graph.

Rooms are folders (and lone modules of `core` and `pipelines`) on floors: a room stands above all that it imports. Three
wings, top to bottom: pipelines with the public package, the steps, core. Within a wing an arrow is an import; one that
follows from two others is left out. Between wings anything may import what is further down: one arrow stands for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.atomic import atomic_path

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.svg"
ROOTS = ("photoshoot", "pipelines", "components")
OUTSIDE = (("components.register.pyfunc_model", "photoshoot.serving"),)
"""Imports of files that a registered version takes with it and nothing here runs; pyproject.toml has the same list."""
WINGS = {"pipelines": ("pipelines/ and photoshoot/", "#2f6f8f"), "steps": ("components/", "#7a5a9c"),
         "core": ("components/core/", "#3d7a52")}

_WIDTH, _HEIGHT, _GAP, _RISE, _PASSAGE = 122, 42, 22, 44, 14
_MARGIN, _CANVAS = 12, 1010
_SWEEPS = 12

Room = str
Arrows = Mapping[Room, frozenset[Room]]


@dataclass(frozen=True)
class Wing:
    """One part of the house: floors of rooms, the lowest first, and who imports whom among them."""

    name: str
    floors: tuple[tuple[Room, ...], ...]
    arrows: Arrows


def room_of(module: str) -> tuple[str, Room] | None:
    """Wing and room of a module; None for the roots themselves."""
    parts = module.split(".")
    if parts[0] == "photoshoot":
        return "pipelines", "photoshoot"
    if len(parts) == 1 or parts == ["components", "core"]:
        return None
    if parts[0] == "pipelines":
        return "pipelines", parts[1]
    return ("core", parts[2]) if parts[1] == "core" else ("steps", parts[1])


def graph() -> list[tuple[str, str]]:
    """Every import of one module of this repository by another, in order of name."""
    import grimp

    found = grimp.build_graph(ROOTS[0], *ROOTS[1:], cache_dir=None)
    pairs = ((one, other) for one in found.modules for other in found.find_modules_directly_imported_by(one))
    return sorted(pair for pair in pairs if pair not in OUTSIDE)


def wings(imports: Iterable[tuple[str, str]]) -> list[Wing]:
    """The house that some imports (importer, imported) make. Raises `ValueError` for rooms that import each other in a
    circle, or for an import that leads up into another wing."""
    rooms: dict[str, set[Room]] = {name: set() for name in WINGS}
    arrows: dict[str, dict[Room, set[Room]]] = {name: {} for name in WINGS}
    for module, other in imports:
        here, there = room_of(module), room_of(other)
        for place in (here, there):
            if place:
                rooms[place[0]].add(place[1])
        if here and there and here[0] == there[0] and here != there:
            arrows[here[0]].setdefault(here[1], set()).add(there[1])
        elif here and there and list(WINGS).index(here[0]) > list(WINGS).index(there[0]):
            raise ValueError(f"{module} imports {other}, which stands above it")
    return [_wing(name, sorted(rooms[name]), arrows[name]) for name in WINGS]


def _wing(name: str, rooms: Sequence[Room], arrows: Mapping[Room, set[Room]]) -> Wing:
    import networkx

    graph = networkx.DiGraph({room: sorted(arrows.get(room, ())) for room in rooms})
    if not networkx.is_directed_acyclic_graph(graph):
        raise ValueError(f"the room {networkx.find_cycle(graph)[0][0]} imports itself through others")
    needed = {room: frozenset(others) for room, others in networkx.transitive_reduction(graph).adjacency()}
    floors = [sorted(floor) for floor in networkx.topological_generations(graph.reverse())]
    if name != "steps":  # those stand side by side; elsewhere a room that has to do with nobody is an entrance
        entrances = [room for room in networkx.isolates(graph) if room not in floors[-1]]
        floors = [[room for room in floor if room not in entrances] for floor in floors]
        floors[-1] = sorted([*floors[-1], *entrances])
    return Wing(name, tuple(map(tuple, floors)), needed)


def svg(house: Sequence[Wing]) -> str:
    """The picture, readable on light and on dark pages; the same imports give the same bytes."""
    parts, y = [], _MARGIN
    for number, wing in enumerate(house):
        title, colour = WINGS[wing.name]
        drawn, bottom = _draw(wing, y + 24, colour)
        parts += [f'<rect x="1" y="{y}" width="{_CANVAS - 2}" height="{bottom - y + 14}" rx="12" fill="{colour}" '
                  'fill-opacity=".09" stroke="none"/>',
                  f'<text x="14" y="{y + 20}" text-anchor="start" font-size="14" font-weight="600" fill="{colour}" '
                  f'class="wing">{title}</text>', *drawn]
        y = bottom + 14
        if number < len(house) - 1:
            middle = _CANVAS // 2
            parts.append(f'<path d="M{middle} {y + 2}v18" stroke="#8aa" stroke-width="6" fill="none"/>'
                         f'<path d="M{middle} {y + 32}l-11 -13h22z" fill="#8aa"/>')
            y += 34
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_CANVAS} {y + _MARGIN}" '
            'font-family="system-ui, sans-serif" text-anchor="middle" role="img" '
            'aria-label="Rooms of the code on floors; each imports only from those below it">')
    style = "<style>@media (prefers-color-scheme: dark) {.wing {fill: #dde}}</style>"
    return "\n".join([head, style, *parts, "</svg>"]) + "\n"


def _draw(wing: Wing, top: int, colour: str) -> tuple[list[str], int]:
    """Boxes and arrows of a wing that begins at `top`, and where it ends."""
    floors, steps = _with_passages(wing)
    place: dict[str, tuple[float, int]] = {}
    for number, floor in enumerate(floors):
        sizes = [_PASSAGE if "|" in one else _WIDTH for one in floor]
        x = (_CANVAS - sum(sizes) - _GAP * (len(floor) - 1)) / 2
        for one, size in zip(floor, sizes, strict=True):
            place[one] = (x + size / 2, top + (len(floors) - 1 - number) * (_HEIGHT + _RISE))
            x += size + _GAP
    lines, boxes = [], []
    for above, under in steps:
        (x0, y0), (x1, y1) = place[above], place[under]
        start = y0 + _HEIGHT
        tip = "" if "|" in under else f'<path d="M{x1:.1f} {y1}l-4.5 -8h9z" fill="#8aa"/>'
        end = y1 if "|" in under else y1 - 6
        lines.append(f'<path d="M{x0:.1f} {start}C{x0:.1f} {start + 24} {x1:.1f} {end - 24} {x1:.1f} {end}'
                     + (f"v{_HEIGHT}" if "|" in under else "")
                     + f'" stroke="#8aa" stroke-width="1.5" fill="none"/>{tip}')
    for one, (x, y) in place.items():
        if "|" not in one:
            boxes.append(f'<rect x="{x - _WIDTH / 2:.1f}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" '
                         f'fill="{colour}"/><text x="{x:.1f}" y="{y + 26}" font-size="14.5" font-weight="600" '
                         f'fill="#fff">{one}</text>')
    return lines + boxes, top + len(floors) * (_HEIGHT + _RISE) - _RISE


def _with_passages(wing: Wing) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """The floors in an order with few crossings, arrows past a floor going through a passage on it; and each arrow
    from one floor to the next."""
    at = {room: number for number, floor in enumerate(wing.floors) for room in floor}
    floors: list[list[str]] = [list(floor) for floor in wing.floors]
    steps: list[tuple[str, str]] = []
    for room in sorted(at):
        for other in sorted(wing.arrows[room]):
            above = room
            for number in range(at[room] - 1, at[other], -1):
                passage = f"|{other}|{number}"  # arrows to one room share their passage
                if passage not in floors[number]:
                    floors[number].append(passage)
                steps.append((above, passage))
                above = passage
            steps.append((above, other))
    steps = sorted(set(steps))
    best = (_crossings(floors, steps), [list(floor) for floor in floors])
    for sweep in range(_SWEEPS):
        order = range(1, len(floors)) if sweep % 2 else range(len(floors) - 2, -1, -1)
        for number in order:
            beside = floors[number - 1] if sweep % 2 else floors[number + 1]
            _sort_by(floors[number], beside, steps)
        best = min(best, (_crossings(floors, steps), [list(floor) for floor in floors]), key=lambda one: one[0])
    return best[1], steps


def _sort_by(floor: list[str], beside: Sequence[str], steps: Sequence[tuple[str, str]]) -> None:
    """Order a floor by the mean place of those next door that its arrows lead to."""
    where = {one: (k + 0.5) / len(beside) for k, one in enumerate(beside)}
    own = {one: (k + 0.5) / len(floor) for k, one in enumerate(floor)}

    def mean(one: str) -> float:
        known = [where[end] for step in steps if one in step for end in step if end in where]
        return sum(known) / len(known) if known else own[one]

    floor.sort(key=mean)


def _crossings(floors: Sequence[Sequence[str]], steps: Sequence[tuple[str, str]]) -> int:
    at = {one: (number, (k + 0.5) / len(floor)) for number, floor in enumerate(floors) for k, one in enumerate(floor)}
    lines = [(at[above][0], at[above][1], at[under][1]) for above, under in steps]
    return sum(a[0] == b[0] and (a[1] - b[1]) * (a[2] - b[2]) < 0 for a, b in itertools.combinations(lines, 2))


def main() -> None:
    """Write the picture."""
    with atomic_path(PICTURE) as partial:
        partial.write_text(svg(wings(graph())), encoding="utf-8")


if __name__ == "__main__":
    main()
