"""Pictures for people: the contact sheet, strips of single pairs, pose maps in colours."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.core.artifacts import evaluation as artifact
from components.core.pictures.images import Pixels, write_png

CELL = 192
"""Least side of a picture on the sheet in pixels; smaller crops are enlarged."""
_GAP, _EDGE, _HEADER, _CAPTION = 6, 18, 44, 22
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 30, 34), (120, 124, 130)
_ROOM = (22, 24, 29)
_LEFT_PARTS = (4, 5, 8, 10, 12, 14, 15, 17, 19, 21, 24)


@dataclass(frozen=True)
class Row:
    """One row of the sheet: pictures [S, S, 3], as many as there are columns, and a caption under them.

    `key` names the pair (kind, source, target), so that rows of two runs can be laid side by side.
    """

    pictures: list[Pixels]
    caption: str
    key: str = ""


def colour_pose(iuv: Pixels) -> Pixels:
    """A pose map [H, W, 3] in colours [H, W, 3]: a hue for each part, the person's right warm and left cool, shaded
    by U and V so that the charts show."""
    part, u, v = iuv[..., 0].astype(np.intp), iuv[..., 1] / 255, iuv[..., 2] / 255
    shade = 0.62 + 0.26 * v + 0.12 * np.cos(2 * np.pi * u)
    body = _palette()[part] * shade[..., None]
    return np.where((part > 0)[..., None], np.rint(body), np.asarray(_ROOM)).astype(np.uint8)


def over_photo(photo: Pixels, iuv: Pixels) -> Pixels:
    """A photo [H, W, 3] under its pose map [H, W, 3] in colours."""
    mixed = np.rint(photo * 0.4 + colour_pose(iuv) * 0.6).astype(np.uint8)
    return np.where(iuv[..., :1] > 0, mixed, photo)


def contact_sheet(title: str, subtitle: str, columns: Sequence[str], rows: Sequence[Row], empty: str = "") -> Pixels:
    """One picture [H, W, 3]: title, column heads, a row of pictures for each pair; `empty` is said where no row is."""
    cell = max([CELL, *(picture.shape[0] for row in rows for picture in row.pictures)])
    width = 2 * _EDGE + len(columns) * cell + (len(columns) - 1) * _GAP
    top = _EDGE + _HEADER + 28
    height = top + max(1, len(rows)) * (cell + _CAPTION + _GAP) + _EDGE - _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_EDGE, _EDGE - 4), title, _INK, font=_font(22))
    draw.text((_EDGE, _EDGE + 24), _fitting(draw, subtitle, width - 2 * _EDGE, 13), _FAINT, font=_font(13))
    for at, name in enumerate(columns):
        draw.text((_EDGE + at * (cell + _GAP), top - 8), name, _INK, font=_font(15), anchor="ls")
    for line, row in enumerate(rows):
        y = top + line * (cell + _CAPTION + _GAP)
        for at, picture in enumerate(row.pictures):
            sheet.paste(_enlarged(picture, cell), (_EDGE + at * (cell + _GAP), y))
        draw.text((_EDGE, y + cell + 4), _fitting(draw, row.caption, width - 2 * _EDGE, 12), _FAINT, font=_font(12))
    if not rows:
        draw.text((width // 2, top + cell // 2), empty, _FAINT, font=_font(16), anchor="mm", align="center")
    return np.asarray(sheet)


def write_samples(folder: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write each row as ``NN_identity.png`` into a new folder, and ``samples.json`` that says what they show."""
    folder.mkdir()
    listed = []
    for number, row in enumerate(rows, 1):
        identity = re.sub(r"[^\w.-]+", "_", row.caption.partition(":")[0])
        file = folder / f"{number:02d}_{identity}.png"
        write_png(file, strip(row.pictures, max(CELL, *(picture.shape[0] for picture in row.pictures))))
        listed.append({"file": file.name, "caption": row.caption, "key": row.key})
    artifact.write_samples(folder, columns, _GAP, listed)


def cells(picture: Image.Image, count: int, gap: int = _GAP) -> list[Image.Image]:
    """The `count` pictures of a strip, without the gaps."""
    side = (picture.width + gap) // count - gap
    return [picture.crop((k * (side + gap), 0, k * (side + gap) + side, picture.height)).convert("RGB")
            for k in range(count)]


def strip(pictures: Sequence[Pixels], cell: int = CELL) -> Pixels:
    """Pictures side by side [cell, n * cell + gaps, 4], the gaps transparent: they look right on any paper."""
    sheet = Image.new("RGBA", (len(pictures) * (cell + _GAP) - _GAP, cell))
    for at, picture in enumerate(pictures):
        sheet.paste(_enlarged(picture, cell), (at * (cell + _GAP), 0))
    return np.asarray(sheet)


def _enlarged(picture: Pixels, cell: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    return image if image.size == (cell, cell) else image.resize((cell, cell), Image.Resampling.LANCZOS)


def _fitting(draw: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    font = _font(size)
    while text and draw.textlength(text, font=font) > width:
        text = text[:-2].rstrip("\u2026 ") + "\u2026"
    return text


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


@cache
def _palette() -> np.ndarray:
    """[25, 3]: colours of the parts; 0 is the background."""
    colours = [(0.0, 0.0, 0.0)]
    for part in range(1, 25):
        if part in (1, 2):
            hue, strength = (0.10, 0.55) if part == 1 else (0.13, 0.35)
        else:
            left = part in _LEFT_PARTS
            place = sum(other < part and other > 2 and (other in _LEFT_PARTS) == left for other in range(1, 25))
            # Neighbours in number are often neighbours on the body: their hues lie apart.
            hue, strength = (0.48 if left else 0.93) + 0.2 * (place * 4 % 11) / 10, 0.52 + 0.1 * (place % 2)
        colours.append(colorsys.hsv_to_rgb(hue % 1, strength, 1.0))
    return np.asarray(colours) * 255
