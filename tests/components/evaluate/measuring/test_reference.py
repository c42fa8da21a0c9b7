from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import EvaluateSettings
from components.evaluate.measuring import reference as room
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.measure import Instruments, Reals
from components.evaluate.measuring.reference import reference


@pytest.fixture(scope="module")
def looked(world):
    people = PeopleDataset.open(world.people)
    members = Identities.open(world.identities).members(people, "train")
    return Album(people), members, Instruments(EvaluateSettings(), "synthetic")


def same(first: Reals, second: Reals) -> bool:
    return all(np.array_equal(getattr(first, field.name), getattr(second, field.name)) for field in fields(Reals))


def test_what_was_measured_is_read_again_and_only_for_the_same_people(looked, tmp_path: Path, monkeypatch) -> None:
    album, members, instruments = looked
    first = reference(album, members, instruments, "photos", tmp_path)
    few = dict(list(members.items())[:1])
    assert len(reference(album, few, instruments, "photos", tmp_path).indices) < len(first.indices)
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(room, "measure_reals", None)  # measuring again would be an error now
    again = reference(album, members, instruments, "photos", tmp_path)
    assert same(first, again) and again.identities == first.identities


def test_a_torn_file_is_made_anew(looked, tmp_path: Path) -> None:
    album, members, instruments = looked
    few = dict(list(members.items())[:1])
    first = reference(album, few, instruments, "photos", tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert same(first, reference(album, few, instruments, "photos", tmp_path))
    assert kept.stat().st_size > 100
