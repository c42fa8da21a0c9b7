"""Of few real people a larger crop is kept beside the networks', for whoever judges; of others nothing is."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError, SettingsError
from components.core.people.dataset import LARGE, MEMBERS, PeopleDataset
from components.core.people.person import person_from_photo
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import read_iuv
from components.core.settings import PreprocessSettings, Settings, data
from components.preprocess import preprocess

SMALL = PreprocessSettings(resolution=64, texel=16)
Bring = Callable[..., Path]


def kinds(people: Path) -> set[str]:
    """Which members the shards have."""
    names: list[str] = []
    for shard in people.glob("shard-*.tar"):
        with tarfile.open(shard) as file:
            names += file.getnames()
    return {name.split(".")[-2] for name in names}


def own_members(folder: Path) -> list[np.ndarray]:
    return [getattr(person, name) for person in PeopleDataset.open(folder) for name in MEMBERS]


def test_the_larger_crop_is_the_same_crop_in_the_photos_own_pixels(bring: Bring, tmp_path: Path) -> None:
    folder = bring(2)
    preprocess(folder, tmp_path / "people", SMALL.model_copy(update={"large": 128}))
    people = PeopleDataset.open(tmp_path / "people")
    assert people.large == people.settings["large"] == 128 and kinds(tmp_path / "people") >= set(LARGE)
    for number, record in enumerate(people.records):
        photo = read_photo(folder / record.photo, 1)
        planes = read_iuv(folder / "iuv" / record.photo, photo.shape[:2]).planes
        crop = person_from_photo(photo, planes, SMALL).reduced(128)
        large = people.larger(number)
        assert large.photo.shape == (128, 128, 3) and np.array_equal(large.photo, crop.native_photo)
        assert np.array_equal(large.iuv, crop.native_iuv)
        assert large.matte is not None and np.array_equal(large.matte, crop.native_matte)


def test_no_more_pixels_are_kept_than_the_photo_has(bring: Bring, tmp_path: Path) -> None:
    preprocess(bring(2), tmp_path / "people", SMALL.model_copy(update={"matte": "silhouette"}))
    people = PeopleDataset.open(tmp_path / "people")
    x0, _, x1, _ = people.records[0].box
    large = people.larger(0)
    assert people.large == 512 and large.photo.shape == large.iuv.shape == (x1 - x0, x1 - x0, 3)
    assert large.matte is None and LARGE[2] not in kinds(tmp_path / "people")


def test_what_the_networks_get_does_not_depend_on_it(bring: Bring, tmp_path: Path) -> None:
    folder = bring(3)
    for name, large in (("none", 0), ("some", 128)):
        preprocess(folder, tmp_path / name, SMALL.model_copy(update={"large": large}))
    for one, other in zip(own_members(tmp_path / "none"), own_members(tmp_path / "some"), strict=True):
        assert np.array_equal(one, other)
    assert PeopleDataset.open(tmp_path / "none").digest != PeopleDataset.open(tmp_path / "some").digest


@pytest.mark.parametrize("why", ["synthetic", "many", "large networks", "asked"])
def test_a_data_set_without_them_is_what_it_was_before_there_were_any(
        bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    folder, settings = bring(2), SMALL
    if why == "synthetic":
        (folder / "synthetic.json").write_text("{}")
    elif why == "many":
        monkeypatch.setattr(data, "FEW_PHOTOS", 1)
    else:
        changed = {"resolution": 512} if why == "large networks" else {"large": 0}
        settings = settings.model_copy(update=changed)
    preprocess(folder, tmp_path / "people", settings)
    header = json.loads((tmp_path / "people" / "people.json").read_text())
    assert "large" not in header and "large" not in header["settings"]
    assert not kinds(tmp_path / "people") & set(LARGE)
    people = PeopleDataset.open(tmp_path / "people")
    assert people.large == 0 and len(people) == 2
    with pytest.raises(DataError, match="no larger crops"):
        people.larger(0)


def test_a_damaged_larger_crop_is_named_when_it_is_asked_for(bring: Bring, tmp_path: Path) -> None:
    preprocess(bring(1), tmp_path / "people", SMALL.model_copy(update={"large": 128}))
    header = tmp_path / "people" / "people.json"
    header.write_text(header.read_text().replace('"large": 128,\n "', '"large": 100,\n "').replace(
        '"large": 128\n}', '"large": 100\n}'))
    people = PeopleDataset.open(tmp_path / "people")
    assert people.large == 100 and people[0].photo.shape == (64, 64, 3)
    with pytest.raises(DataError, match="damaged or missing shard"):
        people.larger(0)


def test_a_larger_crop_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="no larger than"):
        Settings().with_changes(["preprocess.large=128"])
