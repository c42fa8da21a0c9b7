"""One picture in which a person can check the identities at a glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]

MOST_ROWS = 40
MOST_FACES = 10
_FACE = 72
_GAP = 6
_LEFT = 150
_LINE = 16
_PAPER, _INK, _FAINT = (255, 255, 255), (34, 34, 34), (120, 120, 120)
_COLOURS = {"train": (46, 110, 180), "validation": (200, 140, 20), "test": (190, 60, 60), "set aside": (130, 130, 130)}


@dataclass(frozen=True)
class Row:
    """An identity, or people set aside: faces [h, w, 3] with a caption each, the first MOST_FACES of `count`."""

    title: str
    split: str
    count: int
    faces: Sequence[tuple[Pixels, str]]


def montage(rows: Sequence[Row], note: str = "") -> Pixels:
    """Draw the rows, one below the other; `note` says at the bottom what is not shown."""
    width = _LEFT + MOST_FACES * (_FACE + _GAP) + _GAP
    pitch = _FACE + _LINE + _GAP
    picture = Image.new("RGB", (width, _GAP + pitch * len(rows) + (_LINE + _GAP if note else 0)), _PAPER)
    draw = ImageDraw.Draw(picture)
    bold, small = ImageFont.load_default(14), ImageFont.load_default(11)
    for number, row in enumerate(rows):
        top = _GAP + number * pitch
        colour = _COLOURS[row.split]
        draw.rectangle((0, top, 5, top + _FACE - 1), fill=colour)
        draw.text((14, top + 4), row.title, fill=_INK, font=bold)
        draw.text((14, top + 26), row.split, fill=colour, font=bold)
        shown = f", {len(row.faces)} shown" if len(row.faces) < row.count else ""
        draw.text((14, top + 48), f"{row.count} photo{'s' if row.count != 1 else ''}{shown}", fill=_FAINT, font=small)
        for column, (face, caption) in enumerate(row.faces):
            left = _LEFT + column * (_FACE + _GAP)
            picture.paste(_thumbnail(face), (left, top))
            draw.text((left, top + _FACE + 1), caption, fill=_FAINT, font=small)
    if note:
        draw.text((14, _GAP + pitch * len(rows)), note, fill=_FAINT, font=small)
    return np.asarray(picture)


def overview(people: Sequence[tuple[str | None, str | None, float]], picture: Callable[[int], Pixels]) -> Pixels:
    """The identities with most photos first, then those set aside, MOST_ROWS at most.

    `people`: identity (None: set aside), split and confidence of each; `picture` gives the face of one of them.
    """
    members: dict[str, list[int]] = {}
    aside: list[int] = []
    for index, (identity, _, _) in enumerate(people):
        (aside if identity is None else members.setdefault(identity, [])).append(index)
    names = sorted(members, key=lambda name: (-len(members[name]), name))
    shown = names[: MOST_ROWS - bool(aside)]
    rows = [Row(name, str(people[members[name][0]][1]), len(members[name]),
                [(picture(index), f"{people[index][2]:.2f}") for index in members[name][:MOST_FACES]])
            for name in shown]
    if aside:
        rows.append(Row("nobody", "set aside", len(aside), [(picture(index), "") for index in aside[:MOST_FACES]]))
    note = "below each face: confidence"
    if len(shown) < len(names):
        note += f"; {len(names) - len(shown)} more identities with fewer photos are in identities.parquet"
    return montage(rows, note)


def page(title: str, split: str, faces: Sequence[tuple[Pixels, str]]) -> Pixels:
    """All faces of one identity, MOST_FACES to a row."""
    parts = [faces[start : start + MOST_FACES] for start in range(0, len(faces), MOST_FACES)]
    return montage([Row(title, split, len(part), part) for part in parts],
                   f"{len(faces)} photos; below each face: confidence")


def _thumbnail(face: Pixels) -> Image.Image:
    """The face, its longer side _FACE, in the middle of a square of paper."""
    image = Image.fromarray(face)
    scale = _FACE / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))),
                         Image.Resampling.BICUBIC)
    square = Image.new("RGB", (_FACE, _FACE), _PAPER)
    square.paste(image, ((_FACE - image.width) // 2, (_FACE - image.height) // 2))
    return square


def head_crop(photo: Pixels, box: tuple[int, int, int, int] | None) -> Pixels:
    """The head with a fifth of room around it; the whole photo where no head shows."""
    if box is None:
        return photo
    x0, y0, x1, y1 = box
    half = 0.6 * max(x1 - x0, y1 - y0)
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = photo.shape[:2]
    left, right = max(0, round(middle_x - half)), min(width, round(middle_x + half))
    top, bottom = max(0, round(middle_y - half)), min(height, round(middle_y + half))
    return photo[top:bottom, left:right]
