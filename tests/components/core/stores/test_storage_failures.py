"""Transfers whose process is killed, and a service that is sometimes unavailable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import GcsProxy, gcs_proxy

from components.core.stores import storage
from components.core.stores.storage import open_location

FILES = {f"shard-{number:03d}.tar": bytes([number]) * 200_000 for number in range(150)}


@pytest.fixture
def before() -> Iterator[GcsProxy]:
    with gcs_proxy("bucket") as proxy:
        yield proxy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, data in {**FILES, "people.json": b"{}"}.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_service_that_is_unavailable_is_asked_again(before: GcsProxy, source: Path, tmp_path: Path) -> None:
    for path in sorted(source.glob("shard-*"))[4:]:
        path.unlink()
    before.refuse = lambda number, kind: kind not in before.refused
    place = open_location("gs://bucket/set")
    assert place.upload(source) == 5
    assert place.download(tmp_path / "back") == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()}
    assert any("POST" in kind for kind in before.refused) and any("GET" in kind for kind in before.refused)


@pytest.mark.parametrize("direction", ["upload", "download", "mirror"])
def test_a_killed_transfer_leaves_nothing_that_looks_whole(
        before: GcsProxy, source: Path, tmp_path: Path, direction: str) -> None:
    place, copy = open_location("gs://bucket/set"), tmp_path / "copy"
    code = {"upload": "open_location('gs://bucket/set').upload(Path(sys.argv[1]))",
            "download": "open_location('gs://bucket/set').download(Path(sys.argv[2]))",
            "mirror": "mirror(open_location('gs://bucket/set'), Path(sys.argv[2]))"}[direction]
    if direction != "upload":
        place.upload(source)
    before.pause = 0.02
    process = subprocess.Popen(
        [sys.executable, "-c",
         f"import sys; from pathlib import Path\nfrom components.core.stores.storage import *\n{code}",
         str(source), str(copy)], cwd=Path(storage.__file__).parents[3])
    begun = {"upload": lambda: len(place.list()) > 20,
             "download": lambda: any(len(list(one.iterdir())) > 70 for one in tmp_path.glob("copy.partial-*")),
             "mirror": lambda: copy.is_dir() and len(list(copy.glob("shard-*"))) > 20}[direction]
    while not begun():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before.pause = 0.0
    if direction == "upload":
        assert len(place.list()) < len(FILES) and not place.exists("people.json")
        assert all(place.read_bytes(name) == FILES[name] for name in place.list()[::10])
    elif direction == "download":
        assert not copy.exists()
    else:
        there = {path.name: path.read_bytes() for path in copy.glob("shard-*")}
        assert 20 < len(there) < len(FILES) and there.items() <= FILES.items()
        assert storage.mirror(place, copy) <= len(FILES) + 1 - len(there) + 64  # of the last batch nothing was noted
        assert {path.name for path in copy.iterdir()} == {*FILES, "people.json"}
