"""Crude people, drawn in milliseconds, for tests of the training."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.pictures.images import write_png
from components.core.pictures.iuv import write_iuv

HEIGHT, WIDTH = 96, 72
DrawPeople = Callable[..., Path]


def _person(identity: int, photo: int) -> tuple[np.ndarray, np.ndarray]:
    """A head with eyes, nose and mouth on a box of a body: photo and pose map [96, 72, 3]. Skin, hair, eyes and the
    face's proportions belong to the identity; place, clothes and background to the photo."""
    who, here = np.random.default_rng(1000 + identity), np.random.default_rng([identity, photo])
    skin, hair, eyes = who.uniform(70, 230, 3), who.uniform(0, 160, 3), who.uniform(0, 200, 3)
    mouth_wide, mouth_high, eye_size = who.uniform(0.15, 0.5), who.uniform(0.3, 0.42), who.uniform(0.06, 0.14)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    centre, top, half, high = WIDTH / 2 + here.uniform(-4, 4), 8 + here.uniform(-3, 3), 12.0, 34.0
    around, up = (x - centre) / half * 0.5, 0.9 - (y - top) / high * 0.75
    head = (np.abs(around) / 0.5) ** 2 + ((up - 0.52) / 0.38) ** 2 < 1
    image = np.zeros((HEIGHT, WIDTH, 3)) + here.uniform(0, 255, 3) + 20 * here.standard_normal((HEIGHT, 1, 1))
    body = (y > top + high - 4) & (np.abs(x - centre) < 20) & ~head
    image[body] = here.uniform(0, 255, 3)
    image[head] = skin
    image[head & (up > who.uniform(0.72, 0.8))] = hair
    for side in (-0.22, 0.2):
        image[(np.hypot(around - side, up - 0.63) < eye_size)] = eyes
    image[(np.abs(around) < 0.03) & (np.abs(up - 0.52) < 0.06)] = skin * 0.6
    image[(np.abs(around) < mouth_wide / 2) & (np.abs(up - mouth_high) < 0.03)] = (150, 40, 40)
    iuv = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    iuv[body] = np.stack([np.full(HEIGHT * WIDTH, 2).reshape(HEIGHT, WIDTH), y * 2, 128 + x], -1)[body]
    part, u = np.where(around < 0, 23, 24), np.where(around < 0, 1 + around, around)
    iuv[head] = np.stack([part, u.clip(0, 1) * 255, up.clip(0, 1) * 255], -1)[head]
    return image.clip(0, 255).astype(np.uint8), iuv


def _draw(folder: Path, people: int, photos: int, first: int = 0) -> Path:
    rows = []
    for identity in range(first, first + people):
        for photo in range(photos):
            image, iuv = _person(identity, photo)
            name = f"p{identity:04d}-{photo}"
            write_png(folder / "photos" / f"{name}.png", image)
            write_iuv(folder / "iuv" / f"{name}.png", iuv)
            rows.append({"photo": f"{name}.png", "identity": f"p{identity:04d}"})
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["photo", "identity"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def draw_people() -> DrawPeople:
    """draw_people(folder, people, photos, first=0): write photos/, iuv/ and labels.csv; returns the folder."""

    def draw(folder: Path, people: int, photos: int, first: int = 0) -> Path:
        (folder / "photos").mkdir(parents=True)
        (folder / "iuv").mkdir()
        return _draw(folder, people, photos, first)

    return draw
