import json
import pickle
import tarfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.core.errors import DataError, InputError, MachineError
from components.core.images import encode_png
from components.core.people import FACE, FORMAT, MEMBERS, PeopleDataset, PersonRecord
from components.core.people_writer import EncodedPerson, PeopleWriter
from components.core.texture import to_picture

SIDE, TEXEL = 32, 8


def planes(number: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(number)
    return {"photo": dice.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
            "iuv": dice.integers(0, 25, (SIDE, SIDE, 3), dtype=np.uint8),
            "matte": dice.integers(0, 256, (SIDE, SIDE), dtype=np.uint8),
            "texture": dice.integers(0, 256, (24, TEXEL, TEXEL, 3), dtype=np.uint8),
            "seen": dice.random((24, TEXEL, TEXEL)) > 0.5}


def encoded(number: int) -> EncodedPerson:
    found = planes(number)
    members = {name: encode_png(found[name]) for name in ("photo", "iuv", "matte")}
    members["texture"] = encode_png(to_picture(found["texture"]))
    members["seen"] = encode_png(to_picture(found["seen"].astype(np.uint8) * 255))
    if number % 2:
        members[FACE] = encode_png(np.full((150, 150, 3), number, np.uint8))
    record = PersonRecord(
        id=f"p{number:03d}", photo=f"p{number:03d}.jpg", photo_digest=f"d{number}", inputs_digest=f"i{number}", shard=0,
        offset=0, length=0, box=(-3, 0, 61, 64), scale=0.5, coverage=0.1 + number / 100,
        head_box=(1, 2, 3, 4) if number % 2 else None, face_seen=bool(number % 2), view="front", channel_order="VUI",
        label=f"name{number // 3}" if number % 3 else None)
    return EncodedPerson(record, members)


def writer(out: Path, plan: str = "plan") -> PeopleWriter:
    return PeopleWriter(out, resolution=SIDE, texel=TEXEL, origin="photos", settings={"a": 1}, plan=plan)


def write(out: Path, shards: int = 2, each: int = 3) -> Path:
    with writer(out) as people:
        for shard in range(shards):
            with people.shard(shard) as one:
                for number in range(shard * each, (shard + 1) * each):
                    one.add(encoded(number))
                one.reject(f"q{shard}.jpg", "it is blank")
        people.finish(shards)
    return out


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_people_come_back_as_they_were_written(tmp_path: Path) -> None:
    people = PeopleDataset.open(write(tmp_path / "people"))
    assert (len(people), people.resolution, people.texel, people.origin) == (6, SIDE, TEXEL, "photos")
    assert people.ids == [f"p{number:03d}" for number in range(6)]
    for number in (5, 0, 3, -1):
        person = people[number]
        expected = planes(number % 6)
        for name in MEMBERS:
            assert np.array_equal(getattr(person, name), expected[name]), name
        assert (person.face is not None) == person.record.face_seen
        assert person.face is None or (person.face == number % 6).all()
        assert person.seen.dtype == bool and person.id == person.record.id == people.ids[number]
        assert people.index(person.id) == number % 6
        assert person.record.box == (-3, 0, 61, 64)
        assert person.record.head_box == ((1, 2, 3, 4) if number % 6 % 2 else None)
    assert people.rejected == [("q0.jpg", "it is blank"), ("q1.jpg", "it is blank")]
    assert people.labels == {f"p{number:03d}": f"name{number // 3}" for number in (1, 2, 4, 5)}
    assert people.column("face_seen") == [False, True] * 3
    assert [record.id for record in people.records[2:4]] == ["p002", "p003"]
    with pytest.raises(IndexError):
        people[6]
    with pytest.raises(DataError, match="nobody"):
        people.index("stranger")


def test_the_same_people_give_the_same_bytes(tmp_path: Path) -> None:
    assert tree(write(tmp_path / "a")) == tree(write(tmp_path / "elsewhere" / "b"))


def test_any_tar_reader_reads_a_shard(tmp_path: Path) -> None:
    folder = write(tmp_path / "people")
    with tarfile.open(folder / "shard-00001.tar") as shard:
        names = shard.getnames()
        assert names == [f"p{number:03d}.{kind}.png" for number in (3, 4, 5)
                         for kind in (*MEMBERS, *([FACE] if number % 2 else []))]
        assert {(member.mtime, member.uid, member.uname) for member in shard.getmembers()} == {(0, 0, "")}
        content = shard.extractfile("p004.photo.png")
        assert content is not None and content.read() == encoded(4).members["photo"]


def test_the_manifest_lists_every_photo_with_the_reason(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "people") / "manifest.parquet")
    assert set(table.column_names) == {field.name for field in fields(PersonRecord)} | {"reason"}
    assert table["photo"].to_pylist()[3] == "q0.jpg" and table["reason"].to_pylist()[3] == "it is blank"
    assert table["reason"].null_count == 6 and table["id"].null_count == 2


def test_data_sets_survive_pickling(tmp_path: Path) -> None:
    people = PeopleDataset.open(write(tmp_path / "people"))
    before = people[4].photo
    packed = pickle.dumps(people)
    assert len(packed) < 2000  # the path, not the table
    assert np.array_equal(pickle.loads(packed)[4].photo, before)


def test_the_digest_depends_on_content_and_settings_not_on_the_place(tmp_path: Path) -> None:
    first = PeopleDataset.open(write(tmp_path / "a")).digest
    assert first == PeopleDataset.open(write(tmp_path / "b", shards=3, each=2)).digest
    assert first != PeopleDataset.open(write(tmp_path / "c", each=2)).digest
    with PeopleWriter(tmp_path / "d", resolution=SIDE, texel=TEXEL, origin="photos", settings={"a": 2},
                      plan="") as people:
        with people.shard(0) as one:
            for number in range(6):
                one.add(encoded(number))
        people.finish(1)
    assert first != PeopleDataset.open(tmp_path / "d").digest


def test_finished_shards_are_kept_and_half_ones_are_not(tmp_path: Path) -> None:
    whole = tree(write(tmp_path / "whole"))
    out = tmp_path / "people"
    with pytest.raises(KeyboardInterrupt), writer(out) as people:
        with people.shard(0) as one:
            for number in range(3):
                one.add(encoded(number))
            one.reject("q0.jpg", "it is blank")
        with people.shard(1) as one:
            one.add(encoded(3))
            raise KeyboardInterrupt
    assert not out.exists()
    (out.with_name("people.partial") / ".shard-00001.partial-77.tar").write_bytes(b"left by a killed process")
    with writer(out) as people:
        assert people.has(0) and not people.has(1)
        with people.shard(1) as one:
            for number in range(3, 6):
                one.add(encoded(number))
            one.reject("q1.jpg", "it is blank")
        people.finish(2)
    assert tree(out) == whole
    assert not out.with_name("people.partial").exists()


def test_shards_of_another_plan_are_thrown_away(tmp_path: Path) -> None:
    out = tmp_path / "people"
    with writer(out, "first") as people, people.shard(0) as one:
        one.add(encoded(0))
    with writer(out, "second") as people:
        assert not people.has(0)


def test_two_writers_of_one_data_set_do_not_mix(tmp_path: Path) -> None:
    with writer(tmp_path / "people"), pytest.raises(MachineError, match="another process"), writer(tmp_path / "people"):
        pass


def test_nobody_accepted_shows_the_first_reasons(tmp_path: Path) -> None:
    with writer(tmp_path / "people") as people:
        with people.shard(0) as one:
            for name in "abcde":
                one.reject(f"{name}.jpg", f"reason {name}")
        with pytest.raises(InputError, match=r"not one of 5 photos.*a\.jpg: reason a; b\.jpg: reason b"):
            people.finish(1)
    assert not list(tmp_path.iterdir())


def test_another_format_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "people")
    header = json.loads((folder / "people.json").read_text())
    (folder / "people.json").write_text(json.dumps({**header, "format": "photoshoot.people/9"}))
    with pytest.raises(DataError, match=rf"photoshoot\.people/9.*reads '{FORMAT}'"):
        PeopleDataset.open(folder)


@pytest.mark.parametrize("harm", ["people.json", "manifest.parquet"])
def test_torn_files_are_named(tmp_path: Path, harm: str) -> None:
    folder = write(tmp_path / "people")
    (folder / harm).write_bytes((folder / harm).read_bytes()[:40])
    with pytest.raises(DataError, match="torn") as caught:
        PeopleDataset.open(folder)
    assert caught.value.remedy


def test_a_torn_or_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "people")
    people = PeopleDataset.open(folder)
    shard = folder / "shard-00001.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    assert people[0].id == "p000"
    with pytest.raises(DataError, match=r"torn or missing shard") as caught:
        people[5]
    assert "shard-00001.tar" in str(caught.value)
    shard.unlink()
    with pytest.raises(DataError, match="torn or missing"):
        people[5]


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"people\.json is missing"):
        PeopleDataset.open(tmp_path)
