import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import DataError, InputError
from components.core.people.identities import SCORES, TABLE, Assignment, Identities, Pairs, singles


@dataclass
class People:
    ids: list[str] = field(default_factory=lambda: ["a", "b", "c", "d", "e", "f"])
    digest: str = "people-1"


ROWS = [
    Assignment("a", "person-0001", 0.9, "train"),
    Assignment("b", "person-0002", 0.8, "test"),
    Assignment("c", None, 0.0, None),
    Assignment("d", "person-0001", 0.7, "train"),
    Assignment("e", "person-0003", 1.0, "train"),
    Assignment("f", "person-0002", 0.25, "test"),
]


@given(st.lists(st.integers(0, 6), max_size=8))
def test_pairs_are_a_bijection_onto_the_ordered_pairs_within_groups(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    indices = np.random.default_rng(0).permutation(len(labels))
    groups = [indices[labels == k] for k in range(len(sizes))]
    pairs = Pairs(groups)
    expected = {(i, j) for group in groups for i in group.tolist() for j in group.tolist() if i != j}
    listed = [pairs[k] for k in range(len(pairs))]
    assert len(pairs) == sum(n * (n - 1) for n in sizes) == len(listed)
    assert set(listed) == expected


def test_pairs_refuse_indices_outside() -> None:
    pairs = Pairs([np.array([4, 7])])
    assert list(pairs) == [(4, 7), (7, 4)]
    for k in (-1, 2):
        with pytest.raises(IndexError):
            pairs[k]
    assert len(Pairs([])) == 0


def test_addressing_pairs_of_a_million_photos_is_arithmetic() -> None:
    pairs = Pairs([np.arange(1_000_000), np.array([1_000_000, 1_000_001])])
    assert len(pairs) == 1_000_000 * 999_999 + 2
    assert pairs[0] == (0, 1)
    assert pairs[1_000_000 * 999_999 - 1] == (999_999, 999_998)
    assert pairs[len(pairs) - 1] == (1_000_001, 1_000_000)
    start = time.perf_counter()
    for k in range(0, len(pairs), len(pairs) // 1000):
        pairs[k]
    assert time.perf_counter() - start < 1.0


def test_singles_are_the_people_with_one_photo() -> None:
    groups = [np.array([3, 5]), np.array([9]), np.array([], int), np.array([2])]
    assert singles(groups).tolist() == [9, 2]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = Identities(ROWS, "people-1", {"bcubed": None, "k": 3})
    written.write(tmp_path)
    read = Identities.open(tmp_path)
    assert read.digest == written.digest
    assert read.scores == {"bcubed": None, "k": 3}
    assert read.of("c") is None and read.of("e") == "person-0003"
    members = read.members(People(), "train")
    assert {name: group.tolist() for name, group in members.items()} == {"person-0001": [0, 3], "person-0003": [4]}
    assert read.members(People(), "validation") == {}
    assert not list(tmp_path.glob("*partial*"))


def test_digest_follows_content() -> None:
    digest = Identities(ROWS, "people-1", {}).digest
    assert Identities(ROWS, "people-1", {"other": 1}).digest == digest
    assert Identities(ROWS, "people-2", {}).digest != digest
    assert Identities([*ROWS[:-1], replace(ROWS[-1], confidence=0.5)], "people-1", {}).digest != digest


def test_identities_of_other_people_are_refused() -> None:
    identities = Identities(ROWS, "people-1", {})
    with pytest.raises(DataError, match="another people data set"):
        identities.members(People(digest="people-2"), "train")
    with pytest.raises(DataError, match="person z has no row"):
        identities.of("z")


def test_an_identity_in_two_splits_is_refused() -> None:
    rows = [*ROWS, Assignment("g", "person-0001", 1.0, "test")]
    with pytest.raises(DataError, match="person-0001 is in two splits"):
        Identities(rows, "people-1", {})


def test_missing_torn_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="photoshoot cluster"):
        Identities.open(tmp_path / "nothing")
    Identities(ROWS, "people-1", {}).write(tmp_path)
    table = pq.read_table(tmp_path / TABLE)
    pq.write_table(table.replace_schema_metadata({"format": "photoshoot.identities/9"}), tmp_path / TABLE)
    with pytest.raises(DataError, match="identities/9"):
        Identities.open(tmp_path)
    whole = (tmp_path / TABLE).read_bytes()
    (tmp_path / TABLE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        Identities.open(tmp_path)
    Identities(ROWS, "people-1", {}).write(tmp_path)
    (tmp_path / SCORES).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Identities.open(tmp_path)
