"""Colours say on which side of a border a pixel is."""

import numpy as np
import pytest

from components.core.pictures.borders import hair_on_torso, misplaced
from components.core.pictures.images import Pixels

SHIRT, SKIN, HAIR, WALL = (60, 80, 190), (210, 160, 130), (70, 45, 30), (225, 225, 225)
TORSO, ARM, HEAD = 2, 15, 23


@pytest.fixture
def scene() -> tuple[Pixels, Pixels, Pixels]:
    """A torso, an arm that hangs beside it, a head with long hair; photo, pose map, matte, right to the pixel."""
    photo, iuv = np.full((600, 400, 3), WALL, np.uint8), np.zeros((600, 400, 3), np.uint8)
    matte = np.zeros((600, 400), np.uint8)
    for part, colour, box in ((TORSO, SHIRT, (150, 600, 120, 260)), (ARM, SKIN, (180, 600, 260, 300)),
                              (HEAD, SKIN, (40, 150, 160, 230)), (0, HAIR, (30, 200, 130, 160)),
                              (0, HAIR, (30, 150, 230, 260))):
        at = np.s_[box[0] : box[1], box[2] : box[3]]
        photo[at], iuv[at], matte[at] = colour, (part, 128, 128), 255
    noise = np.random.default_rng(3).normal(0, 3, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8), iuv, matte


def test_what_is_in_its_place_stays(scene: tuple[Pixels, Pixels, Pixels]) -> None:
    photo, iuv, matte = scene
    assert not misplaced(photo, iuv).any() and not hair_on_torso(photo, iuv, matte).any()


@pytest.mark.parametrize("border", [248, 272])
def test_a_strip_of_skin_on_the_shirt_and_of_the_shirt_on_the_arm(scene: tuple[Pixels, Pixels, Pixels],
                                                                 border: int) -> None:
    photo, iuv, _ = scene
    strip = np.s_[200:580, min(border, 260) : max(border, 260)]
    iuv[strip] = (ARM if border < 260 else TORSO, 128, 128)
    found = misplaced(photo, iuv)
    assert found[strip].mean() > 0.9
    found[180:600, min(border, 260) - 3 : max(border, 260) + 3] = False
    assert not found.any()


def test_one_colour_on_both_sides_says_nothing(scene: tuple[Pixels, Pixels, Pixels]) -> None:
    photo, iuv, _ = scene
    photo[180:600, 260:300] = photo[180:600, 160:200]  # long sleeves
    iuv[200:580, 248:260] = (ARM, 128, 128)
    assert not misplaced(photo, iuv).any()


def test_hair_before_the_shoulder_is_not_the_torso_s(scene: tuple[Pixels, Pixels, Pixels]) -> None:
    photo, iuv, matte = scene
    iuv[150:174, 130:160] = (TORSO, 128, 128)  # the body's shoulder, behind the hair
    found = hair_on_torso(photo, iuv, matte)
    assert found[152:172, 132:158].mean() > 0.9 and not found[180:].any()
    iuv[iuv[..., 0] == HEAD] = 0
    assert not hair_on_torso(photo, iuv, matte).any()


def test_a_small_person_of_a_large_photo_is_looked_at_alike(scene: tuple[Pixels, Pixels, Pixels]) -> None:
    photo, iuv, matte = scene
    iuv[150:174, 130:160] = (TORSO, 128, 128)
    alone = hair_on_torso(photo, iuv, matte)
    wide = [np.full((1200, 2400, *plane.shape[2:]), value, np.uint8)
            for plane, value in ((photo, 225), (iuv, 0), (matte, 0))]
    for plane, own in zip(wide, (photo, iuv, matte), strict=True):
        plane[300:900, 900:1300] = own
    assert alone.any()
    assert (hair_on_torso(*wide)[300:900, 900:1300] != alone).mean() < 0.005
