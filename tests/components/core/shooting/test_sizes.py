"""Pictures of other sizes than a model's own."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from components.core.errors import InputError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures.images import read_photo, write_png
from components.core.pictures.iuv import enlarge_iuv, write_iuv
from components.core.pictures.matte import silhouette
from components.core.pictures.texture import sample
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import finer_cut, largest, shoot, supported_size
from components.shoot.generate import Subject, generate

SETTINGS = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "min_person": 8})


@pytest.fixture(scope="module")
def people(world) -> list[PersonCrop]:
    found = [PeopleDataset.open(world.people)[number] for number in range(2)]
    return [person_from_photo(one.photo, one.iuv, SETTINGS, one.matte) for one in found]


@pytest.fixture(scope="module")
def model(world) -> Reposer:
    return Reposer.load(world.model / "generator.safetensors")


def halved(picture: np.ndarray, side: int) -> np.ndarray:
    step = picture.shape[0] // side
    return picture.reshape(side, step, side, step, -1).mean((1, 3))


@pytest.mark.parametrize("size", [100, 128, 256])
def test_the_background_is_the_one_given(world, people: list[PersonCrop], size: int) -> None:
    model = Reposer.load(world.model / "generator.safetensors")
    with torch.no_grad():
        model.network.gnet.bias[3] = -4.5  # hardly trained, it has a matte over 0 nearly everywhere
    room = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    shot = shoot(model, people[0], [one.native_iuv for one in people], room, size=size)
    assert shot.images.shape == (2, size, size, 3) and shot.mattes.shape == (2, size, size)
    empty = shot.mattes == 0
    assert 0.1 < empty.mean() < 0.95
    assert np.array_equal(shot.images[empty], np.broadcast_to(room, shot.images.shape)[empty])


def test_the_model_s_own_size_is_no_other_way(model: Reposer, people: list[PersonCrop]) -> None:
    poses = [one.iuv for one in people]
    assert np.array_equal(shoot(model, people[0], poses, size=64).images, shoot(model, people[0], poses).images)


def test_a_larger_picture_shows_the_same(model: Reposer, people: list[PersonCrop]) -> None:
    small = shoot(model, people[0], [people[1].iuv])
    large = shoot(model, people[0], [people[1].iuv], size=128)
    assert np.abs(halved(large.images[0], 64) - small.images[0]).mean() < 8
    # Hardly trained, it has a matte of 10 in 255 all over, which a large picture's leaves out as fog.
    assert np.abs(halved(large.mattes[0], 64)[..., 0] - small.mattes[0]).mean() < 16
    solid = small.mattes[0] > 200
    assert solid.any() and np.abs(halved(large.mattes[0], 64)[..., 0] - small.mattes[0])[solid].mean() < 16
    assert np.array_equal(large.images, shoot(model, people[0], [people[1].iuv], size=128).images)


def test_less_of_the_photo_makes_the_same_picture_as_far_as_it_goes(model: Reposer, people: list[PersonCrop]) -> None:
    person, side = people[0], people[0].native_photo.shape[0]
    assert person.reduced(side) is person
    less = person.reduced(side // 2)
    assert {one.shape[0] for one in (less.native_photo, less.native_iuv)} == {side // 2} and less.box == person.box
    assert np.array_equal(less.photo, person.photo) and np.array_equal(less.texture, person.texture)
    whole, half = (shoot(model, one, [people[1].iuv], size=128).images.astype(int) for one in (person, less))
    assert 0 < np.abs(whole - half).mean() < 6


def test_what_the_network_could_not_tell_is_no_fog_in_a_large_picture(world, people: list[PersonCrop]) -> None:
    model = Reposer.load(world.model / "generator.safetensors")
    with torch.no_grad():
        model.network.gnet.bias[3] = 2.2  # a matte of about a third beyond the body

    def fog(person: PersonCrop, size: int) -> float:
        mattes = shoot(model, person, [people[1].iuv], size=size).mattes[0]
        below = mattes[mattes.shape[0] // 2 :]
        return float(((below > 40) & (below < 215)).mean())

    matte = cv2.dilate(silhouette(people[0].native_iuv), np.ones((3, 3), np.uint8))
    assert min(fog(one, 64) for one in people) > 0.4 > 0.1 > fog(people[1], 256)
    assert fog(replace(people[0], native_matte=matte), 256) > 0.4  # it may be a skirt


@pytest.mark.parametrize("size", [72, 160, 200, 320])
def test_several_photos_in_pictures_of_any_size(model: Reposer, people: list[PersonCrop], size: int) -> None:
    shot = shoot(model, [people[0], people[0]], [people[1].iuv], clothes=[people[1], people[0]], size=size)
    assert shot.images.shape == (1, size, size, 3)


def test_an_atlas_has_as_many_texels_as_the_photos_hold(model: Reposer, people: list[PersonCrop]) -> None:
    def enlarged(plane: np.ndarray) -> np.ndarray:
        return plane.repeat(8, 0).repeat(8, 1)

    larger = [replace(one, native_photo=enlarged(one.native_photo), native_iuv=enlarged(one.native_iuv))
              for one in people]
    (few, some), (many, again) = ([finer_cut(model, 512, largest(photos))(one).texture.shape[1] for one in photos]
                                  for photos in (people, [people[0], larger[1]]))
    assert few == some < many == again <= 256
    assert few * 2.5 <= people[0].native_photo.shape[0]


def test_several_photos_and_others_clothes_go_into_large_pictures(model: Reposer, people: list[PersonCrop]) -> None:
    one = shoot(model, people[0], [people[1].iuv], size=128).images
    assert not np.array_equal(shoot(model, people[0], [people[1].iuv], clothes=people[1], size=128).images, one)
    both = shoot(model, [people[0], people[0]], [people[1].iuv], size=128)
    assert np.abs(both.images.astype(int) - one).mean() < 2


@pytest.mark.parametrize("size", [0, 63, 2049])
def test_sizes_out_of_bounds_are_refused_in_one_line(world, model: Reposer, people: list[PersonCrop], tmp_path: Path,
                                                     size: int) -> None:
    with pytest.raises(InputError, match=f"^pictures of {size} px cannot be made"):
        shoot(model, people[0], [people[1].iuv], size=size)
    with pytest.raises(InputError, match="64 to 2048"):
        generate(world.model, Subject(tmp_path / "no"), [tmp_path / "none.png"], tmp_path / "out", size=size)
    assert not (tmp_path / "out").exists()


def test_unasked_pictures_are_as_large_as_the_photo_shows_the_person(world, people: list[PersonCrop],
                                                                     tmp_path: Path) -> None:
    native = people[0].native_photo.shape[0]
    assert supported_size(people[0], native) == native and supported_size(people, native * 4) == native * 4
    person = PeopleDataset.open(world.people)[0]
    for name, picture in (("photo", person.photo), ("matte", person.matte)):
        write_png(tmp_path / f"{name}.png", picture.repeat(4, 0).repeat(4, 1))
    side = person.iuv.shape[0] * 4
    write_iuv(tmp_path / "pose.png", enlarge_iuv(person.iuv, (side, side)))
    subject = Subject(tmp_path / "photo.png", tmp_path / "pose.png", tmp_path / "matte.png")
    summary = generate(world.model, subject, [tmp_path / "pose.png"], tmp_path / "out", preprocess=SETTINGS)
    assert summary.size == 256 and read_photo(Path(summary.images[0])).shape == (256, 256, 3)


def test_a_crop_in_another_size_is_the_same_crop(people: list[PersonCrop]) -> None:
    same = people[0].at(64, 16)
    assert np.array_equal(same.photo, people[0].photo) and np.array_equal(same.iuv, people[0].iuv)
    assert np.array_equal(same.texture, people[0].texture) and np.array_equal(same.matte, people[0].matte)
    large = people[0].at(128, 32)
    assert large.photo.shape == (128, 128, 3) and large.texture.shape == (24, 32, 32, 3) and large.box == same.box


def test_a_large_picture_takes_what_the_atlas_knows_as_it_is(world, people: list[PersonCrop]) -> None:
    size, model = 256, Reposer.load(world.model / "generator.safetensors")
    before = shoot(model, people[0], [people[1].iuv], size=size).images[0]
    with torch.no_grad():
        model.network.gnet.bias[:3] += 1.5  # touches up to blue and yellow
        model.network.gnet.bias[4:7] -= 1.5  # and darkens
    after = shoot(model, people[0], [people[1].iuv], size=size).images[0]
    changed = np.abs(after.astype(int) - before).mean(-1)
    # Its opinion counts where the body is guessed, not where it was seen.
    texture, seen = people[0].at(size, 128).texture, people[0].at(size, 128).seen
    known = cv2.erode(sample(texture, enlarge_iuv(people[1].iuv, (size, size)), seen)[1].astype(np.uint8),
                      np.ones((33, 33), np.uint8)) > 0
    assert known.sum() > 100 and changed[known].mean() < 1
    assert changed.max() > 20
