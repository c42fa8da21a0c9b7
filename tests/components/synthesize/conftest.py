"""A few rendered photos shared by the tests of this room: small, and made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.core.body.cameras import Camera
from components.core.body.meshes import Floats
from components.core.body.skinning import Pose, rotation
from components.core.body.template import ARM_AXIS, BONE, BONES
from components.core.settings import SynthesizeSettings
from components.synthesize.figure import Figure, build_figure
from components.synthesize.folder import SynthesisSummary, synthesize
from components.synthesize.identity import sample_person
from components.synthesize.render import Rendering, Shot, render_photo
from components.synthesize.scene import FLAT


class Studio:
    """What the tests of this room share. (A fixture, because test modules cannot import each other.)"""

    @staticmethod
    def figure(index: int, outfit: int = 0, seed: int = 0) -> Figure:
        """Identity `index` in one of two outfits."""
        return build_figure(sample_person(seed, index, 2), outfit)

    @staticmethod
    def standing(figure: Figure, yaw: float, height: int = 256) -> Rendering:
        """The whole figure upright with its arms hanging slightly out, turned by `yaw` degrees, unlit and noiseless."""
        local = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
        for side, sign in (("l", 1.0), ("r", -1.0)):
            rest = np.arctan2(ARM_AXIS[0], -ARM_AXIS[1])
            local[BONE[f"upper_arm_{side}"]] = rotation("z", sign * float(0.3 - rest))
        eye = np.array([0, 0.95, 6.0], np.float32)
        width = height * 3 // 4
        camera = Camera(np.eye(3, dtype=np.float32), eye, height / 2.1 * 6.0, (width / 2, height / 2))
        backdrop: Floats = np.full((height, width, 3), 0.5, np.float32)
        return render_photo(figure, Shot(Pose(local, float(np.deg2rad(yaw))), camera, FLAT, backdrop, yaw > 90, 0))

    @staticmethod
    def settings(**changes: Any) -> SynthesizeSettings:
        """Three people, two photos each, 96 px high."""
        values = {"people": 3, "photos_per_person": 2, "height": 96, "back_views": 0.3}
        return SynthesizeSettings.model_validate(values | changes)

    @staticmethod
    def unwrap(photo: Rendering, side: int = 24) -> tuple[Floats, NDArray[np.bool_]]:
        """Texture [24, side, side, 3] in 0..255 and which of its texels the photo shows, read pixel by pixel."""
        solid = (photo.matte == 255) & (photo.iuv[..., 0] > 0)
        part = photo.iuv[..., 0][solid].astype(int) - 1
        u, v = (np.rint(photo.iuv[..., k][solid] / 255 * (side - 1)).astype(int) for k in (1, 2))
        total = np.zeros((24, side, side, 3), np.float32)
        count = np.zeros((24, side, side, 1), np.float32)
        np.add.at(total, (part, side - 1 - v, u), photo.rgb[solid])
        np.add.at(count, (part, side - 1 - v, u), 1)
        return total / np.maximum(count, 1), count[..., 0] > 0


@pytest.fixture(scope="session")
def studio() -> type[Studio]:
    """Figures, a neutral pose, small settings, unwrapping."""
    return Studio


@pytest.fixture(scope="session")
def front() -> Rendering:
    """Somebody in trousers from the front."""
    return Studio.standing(Studio.figure(104, 1), 0.0)


@pytest.fixture(scope="session")
def back() -> Rendering:
    """The same person from behind."""
    return Studio.standing(Studio.figure(104, 1), 180.0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SynthesisSummary:
    """A small folder of photos."""
    out: Path = tmp_path_factory.mktemp("synthetic") / "people"
    return synthesize(out, Studio.settings(), workers=1)
