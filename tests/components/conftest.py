"""Drawn pose maps of heads with exact charts; a small world of people with a model, for tests of what comes last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

if TYPE_CHECKING:
    from components.core.settings import SynthesizeSettings

Pixels = npt.NDArray[np.uint8]
DrawHead = Callable[..., Pixels]


def _draw_head(side: int = 128, height: float = 40.0, yaw: float = 0.0, centre: tuple[float, float] | None = None,
               torso: int = 2) -> Pixels:
    """A square pose map with an ellipsoid head `height` pixels high and a torso below.

    `yaw` in degrees turns the head to the image's left, 180 shows its back.
    """
    cx, cy = centre if centre is not None else (side / 2, side / 3)
    ry, rx = height / 2, 0.36 * height
    ys, xs = np.mgrid[:side, :side].astype(float)
    up = (cy - ys) / ry
    across = np.sqrt(np.clip(1 - up**2, 1e-9, None))
    sine = (xs - cx) / (rx * across)
    inside = (np.abs(up) < 1) & (np.abs(sine) < 1)
    around = np.arcsin(np.clip(sine, -1, 1)) / np.pi + yaw / 180
    around = (around + 1) % 2 - 1
    iuv = np.zeros((side, side, 3), np.uint8)
    below = (ys > cy + ry) & (np.abs(xs - cx) < 0.8 * height)
    iuv[below] = (torso, 128, 128)
    iuv[..., 0][inside] = np.where(around < 0, 23, 24)[inside]
    iuv[..., 1][inside] = np.round(255 * np.where(around < 0, around + 1, around))[inside].astype(np.uint8)
    iuv[..., 2][inside] = np.round(255 * (0.5 + 0.48 * up))[inside].astype(np.uint8)
    return iuv


@pytest.fixture(scope="session")
def draw_head() -> DrawHead:
    return _draw_head


@dataclass(frozen=True)
class World:
    """Folders of a small world: synthetic people, their true identities, an untrained model."""

    root: Path
    people: Path
    identities: Path
    model: Path


def _cut_out(root: Path, drawn: SynthesizeSettings) -> None:
    from components.core.settings import PreprocessSettings
    from components.preprocess import preprocess
    from components.synthesize import synthesize

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.preprocess.run.cores", lambda: 1)
        synthesize(root / "photos", drawn, workers=1)
        preprocess(root / "photos", root / "people", PreprocessSettings.model_validate(
            {"resolution": 64, "texel": 16, "matte": "silhouette", "min_person": 32}))


@pytest.fixture(scope="session")
def cut_out() -> Callable[[Path, SynthesizeSettings], None]:
    """Writes synthetic `photos` and their `people` at 64 px into a folder, in this process: for so few, starting others
    costs more than the work."""
    return _cut_out


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Path]:
    """untrained(folder, resolution, seed) writes the small model of a generator that nobody trained; its file."""

    def write(folder: Path, resolution: int = 64, seed: int = 0) -> Path:
        import torch

        from components.core.networks.generator.reposer import Generator, Reposer
        from components.core.settings import TrainSettings

        torch.manual_seed(seed)
        settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
        folder.mkdir(exist_ok=True)
        file = folder / "generator.safetensors"
        Reposer(Generator(settings, resolution, 16), settings, resolution, 16, "synthetic").save(file)
        return file

    return write


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, cut_out: Callable[..., None],
          untrained: Callable[..., Path]) -> World:
    """Eight synthetic people of three photos at 64 px, six of them held out, and a generator nobody trained."""
    from components.core.people.dataset import PeopleDataset
    from components.core.people.identities import Assignment, Identities
    from components.core.settings import SynthesizeSettings

    root = tmp_path_factory.mktemp("world")
    drawn = SynthesizeSettings.model_validate({"people": 8, "photos_per_person": 3, "height": 160, "back_views": 0.1})
    cut_out(root, drawn)
    people = PeopleDataset.open(root / "people")
    names = sorted(set(people.labels.values()))
    rows = []
    for name, seen in zip(people.ids, people.column("face_seen"), strict=True):
        label = people.labels[name] if seen else None
        rows.append(Assignment(name, label, 1.0, None if label is None else "train" if label in names[:2] else "test"))
    (root / "identities").mkdir()
    Identities(rows, people.digest, {}).write(root / "identities")
    untrained(root / "model")
    return World(root, root / "people", root / "identities", root / "model")


@pytest.fixture(scope="session")
def evaluated(world: World) -> Path:
    """The evaluation of the small world's model."""
    from components.core.settings import EvaluateSettings
    from components.evaluate import evaluate

    settings = EvaluateSettings.model_validate({"pairs": 24, "min_images": 12, "rows": 4, "bootstrap": 100})
    evaluate(world.model, world.people, world.identities, world.root / "evaluation", settings)
    return world.root / "evaluation"
