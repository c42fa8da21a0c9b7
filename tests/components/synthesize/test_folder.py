"""The folder: what a user would bring, the same bytes for the same seed, whole or not at all."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.photos import SYNTHETIC_FORMAT as FORMAT
from components.core.errors import InputError, MachineError
from components.synthesize import folder as folders
from components.synthesize.bench import bench
from components.synthesize.folder import synthesize


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_folder_holds_what_a_user_would_bring(folder: Any) -> None:
    out = folder.folder
    assert sorted(p.name for p in out.iterdir()) == ["iuv", "labels.csv", "photos", "synthetic.json", "truth"]
    stems = sorted(p.stem for p in (out / "photos").glob("*.jpg"))
    assert len(stems) == folder.photos == 6
    assert stems == sorted(p.stem for p in (out / "iuv").glob("*.png"))
    assert stems == sorted(p.stem for p in (out / "truth" / "matte").glob("*.png"))
    with (out / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["photo"]).stem for row in rows] == stems
    assert len({row["identity"] for row in rows}) == folder.people == 3
    marker = json.loads((out / "synthetic.json").read_text())
    assert marker["format"] == FORMAT and marker["settings"]["people"] == 3
    truth = json.loads((out / "truth" / "people.json").read_text())["photos"]
    assert {"photo", "identity", "outfit", "yaw", "back", "head_box"} <= set(truth[0])
    assert len({(t["identity"], t["outfit"]) for t in truth}) == 6, "each outfit appears"


def test_pose_maps_are_rgb_i_u_v_to_pillow(folder: Any) -> None:
    for path in (folder.folder / "iuv").glob("*.png"):
        with Image.open(path) as image:
            iuv = np.asarray(image)
        assert image.mode == "RGB" and iuv.shape == (96, 72, 3)
        assert iuv[..., 0].max() <= 24 and iuv[..., 1].max() > 24 and iuv[..., 2].max() > 24


def test_same_seed_same_bytes_whatever_the_workers(folder: Any, studio: Any, tmp_path: Path) -> None:
    synthesize(tmp_path / "two", studio.settings(), workers=2)
    assert digests(tmp_path / "two") == digests(folder.folder)


def test_another_seed_and_another_range_are_other_people(folder: Any, studio: Any, tmp_path: Path) -> None:
    synthesize(tmp_path / "seed", studio.settings(seed=-5), workers=1)
    synthesize(tmp_path / "tail", studio.settings(people=1, first_person=2), workers=1)
    synthesize(tmp_path / "next", studio.settings(people=1, first_person=3), workers=1)
    here, tail = digests(folder.folder), digests(tmp_path / "tail")
    photos = {name: digest for name, digest in here.items() if name.startswith("photos/")}
    assert not set(photos.values()) & set(digests(tmp_path / "seed").values())
    assert not set(photos) & set(digests(tmp_path / "next"))
    shared = {name for name in tail if name.startswith(("photos/", "iuv/"))}
    assert shared and all(tail[name] == here[name] for name in shared), "identity 2 is the same person either way"


def test_mattes_can_be_written_beside_the_photos(studio: Any, tmp_path: Path) -> None:
    out = synthesize(tmp_path / "m", studio.settings(people=1, write_mattes=True), workers=1).folder
    assert digests(out / "matte") == digests(out / "truth" / "matte")


def test_photos_can_be_written_without_pose_maps(folder: Any, studio: Any, tmp_path: Path) -> None:
    out = synthesize(tmp_path / "plain", studio.settings(write_maps=False), workers=1).folder
    plain, whole = digests(out), digests(folder.folder)
    assert {name for name in whole if name not in plain} == {name for name in whole if name.startswith("iuv/")}
    assert all(whole[name] == digest for name, digest in plain.items() if name != "synthetic.json")
    assert not (out / "iuv").exists()


def test_running_again_replaces_what_it_wrote(studio: Any, tmp_path: Path) -> None:
    settings = studio.settings(people=1, photos_per_person=1)
    before = digests(synthesize(tmp_path / "x", settings, workers=1).folder)
    (tmp_path / "x" / "stray.txt").write_text("left over")
    assert digests(synthesize(tmp_path / "x", settings, workers=1).folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_of_somebody_else_is_left_alone(studio: Any, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(InputError, match="not empty"):
        synthesize(tmp_path, studio.settings(), workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("broken_at", ["photos", "tables", "rename"])
def test_a_failure_leaves_nothing_that_looks_whole(
    broken_at: str, studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = studio.settings(people=2, photos_per_person=1)
    before = digests(synthesize(tmp_path / "x", settings, workers=1).folder)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if broken_at == "rename":
        rename = os.replace
        monkeypatch.setattr("os.replace", lambda source, to: full() if Path(to).name == "x" and
                            ".old" not in str(source) else rename(source, to))
    else:
        monkeypatch.setattr(folders, {"photos": "encode_photo", "tables": "_write_tables"}[broken_at], full)
    with pytest.raises(MachineError, match="no space left"):
        synthesize(tmp_path / "x", studio.settings(people=2, photos_per_person=1, seed=9), workers=1)
    assert [p.name for p in tmp_path.iterdir()] == ["x"], "no draft is left behind"
    assert digests(tmp_path / "x") == before, "the finished folder is as it was"


def test_a_file_where_a_folder_should_be_is_named(studio: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"file: is a file"):
        synthesize(tmp_path / "file" / "people", studio.settings(), workers=1)


def test_a_read_only_place_is_named(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))

    monkeypatch.setattr("components.core.atomic.sweep", read_only)  # the first that looks at the place
    with pytest.raises(MachineError, match="read-only"):
        synthesize(tmp_path / "people", studio.settings(), workers=1)
    assert not list(tmp_path.iterdir())


def test_progress_is_told_of_every_person(studio: Any, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    def watch(items: Any, label: str, total: int) -> Any:
        for item in items:
            told.append((label, total))
            yield item

    synthesize(tmp_path / "x", studio.settings(photos_per_person=1), progress=watch, workers=1)
    assert told == [("synthesize people", 3)] * 3


def test_bench_reports_rate_and_floor() -> None:
    result = bench(people=1, height=64)
    assert result["images_per_s"] > 1
    assert result["times_floor"] >= 1
