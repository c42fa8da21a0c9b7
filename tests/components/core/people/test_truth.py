"""What a synthetic photo should show: cut like the photo, with colours of the person alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import InputError
from components.core.people.truth import true_crop
from components.core.settings import PreprocessSettings

SETTINGS = PreprocessSettings(resolution=64)
BOX = (-20, 0, 108, 128)


@pytest.fixture
def photo() -> np.ndarray:
    """A grey room [128, 100, 3]."""
    return np.full((128, 100, 3), 90, np.uint8)


def written(path: Path, planes: np.ndarray) -> Path:
    Image.fromarray(planes).save(path)
    return path


def figure() -> np.ndarray:
    """A red rectangle whose outline lies between the pixels of a crop at half the size."""
    planes = np.zeros((128, 100, 4), np.uint8)
    planes[31:, 21:60] = (200, 30, 20, 255)
    return planes


def test_colours_at_the_outline_are_the_person_s_alone(tmp_path: Path, photo: np.ndarray) -> None:
    crop = true_crop(written(tmp_path / "a.png", figure()), photo, BOX, SETTINGS)
    assert crop.shape == (64, 64, 4)
    person = crop[..., 3] > 0
    assert (np.abs(crop[person][:, :3].astype(int) - (200, 30, 20)) <= 1).all()
    assert (crop[~person][:, :3] == 90).all(), "elsewhere the photo's own"
    soft = (crop[..., 3] > 0) & (crop[..., 3] < 255)
    assert soft.any() and np.abs(crop[..., 3][soft].astype(int) - 128).max() <= 66


def test_nobody_is_beyond_the_photo(tmp_path: Path, photo: np.ndarray) -> None:
    planes = figure()
    planes[:, :60] = (200, 30, 20, 255)
    crop = true_crop(written(tmp_path / "a.png", planes), photo, BOX, SETTINGS)
    assert not crop[:, :10, 3].any() and (crop[:, 11:39, 3] == 255).all()


@pytest.mark.parametrize("planes", [np.zeros((128, 100, 3), np.uint8), np.zeros((64, 50, 4), np.uint8)])
def test_a_picture_of_another_photo_is_named(planes: np.ndarray, tmp_path: Path, photo: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a\.png: .* its photo is 100 x 128 -- run synthesize again"):
        true_crop(written(tmp_path / "a.png", planes), photo, BOX, SETTINGS)
