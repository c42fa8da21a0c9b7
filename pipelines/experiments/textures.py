"""What pose maps are for: two photos of one person, unwrapped by their maps, show the same texture.

Of every two photos of one person the textures are compared where both show a texel, brought to one light by a factor
per colour: the better the maps, the less they differ. Clothes are compared too, so only photos in one outfit say much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from components.core.pictures.images import Pixels
from components.core.pictures.iuv import HEAD_PARTS
from components.core.pictures.texture import unwrap

TEXEL = 32
"""Texels on each side of a chart."""
_FEW = 40
"""Texels that two photos have to have in common to be compared."""
_BODY = tuple(part - 1 for part in range(1, 25) if part not in HEAD_PARTS)
_HEAD = tuple(part - 1 for part in HEAD_PARTS)


@dataclass(frozen=True)
class Unwrapped:
    """A photo's textures by a map that was brought and by one that was made: colours [24, N, N, 3], seen [24, N, N]."""

    photo: str
    person: str
    brought: tuple[Pixels, NDArray[np.bool_]]
    made: tuple[Pixels, NDArray[np.bool_]]


@dataclass(frozen=True)
class Pair:
    """Two photos of one person: median absolute differences in grey levels (0..255); NaN where too little is seen."""

    photos: tuple[str, str]
    person: str
    head_brought: float
    head_made: float
    body_brought: float
    body_made: float


def unwrapped(name: str, person: str, photo: Pixels, brought: Pixels, made: Pixels) -> Unwrapped:
    """The textures of a photo [H, W, 3] by both maps [H, W, 3]."""
    return Unwrapped(name, person, unwrap(photo, brought, TEXEL), unwrap(photo, made, TEXEL))


def pairs(photos: Sequence[Unwrapped]) -> Iterator[Pair]:
    """Every two photos of one person."""
    for one, other in combinations(photos, 2):
        if one.person == other.person:
            yield Pair((one.photo, other.photo), one.person,
                       _difference(one.brought, other.brought, _HEAD), _difference(one.made, other.made, _HEAD),
                       _difference(one.brought, other.brought, _BODY), _difference(one.made, other.made, _BODY))


def _difference(one: tuple[Pixels, NDArray[np.bool_]], other: tuple[Pixels, NDArray[np.bool_]],
                parts: Sequence[int]) -> float:
    chosen = list(parts)
    both = one[1][chosen] & other[1][chosen]
    if np.count_nonzero(both) < _FEW:
        return float("nan")
    first, second = (np.maximum(side[0][chosen][both].astype(np.float64), 1.0) for side in (one, other))
    light = np.median(np.log(second / first), axis=0) / 2
    return float(np.median(np.abs(first * np.exp(light) - second * np.exp(-light))))


def by_person(found: Sequence[Pair]) -> dict[str, float | int]:
    """Medians over people of each one's median pair, per figure, and for how many people it could be said.

    A person counts where both maps tell; a region of which nobody's does has no medians.
    """
    summary: dict[str, float | int] = {}
    for region in ("head", "body"):
        both = [pair for pair in found
                if np.isfinite(getattr(pair, f"{region}_brought")) and np.isfinite(getattr(pair, f"{region}_made"))]
        people = sorted({pair.person for pair in both})
        summary[f"{region}_people"] = len(people)
        for kind in ("brought", "made"):
            middle = [np.median([getattr(pair, f"{region}_{kind}") for pair in both if pair.person == person])
                      for person in people]
            if middle:
                summary[f"{region}_{kind}"] = float(np.median(middle))
    return summary


def markdown(found: Sequence[Pair]) -> list[str]:
    """Lines for the page; none where nobody has two photos."""
    if not found:
        return []
    middle = by_person(found)
    lines = ["## Textures of two photos of one person", "",
             "Median absolute difference in grey levels of texels that both photos show, in one light: by the maps "
             f"that were brought and by those made from landmarks. Medians over people: heads ({middle['head_people']} "
             f"people) {_at(middle, 'head_brought')} and **{_at(middle, 'head_made')}**, bodies "
             f"({middle['body_people']} people) {_at(middle, 'body_brought')} and **{_at(middle, 'body_made')}**.",
             "", "| person | photos | heads: brought | made | bodies: brought | made |", "|---|---|---|---|---|---|"]
    lines += [f"| {pair.person} | {pair.photos[0]}, {pair.photos[1]} | {_cell(pair.head_brought)} | "
              f"{_cell(pair.head_made)} | {_cell(pair.body_brought)} | {_cell(pair.body_made)} |" for pair in found]
    return [*lines, ""]


def _at(middle: dict[str, float | int], name: str) -> str:
    return _cell(middle.get(name, float("nan")))


def _cell(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1f}"
