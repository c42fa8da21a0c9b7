"""A small world with validation people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Assignment, Identities


@pytest.fixture(scope="session")
def folk(world: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(people, identities): two people to train on, six to validate."""
    people = PeopleDataset.open(world.people)
    names = sorted(set(people.labels.values()))
    rows = []
    for name, seen in zip(people.ids, people.column("face_seen"), strict=True):
        label = people.labels[name] if seen else None
        split = None if label is None else "train" if label in names[:2] else "validation"
        rows.append(Assignment(name, label, 1.0, split))
    folder = tmp_path_factory.mktemp("tune") / "identities"
    folder.mkdir()
    Identities(rows, people.digest, {}).write(folder)
    return world.people, folder
