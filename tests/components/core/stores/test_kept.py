"""Folders that outlive the machine, on this disk and on gs://."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import gcs_bucket

from components.core.stores.kept import kept_folder, remove_all
from components.core.stores.storage import open_location


@pytest.fixture(params=["folder", "bucket"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "state")
        return
    with gcs_bucket("bucket") as bucket:
        yield f"{bucket}/state"


def test_what_one_machine_leaves_the_next_finds(state: str) -> None:
    with kept_folder(state, "reference") as first:
        assert first is not None
        (first / "deeper").mkdir(parents=True)
        (first / "deeper" / "a.json").write_text("1")
        (first / ".half-written").write_text("no")
    with pytest.raises(KeyboardInterrupt), kept_folder(state, "reference") as second:
        assert second is not None and (second / "deeper" / "a.json").read_text() == "1"
        (second / "b.json").write_text("2")
        raise KeyboardInterrupt  # what was done until then is kept
    with kept_folder(state, "other") as other:
        assert other is not None and not list(other.rglob("*"))
    assert open_location(f"{state}/reference").list() == ["b.json", "deeper/a.json"]


def test_without_a_state_nothing_is_kept() -> None:
    with kept_folder(None, "reference") as folder:
        assert folder is None


def test_what_is_removed_is_gone_and_nothing_else() -> None:
    with gcs_bucket("bucket") as bucket:
        for name in ("trials/0001/a", "trials/0001/deeper/b", "trials/0002/a"):
            open_location(bucket).write_bytes(name, b"x")
        remove_all(f"{bucket}/trials/0001")
        assert open_location(bucket).list() == ["trials/0002/a"]
