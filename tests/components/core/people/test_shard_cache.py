"""A people data set on gs://, read through its local cache, over real HTTP."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import gcs_bucket

from components.core.errors import DataError, InputError, SettingsError
from components.core.people import shard_cache
from components.core.people.assembly import assemble
from components.core.people.dataset import PeopleDataset, PersonRecord
from components.core.people.identities import Assignment, Identities
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png
from components.core.pictures.texture import to_picture
from components.core.stores.storage import GcsLocation, open_location

SHARDS, EACH, SIDE = 4, 2, 16


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with gcs_bucket("people") as address:
        yield address


@pytest.fixture
def uri(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    address = f"{bucket}/{request.node.name}/set"
    open_location(address).upload(made(tmp_path / "people", 0))
    return address


def made(out: Path, seed: int) -> Path:
    dice = np.random.default_rng(seed)
    with PartWriter(out.with_suffix(".work"), Plan(str(seed), SIDE, 8, "photos", {"seed": seed}, SHARDS)) as part:
        for shard in range(SHARDS):
            with part.shard(shard) as one:
                for number in range(shard * EACH, (shard + 1) * EACH):
                    noise = dice.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                    texture = to_picture(np.zeros((24, 8, 8), np.uint8))
                    members = {"photo": encode_png(noise), "iuv": encode_png(noise), "matte": encode_png(noise[..., 0]),
                               "texture": encode_png(np.stack([texture] * 3, axis=-1)), "seen": encode_png(texture)}
                    one.add(EncodedPerson(PersonRecord(
                        id=f"p{number}", photo=f"p{number}.jpg", photo_digest="d", inputs_digest=f"{seed}-{number}",
                        shard=0, offset=0, length=0, box=(0, 0, 9, 9), scale=1.0, coverage=0.5, head_box=None,
                        face_seen=False, view="front", channel_order="IUV", label=None), members))
        assemble([part.folder], out, lambda hashes: {})
    return out


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").glob("people/*/shard-*.tar"))


def test_shards_come_when_they_are_used_and_only_once(
        uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    real = GcsLocation.fetch

    def watch(self: GcsLocation, names: list[str], to: Path, shown: object = None) -> None:
        fetched.extend(names)
        real(self, names, to, None)

    monkeypatch.setattr(GcsLocation, "fetch", watch)
    there, here = PeopleDataset.open(uri), PeopleDataset.open(tmp_path / "people")
    assert there.ids == here.ids and there.digest == here.digest and cached(tmp_path) == []
    for index in (5, 4, 0, 5):
        assert np.array_equal(there[index].photo, here[index].photo)
    assert cached(tmp_path) == ["shard-00000.tar", "shard-00002.tar"]
    again = pickle.loads(pickle.dumps(PeopleDataset.open(Path(uri))))  # a Path folds the address's slashes
    assert np.array_equal(again[5].photo, here[5].photo)
    assert sorted(fetched) == ["manifest.parquet", "shard-00000.tar", "shard-00002.tar", "shards.parquet"]


def test_the_cache_is_bounded_and_keeps_what_was_used_last(
        uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (tmp_path / "people" / "shard-00000.tar").stat().st_size
    monkeypatch.setenv("PHOTOSHOOT_CACHE_GB", str(2.5 * size / 1e9))
    people, here = PeopleDataset.open(uri), PeopleDataset.open(tmp_path / "people")
    for shard, expected in ((0, [0]), (1, [0, 1]), (0, [0, 1]), (2, [0, 2]), (3, [2, 3]), (1, [1, 3])):
        assert np.array_equal(people[shard * EACH].photo, here[shard * EACH].photo)
        assert cached(tmp_path) == [f"shard-{number:05d}.tar" for number in expected]
    monkeypatch.setenv("PHOTOSHOOT_CACHE_GB", "plenty")
    with pytest.raises(SettingsError, match="PHOTOSHOOT_CACHE_GB=plenty is not a number"):
        people[0]


def test_a_shard_of_another_data_set_is_refused_and_not_kept(uri: str, tmp_path: Path) -> None:
    other = made(tmp_path / "other", 1)
    open_location(uri).write_bytes("shard-00001.tar", (other / "shard-00001.tar").read_bytes())
    people = PeopleDataset.open(uri)
    with pytest.raises(DataError, match="not the one that its data set was made with") as caught:
        people[EACH]
    assert f"{uri}/shard-00001.tar" in str(caught.value)
    assert cached(tmp_path) == [] and people[0].id == "p0"


def test_a_data_set_replaced_under_its_address_is_not_read_from_the_old_copy(uri: str, tmp_path: Path) -> None:
    first = PeopleDataset.open(uri)[0].photo
    other = made(tmp_path / "other", 1)
    open_location(uri).upload(other)
    second = PeopleDataset.open(uri)[0].photo
    assert not np.array_equal(first, second)
    assert np.array_equal(second, PeopleDataset.open(other)[0].photo)


def test_processes_share_a_cache_that_is_too_small_for_them(uri: str, tmp_path: Path) -> None:
    """Each shard is evicted while others read it; what is read is right all the same, and nothing is left half-made."""
    code = ("import sys; from components.core.people.dataset import PeopleDataset\n"
            "here, there = PeopleDataset.open(sys.argv[1]), PeopleDataset.open(sys.argv[2])\n"
            "for step in range(16):\n"
            "    i = (step * int(sys.argv[3])) % len(here)\n"
            "    assert (here[i].photo == there[i].photo).all()\n")
    environment = os.environ | {"PHOTOSHOOT_CACHE_GB": "0"}
    readers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "people"), uri, str(stride)],
                                env=environment, cwd=Path(shard_cache.__file__).parents[3]) for stride in (3, 5)]
    assert [reader.wait(100) for reader in readers] == [0, 0]
    assert not [path for path in (tmp_path / "cache").rglob(".*partial*")]


def test_identities_on_gs_are_those_of_the_folder(bucket: str, tmp_path: Path) -> None:
    people = PeopleDataset.open(made(tmp_path / "people", 0))
    rows = [Assignment(one, f"i{number // 2}", 1.0, "train") for number, one in enumerate(people.ids)]
    (tmp_path / "identities").mkdir()
    Identities(rows, people.digest, {"k": 4}).write(tmp_path / "identities")
    open_location(f"{bucket}/identities").upload(tmp_path / "identities")
    there, here = (Identities.open(place) for place in (f"{bucket}/identities", tmp_path / "identities"))
    assert there.digest == here.digest and there.scores == {"k": 4} and there.of(people.ids[3]) == "i1"
    assert there.members(people, "train").keys() == {"i0", "i1", "i2", "i3"}
    with pytest.raises(InputError, match="identities"):
        Identities.open(f"{bucket}/nowhere")
