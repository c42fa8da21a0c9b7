"""``photoshoot experiment maps``: how far pose maps made from landmarks agree with maps that were brought.

Of each photo that has a pose map the landmark networks and the fitted body make another; the person in it is the one
who covers the brought map's person best. Compared are the foregrounds, the parts on what both call foreground, U and V
where the part agrees, the heads by themselves, and whether the torso's front or its back is seen. Where two photos show
one person, the textures that the maps unwrap are compared as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.core.atomic import atomic_path
from components.core.errors import InputError
from components.core.pictures.folder import list_photos
from components.core.pictures.images import Pixels, read_upright
from components.core.pictures.iuv import HEAD_PARTS, read_iuv
from components.core.pictures.labels import labels_of
from pipelines.experiments import textures
from pipelines.experiments.textures import Unwrapped, unwrapped

_TORSO_BACK, _TORSO_FRONT = 1, 2
Estimator = Callable[[Pixels], Sequence[Pixels]]
"""Pose maps [H, W, 3] of the people in a photo [H, W, 3]."""


@dataclass(frozen=True)
class Agreement:
    """A made map against a brought one. U and V: mean absolute difference in charts' units (0..1); NaN where no pixel
    tells."""

    foreground: float
    """Intersection over union of the foregrounds."""
    parts: float
    """Share of the common foreground with the same part."""
    u: float
    v: float
    heads: float
    """Intersection over union of parts 23 and 24."""
    head_u: float
    head_v: float
    same_side: bool
    """Whether both show the torso's front or both its back; so too where neither shows any."""


@dataclass(frozen=True)
class Row:
    """A photo; no agreement where nobody was found in it."""

    photo: str
    agreement: Agreement | None
    textures: Unwrapped | None = None
    """None too where nobody says who is in the photo."""


def agreement(made: Pixels, brought: Pixels) -> Agreement:
    """Compare two pose maps [H, W, 3] of one photo."""
    ours, theirs = made[..., 0], brought[..., 0]
    same = (ours == theirs) & (theirs > 0)
    both = (ours > 0) & (theirs > 0)
    heads = np.isin(ours, HEAD_PARTS), np.isin(theirs, HEAD_PARTS)
    u, v = (np.abs(made[..., k].astype(np.float32) - brought[..., k]) / 255 for k in (1, 2))
    on_head = same & heads[1]
    return Agreement(_overlap(ours > 0, theirs > 0), _share(same, both), _mean(u, same), _mean(v, same),
                     _overlap(*heads), _mean(u, on_head), _mean(v, on_head), _front(ours) == _front(theirs))


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return _share(a & b, a | b)


def _share(some: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    count = np.count_nonzero(of)
    return np.count_nonzero(some) / count if count else float("nan")


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _front(part: Pixels) -> bool | None:
    front, back = (np.count_nonzero(part == number) for number in (_TORSO_FRONT, _TORSO_BACK))
    return None if front == back == 0 else bool(front > back)


def compared(folder: Path, estimate: Estimator) -> Iterator[Row]:
    """Every photo of `folder` that has a pose map. Raises `InputError` where none has, or a file cannot be read."""
    files = list_photos(folder)
    people = labels_of(files)
    pairs = [photo for photo in files.photos if photo.iuv.exists()]
    if not pairs:
        raise InputError("no photo here has a pose map", path=folder, remedy="put them into iuv/, one per photo")
    for file in pairs:
        photo = read_upright(file.path)
        brought = read_iuv(file.iuv, photo.size, photo.orientation).planes
        person = brought[..., 0] > 0
        made = max(estimate(photo.pixels), default=None, key=lambda iuv: _overlap(iuv[..., 0] > 0, person))
        if made is None:
            yield Row(file.path.name, None)
        else:
            name = people.get(file.name)
            yield Row(file.path.name, agreement(made, brought),
                      None if name is None else unwrapped(file.path.name, name, photo.pixels, brought, made))


def medians(rows: Sequence[Row]) -> dict[str, float]:
    """Middle values over the photos in which somebody was found; of `same_side` the share."""
    found = [row.agreement for row in rows if row.agreement is not None]
    middle = {field.name: float(np.nanmedian([getattr(one, field.name) for one in found]))
              for field in fields(Agreement) if field.name != "same_side"}
    return {**middle, "same_side": sum(one.same_side for one in found) / len(found)}


def texture_pairs(rows: Sequence[Row]) -> list[textures.Pair]:
    """Every two photos of one person."""
    return list(textures.pairs([row.textures for row in rows if row.textures is not None]))


def markdown(rows: Sequence[Row], command: str) -> str:
    """The page."""
    found = [row for row in rows if row.agreement is not None]
    lines = [
        "# Pose maps from landmarks, against maps that were brought", "", f"Written by `{command}`.", "",
        f"Somebody was found in {len(found)} of {len(rows)} photos. Foreground and heads: intersection over union. "
        "Parts: share of the common foreground with the same part. U, V: mean absolute difference where the part "
        "agrees, in the charts' own units (0 to 1). Side: whether the torso's front or back is seen.", "",
        "| photo | foreground | parts | U | V | heads | U | V | side |", "|---|---|---|---|---|---|---|---|---|",
    ]
    if found:
        middle = medians(rows)
        share = f"{middle.pop('same_side'):.0%}"
        lines.append("| **median** | " + " | ".join(f"**{value:.3f}**" for value in middle.values()) + f" | {share} |")
    lines += [_line(row) for row in rows]
    return "\n".join([*lines, "", *textures.markdown(texture_pairs(rows))])


def _line(row: Row) -> str:
    if row.agreement is None:
        return f"| {row.photo} | nobody found |" + " |" * 7
    values = asdict(row.agreement)
    side = "same" if values.pop("same_side") else "other"
    cells = ("–" if np.isnan(value) else f"{value:.3f}" for value in values.values())
    return f"| {row.photo} | {' | '.join(cells)} | {side} |"


def write(rows: Sequence[Row], command: str, page: Path) -> Path:
    """Write the page; its path."""
    with atomic_path(page) as partial:
        partial.write_text(markdown(rows, command), encoding="utf-8")
    return page


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For --json."""
    return [{"photo": row.photo, **({} if row.agreement is None else _numbers(row.agreement))} for row in rows]


def _numbers(one: Agreement) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in asdict(one).items()}
