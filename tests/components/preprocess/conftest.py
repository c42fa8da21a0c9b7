"""A folder as a user brings it: drawn people with pose maps, seconds to make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.preprocess import run

_PARTS = {23: (10, 40, 52, 64), 24: (10, 40, 64, 76), 2: (44, 96, 44, 84), 16: (46, 90, 28, 42),
          15: (46, 90, 86, 100), 9: (98, 150, 44, 62), 10: (98, 150, 66, 84)}


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo [160, 128, 3] and pose map of a figure of rectangles over a background of another colour."""
    dice = np.random.default_rng(number)
    photo = np.empty((160, 128, 3), np.uint8)
    photo[:] = np.clip(dice.normal((40, 90, 160), 4, photo.shape), 0, 255)
    iuv = np.zeros_like(photo)
    for part, (top, bottom, left, right) in _PARTS.items():
        colour = np.array((200 - 3 * part, 120 + 4 * part + number, 40 + 2 * part))
        photo[top:bottom, left:right] = colour + dice.integers(-2, 3, (bottom - top, right - left, 1))  # not blurred
        iuv[top:bottom, left:right, 0] = part
        # The head as from the front: its halves' charts meet at the middle of the face (U 1 of part 23, 0 of 24).
        # The other charts turn as they do on a body, or the map would be a mirrored one.
        ends = (235, 20) if part in (2, 9, 16) else (20, 235)
        first, last = {23: (110, 255), 24: (0, 145)}.get(part, ends)
        iuv[top:bottom, left:right, 1] = np.linspace(first, last, right - left)[None, :]
        iuv[top:bottom, left:right, 2] = np.linspace(235, 20, bottom - top)[:, None]
    return photo, iuv


@pytest.fixture(autouse=True)
def _as_without_detectron2(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Tests are about photos with pose maps, installed or not, unless they ask for the real networks."""
    if "random_network" not in request.fixturenames:
        monkeypatch.setattr("components.preprocess.densepose.maps.installed", lambda: False)


@dataclass
class Cutting:
    """What `cutting` saw, and when it interrupts."""

    photos: list[str] = field(default_factory=list)
    """Photos that people were cut out of, since the last `go_on`."""
    stop: Callable[[str], bool] = lambda photo: False
    """Whether Ctrl-C comes before this photo."""

    def go_on(self) -> None:
        """Interrupt no more; begin to note photos anew."""
        self.photos, self.stop = [], lambda photo: False


@pytest.fixture
def cutting(monkeypatch: pytest.MonkeyPatch) -> Cutting:
    """Looks on where `preprocess` cuts people out of a photo, and can interrupt it there."""
    seen, real = Cutting(), run.people_of_photo

    def watched(photo: Any, settings: Any) -> Any:
        if seen.stop(str(photo)):
            raise KeyboardInterrupt
        seen.photos.append(str(photo))
        return real(photo, settings)

    monkeypatch.setattr(run, "people_of_photo", watched)
    return seen


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Path]:
    """`bring(count)` writes that many photos with pose maps to a folder and returns it."""

    def make(count: int = 4, name: str = "brought") -> Path:
        folder = tmp_path / name
        (folder / "iuv").mkdir(parents=True)
        for number in range(count):
            photo, iuv = draw(number)
            Image.fromarray(photo).save(folder / f"p{number}.png")
            Image.fromarray(iuv if number % 2 else iuv[..., ::-1]).save(folder / "iuv" / f"p{number}.png")
        return folder

    return make


@pytest.fixture
def drawn() -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Photo and pose map of a drawn figure by number."""
    return draw
