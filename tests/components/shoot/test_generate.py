from pathlib import Path

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures.images import read_photo, write_png
from components.core.pictures.iuv import write_iuv
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import middle_square, shoot
from components.shoot.generate import Subject, generate

SETTINGS = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "min_person": 8})


@pytest.fixture
def subjects(world, tmp_path: Path) -> list[Subject]:
    """Three people's photos as files, as a user brings them."""
    people = PeopleDataset.open(world.people)
    found = []
    for number in range(3):
        person = people[number]
        write_png(tmp_path / f"photo{number}.png", person.photo)
        write_iuv(tmp_path / f"pose{number}.png", person.iuv)
        write_png(tmp_path / f"matte{number}.png", person.matte)
        found.append(Subject(*(tmp_path / f"{kind}{number}.png" for kind in ("photo", "pose", "matte"))))
    return found


def person(world, number: int) -> PersonCrop:
    found = PeopleDataset.open(world.people)[number]
    return person_from_photo(found.photo, found.iuv, SETTINGS, found.matte)


def test_a_picture_for_every_pose(world, subjects: list[Subject], tmp_path: Path) -> None:
    poses = [subjects[1].iuv, subjects[2].iuv]
    summary = generate(world.model, subjects[0], poses, tmp_path / "out", preprocess=SETTINGS)
    assert [Path(path).name for path in summary.images] == ["pose1.png", "pose2.png"]
    first, second = (read_photo(path) for path in summary.images)
    assert first.shape == second.shape == (64, 64, 3) and not np.array_equal(first, second)


def test_the_background_is_the_one_given(world) -> None:
    model, pose = Reposer.load(world.model / "generator.safetensors"), person(world, 1).iuv
    room = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    output = shoot(model, person(world, 0), [pose], room)
    empty = output.mattes[0] == 0
    assert np.array_equal(output.images[0][empty], room[empty])


def test_somebody_else_s_clothes_change_the_picture_and_one_s_own_do_not(world) -> None:
    model, subject, pose = Reposer.load(world.model / "generator.safetensors"), person(world, 0), person(world, 1).iuv
    own, other = shoot(model, subject, [pose]), shoot(model, subject, [pose], clothes=person(world, 2))
    assert np.array_equal(shoot(model, subject, [pose], clothes=subject).images, own.images)
    assert not np.array_equal(own.images, other.images)


def test_poses_of_one_batch_do_not_touch_each_other(world) -> None:
    model, subject = Reposer.load(world.model / "generator.safetensors"), person(world, 0)
    poses = [person(world, number).iuv for number in (1, 2)]
    together = shoot(model, subject, poses).images
    apart = [shoot(model, subject, [pose]).images[0] for pose in poses]
    assert np.abs(together.astype(int) - np.stack(apart)).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 64), (31, 200), (500, 300)])
def test_the_middle_square_is_cut_from_the_middle(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = 255
    square = middle_square(picture, 64)
    ys, xs = np.nonzero(square[..., 0] > 127)
    assert square.shape == (64, 64, 3)
    assert abs(ys.mean() - 31.5) < 1.5 and abs(xs.mean() - 31.5) < 1.5


def test_what_cannot_be_used_is_named_and_nothing_is_written(world, subjects: list[Subject], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no target pose"):
        generate(world.model, subjects[0], [], out)
    with pytest.raises(InputError, match="same name"):
        generate(world.model, subjects[0], [subjects[1].iuv, subjects[1].iuv], out)
    write_png(tmp_path / "small.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(InputError, match=r"pose1\.png"):
        generate(world.model, Subject(tmp_path / "small.png", subjects[1].iuv), [subjects[1].iuv], out)
    tiny = np.zeros((64, 64, 3), np.uint8)
    tiny[30:34, 30:34] = (2, 100, 100)
    write_iuv(tmp_path / "tiny.png", tiny)
    with pytest.raises(InputError, match=r"tiny\.png.*only 4 pixels"):
        generate(world.model, subjects[0], [tmp_path / "tiny.png"], out, preprocess=SETTINGS)
    assert not out.exists()
