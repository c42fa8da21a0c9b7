import json
import pickle
import random
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.artifacts.people import FORMAT
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError
from components.core.people.assembly import assemble
from components.core.people.dataset import FACE, MEMBERS, PeopleDataset, PersonRecord
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png
from components.core.pictures.texture import to_picture

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


def plan_of(shards: int, inputs: str = "inputs", **settings: int) -> Plan:
    return Plan(inputs, SIDE, TEXEL, "photos", settings, shards)


def fill(work: Path, plan: Plan, numbers: Iterable[int], each: int = 3) -> Path:
    with PartWriter(work, plan) as part:
        for shard in numbers:
            with part.shard(shard) as one:
                for number in range(shard * each, (shard + 1) * each):
                    one.add(encoded(number))
                one.reject(f"q{shard}.jpg", "it is blank")
    return work


def nothing_repeated(hashes: Mapping[str, str]) -> dict[str, str]:
    return {}


def write(out: Path, shards: int = 2, each: int = 3, **settings: int) -> Path:
    work = fill(out.with_name(f"{out.name}-work"), plan_of(shards, **settings), range(shards), each)
    assemble([work], out, nothing_repeated)
    shutil.rmtree(work)
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
    with pytest.raises(DataError, match="no person"):
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
    assert first != PeopleDataset.open(write(tmp_path / "d", a=2)).digest


def test_finished_shards_are_kept_and_half_ones_are_not(tmp_path: Path) -> None:
    work = tmp_path / "work"
    fill(work, plan_of(2), [0])
    kept = tree(work)
    with pytest.raises(KeyboardInterrupt), PartWriter(work, plan_of(2)) as part, part.shard(1) as one:
        one.add(encoded(3))
        raise KeyboardInterrupt
    assert tree(work) == kept
    (work / ".shard-00001.partial-77.tar").write_bytes(b"left by a killed process")
    with PartWriter(work, plan_of(2)) as part:
        assert part.has(0) and not part.has(1)
    fill(work, plan_of(2), [1])
    assemble([work], tmp_path / "people", nothing_repeated)
    assert tree(tmp_path / "people") == tree(write(tmp_path / "whole"))


@pytest.mark.parametrize("other", [plan_of(2, "other photos"), plan_of(2, a=3), plan_of(3)])
def test_shards_of_another_plan_are_thrown_away(tmp_path: Path, other: Plan) -> None:
    work = fill(tmp_path / "work", plan_of(2), [0])
    with PartWriter(work, other) as part:
        assert not part.has(0)
    assert {path.name for path in work.iterdir()} == {".lock", "plan.json"}


def test_two_writers_of_one_folder_do_not_mix(tmp_path: Path) -> None:
    with (PartWriter(tmp_path / "work", plan_of(1)), pytest.raises(MachineError, match="another process"),
          PartWriter(tmp_path / "work", plan_of(1))):
        pass


def test_nobody_accepted_shows_the_first_reasons(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "work", plan_of(1)) as part, part.shard(0) as one:
        for name in "abcde":
            one.reject(f"{name}.jpg", f"reason {name}")
    with pytest.raises(InputError, match=r"none of the 5 photos.*a\.jpg: reason a; b\.jpg: reason b"):
        assemble([tmp_path / "work"], tmp_path / "people", nothing_repeated)
    assert not (tmp_path / "people").exists()


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5), st.randoms())
@settings(max_examples=12, deadline=None)
def test_parts_in_any_number_and_order_give_the_same_bytes(owners: list[int], dice: random.Random) -> None:
    """Whoever wrote which shard leaves no trace, and nothing of the parts is changed."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        expected = tree(write(root / "whole", shards=5, each=2))
        parts = [fill(root / f"part-{one}", plan_of(5), [n for n in range(5) if owners[n] == one], 2)
                 for one in range(4)]
        before = [tree(part) for part in parts]
        dice.shuffle(parts)
        assert assemble(parts, root / "people", nothing_repeated) == (10, 5)
        assert tree(root / "people") == expected
        assert sorted(map(str, before)) == sorted(str(tree(part)) for part in parts)


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", plan_of(2), [0])
    with pytest.raises(DataError, match="shard 1 of 2 is in none of 1 parts"):
        assemble([one], tmp_path / "people", nothing_repeated)
    with pytest.raises(DataError, match="other photos, settings or code"):
        assemble([one, fill(tmp_path / "two", plan_of(2, "other photos"), [1])], tmp_path / "people", nothing_repeated)
    with pytest.raises(DataError, match=r"plan\.json is missing"):
        assemble([one, tmp_path / "nothing"], tmp_path / "people", nothing_repeated)
    two = fill(tmp_path / "two", plan_of(2), [1])
    (two / "shard-00001.tar").unlink()
    with pytest.raises(DataError, match="lacks its shard"):
        assemble([one, two], tmp_path / "people", nothing_repeated)
    (two / "plan.json").write_text("{")
    with pytest.raises(DataError, match="damaged plan"):
        assemble([one, two], tmp_path / "people", nothing_repeated)
    assert not list(tmp_path.glob("people*"))


def test_repeated_pictures_leave_the_data_set_whichever_part_has_them(tmp_path: Path) -> None:
    """p001 and p004 look like p000; they are in two shards, and in the second way in two parts."""
    def alike(hashes: Mapping[str, str]) -> dict[str, str]:
        assert list(hashes) == [f"p{number:03d}" for number in range(6)]
        return {id: "p000" for id in ("p001", "p004") if hashes[id] == hashes["p000"]}

    looks = {0: "ff", 1: "ff", 4: "ff"}
    plan = plan_of(2)
    for name, groups in {"one": [(0, 1)], "two": [(1,), (0,)]}.items():
        parts = []
        for group in groups:
            parts.append(tmp_path / f"{name}-{group[0]}")
            with PartWriter(parts[-1], plan) as part:
                for shard in group:
                    with part.shard(shard) as one:
                        for number in range(shard * 3, shard * 3 + 3):
                            person = encoded(number)
                            record = replace(person.record, perceptual_hash=looks.get(number, f"{number:02x}"))
                            one.add(replace(person, record=record))
        assert assemble(parts, tmp_path / name, alike) == (4, 2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    people = PeopleDataset.open(tmp_path / "one")
    assert people.ids == ["p000", "p002", "p003", "p005"]
    assert [reason.split(" -- ")[0] for _, reason in people.rejected] == ["the same picture as p000.jpg"] * 2
    for number, person in zip((0, 2, 3, 5), people, strict=True):
        assert np.array_equal(person.photo, planes(number)["photo"])
    with tarfile.open(tmp_path / "one" / "shard-00000.tar") as shard:
        assert not any(name.startswith("p001") for name in shard.getnames())
    listed = pq.read_table(tmp_path / "one" / "shards.parquet").to_pylist()
    assert [row["sha256"] for row in listed] == [
        file_digest(tmp_path / "one" / f"shard-{number:05d}.tar") for number in range(2)]


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
    with pytest.raises(DataError, match="damaged") as caught:
        PeopleDataset.open(folder)
    assert caught.value.remedy


def test_a_torn_or_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "people")
    people = PeopleDataset.open(folder)
    shard = folder / "shard-00001.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    assert people[0].id == "p000"
    with pytest.raises(DataError, match=r"damaged or missing shard") as caught:
        people[5]
    assert "shard-00001.tar" in str(caught.value)
    shard.unlink()
    with pytest.raises(DataError, match="damaged or missing"):
        people[5]


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"people\.json is missing"):
        PeopleDataset.open(tmp_path)
