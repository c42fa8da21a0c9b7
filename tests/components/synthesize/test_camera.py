"""What cameras do: each effect by itself, seeded, and with the truth beside it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.settings import SynthesizeSettings
from components.synthesize.camera import Camera
from components.synthesize.folder import encode_photo, photos_of, synthesize
from components.synthesize.render import Rendering
from components.synthesize.scene import FLAT

WORST = {"tallest": 160, "one_sided": 0.5, "one_light": True, "tone": 1.0, "blur": 0.01, "noise": 16, "jpeg": 40}


@pytest.fixture(scope="module")
def shoot(studio: Any) -> Any:
    """`shoot(**camera)`: the photos of one person as a camera takes them."""

    def taken(photos: int = 2, **camera: Any) -> list[Rendering]:
        settings = studio.settings(photos_per_person=photos, camera=camera)
        return [photo for _, _, photo in photos_of(settings, 1)]

    return taken


@pytest.fixture(scope="module")
def clean(shoot: Any) -> list[Rendering]:
    """The same without any effect."""
    photos: list[Rendering] = shoot()
    return photos


def energy(image: Any) -> float:
    """Mean squared difference of neighbours."""
    return float(np.square(np.diff(np.asarray(image, np.float64).mean(-1), axis=1)).mean())


@pytest.mark.parametrize("effect", ["one_sided", "tone", "blur", "noise"])
def test_an_effect_changes_the_photo_and_nothing_else(effect: str, shoot: Any, clean: list[Rendering]) -> None:
    strong = {"one_sided": 1.0, "tone": 1.0, "blur": 0.02, "noise": 30}
    taken = shoot(**{effect: strong[effect]})
    assert any(not np.array_equal(before.rgb, after.rgb) for before, after in zip(clean, taken, strict=True))
    for before, after in zip(clean, taken, strict=True):
        assert np.array_equal(before.iuv, after.iuv) and np.array_equal(before.matte, after.matte)
        same = np.array_equal(before.own, after.own)
        assert same == (effect in ("blur", "noise")), "the truth keeps light and tone, and no fault of the sensor"


def test_blur_softens_and_noise_roughens(shoot: Any, clean: list[Rendering]) -> None:
    sharp, soft, rough = (np.mean([energy(photo.rgb) for photo in some])
                          for some in (clean, shoot(blur=0.02), shoot(noise=30)))
    assert soft < 0.9 * sharp < sharp < 0.9 * rough


def test_light_from_one_side_leaves_the_other_dark(shoot: Any, clean: list[Rendering]) -> None:
    def lopsided(photo: Rendering) -> float:
        """How much brighter one half of the figure is than the other, in log units."""
        matte = photo.own[..., 3] == 255
        middle = np.median(np.nonzero(matte)[1])
        left = np.arange(matte.shape[1])[None] < middle
        grey = photo.own[..., :3].mean(-1)
        return abs(float(np.log(grey[matte & left].mean() / grey[matte & ~left].mean())))

    assert np.mean([lopsided(one) for one in shoot(one_sided=1.0)]) > 0.1 + np.mean([lopsided(one) for one in clean])


def test_photos_of_one_outfit_share_light_and_tone_in_a_session(studio: Any) -> None:
    for session in (True, False):
        settings = studio.settings(camera={"one_light": session, "one_sided": 1.0, "tone": 1.0})
        cameras = [Camera(settings, 1, outfit, number) for outfit, number in ((0, 0), (0, 2), (1, 1))]
        tones = [camera.tone() for camera in cameras]
        assert all(tones)
        gains = [tone.gain.tolist() for tone in tones if tone]
        assert (gains[0] == gains[1]) == session and gains[0] != gains[2]
        lights = [camera.light(FLAT).key.tolist() for camera in cameras]
        assert (lights[0] == lights[1]) == session and lights[0] != lights[2]


def test_heights_vary_and_the_picture_is_the_same(shoot: Any, clean: list[Rendering]) -> None:
    taken = shoot(photos=6, tallest=200)
    heights = [photo.rgb.shape[0] for photo in taken]
    assert min(heights) >= 96 and max(heights) <= 200 and len(set(heights)) > 3
    scale = heights[0] / 96
    assert np.allclose(np.array(taken[0].head_box) / scale, clean[0].head_box, atol=2)


def test_the_person_alone_over_the_room_is_the_photo(clean: list[Rendering]) -> None:
    for photo in clean:
        alpha = photo.own[..., 3:].astype(float) / 255
        solid = photo.own[..., 3] == 255
        assert solid.any() and (photo.own[..., 3] <= photo.matte).all()
        assert np.abs(photo.own[solid][:, :3].astype(float) - photo.rgb[solid]).mean() < 3, "but for noise"
        assert ((photo.own[..., :3] * alpha) <= photo.rgb.astype(float) + 12).all(), "the rest is the room's"


def test_files_are_as_bad_as_asked(studio: Any, tmp_path: Path) -> None:
    settings = studio.settings(people=1, photos_per_person=4, write_truth=True, camera=WORST)
    out = synthesize(tmp_path / "worst", settings, workers=1).folder
    facts = json.loads((out / "truth" / "people.json").read_text())["photos"]
    assert len({fact["jpeg"] for fact in facts}) > 1 and all(40 <= fact["jpeg"] <= 95 for fact in facts)
    for fact in facts:
        with Image.open(out / "photos" / fact["photo"]) as photo, \
                Image.open(out / "truth" / "people" / Path(fact["photo"]).with_suffix(".png")) as truth:
            assert photo.height == fact["height"] and truth.size == photo.size and truth.mode == "RGBA"
    again = synthesize(tmp_path / "again", settings, workers=2).folder
    for path in sorted(out.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


def test_quality_reaches_the_file(clean: list[Rendering]) -> None:
    good, bad = (np.asarray(Image.open(io.BytesIO(encode_photo(clean[0], quality)[0]))) for quality in (95, 20))
    apart = [np.abs(one.astype(float) - clean[0].rgb).mean() for one in (good, bad)]
    assert apart[0] < apart[1]


def test_a_camera_without_faults_is_that_of_before() -> None:
    camera = Camera(SynthesizeSettings(), 3, 0, 2)
    assert camera.height() == 256 and camera.tone() is None and camera.quality() == 95
