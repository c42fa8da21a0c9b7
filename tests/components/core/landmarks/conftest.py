"""People who do not exist, photographed at 512 px, and what a MediaPipe installation found of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks import needs_weights

from components.core.pictures.images import Pixels
from components.synthesize.figure import build_figure
from components.synthesize.identity import sample_person, stream
from components.synthesize.render import Rendering, render_photo, sample_shot

NETWORKS = ("blazepose-detector", "blazepose-full", "facemesh", "face-short-range", "hand-landmarks", "hand-recrop",
            "selfie-segmentation", "yunet")
SEEDS = (1, 4, 5, 9, 13, 15)
"""Head and shoulders, half and whole figures; the last is seen from behind."""
_STORED = Path(__file__).parents[3] / "fixtures" / "mediapipe-0.10.21.npz"


@pytest.fixture(scope="session")
def renderings() -> dict[int, Rendering]:
    return {seed: _rendering(seed) for seed in SEEDS}


def _rendering(seed: int) -> Rendering:
    figure = build_figure(sample_person(seed, 0, 1), 0)
    return render_photo(figure, sample_shot(figure, stream(seed, 0, 9), 512, back=seed % 4 == 3))


@pytest.fixture
def networks() -> None:
    """Skips where the networks cannot be had."""
    pytest.importorskip("ai_edge_litert")
    needs_weights(*NETWORKS)


@pytest.fixture(scope="session")
def mediapipe() -> Callable[[str], dict[str, np.ndarray]]:
    """What MediaPipe 0.10.21 found in a photo by its name, in pixels, as the fields of `Landmarks`.

    mp.solutions.holistic.Holistic(static_image_mode=True, model_complexity=1), Python 3.11, x86-64.
    """
    with np.load(_STORED) as file:
        stored = dict(file)
    return lambda name: {key.rpartition("/")[2]: value for key, value in stored.items()
                         if key.rpartition("/")[0] == name}


@pytest.fixture
def photos(renderings: dict[int, Rendering]) -> dict[str, Pixels]:
    """The photos of `renderings` by the names under which MediaPipe's findings are stored."""
    return {f"synthetic_{seed}": rendering.rgb for seed, rendering in renderings.items()}
