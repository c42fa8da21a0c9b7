"""Photos in a folder and in a bucket (an emulator over HTTP); writing to a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from servers import gcs_bucket

from components.core.errors import InputError
from components.core.stores.storage import open_location
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.photos import Maker, lacking, photos, writable

BUCKET = "pictures"
H, W = 60, 40


def _metric() -> np.ndarray:
    """A head over a torso; U and V run across each."""
    iuv = np.zeros((H, W, 3), np.uint8)
    for part, rows, columns in ((23, (4, 16), (14, 26)), (2, (16, 56), (8, 32))):
        height, width = rows[1] - rows[0], columns[1] - columns[0]
        y, x = np.mgrid[:height, :width]
        block = np.stack([np.full((height, width), part), 10 + x * 240 // width, 10 + y * 240 // height], -1)
        iuv[rows[0] : rows[1], columns[0] : columns[1]] = block
    return iuv


def _folder(root: Path, count: int = 4, *, turned: int = 0, maps: int | None = None) -> Path:
    """Photos with pose maps, the first `turned` of them as (V, U, I), the first `maps` with any at all."""
    (root / "iuv").mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full((H, W, 3), 90 + index, np.uint8)).save(root / f"p{index}.png")
        if maps is None or index < maps:
            iuv = _metric()
            Image.fromarray(iuv[..., ::-1] if index < turned else iuv).save(root / "iuv" / f"p{index}.png")
    return root


def _level(findings: list[Finding], what: str) -> Level:
    (found,) = [one for one in findings if one.what == what]
    return found.level


@pytest.fixture(scope="module")
def emulator() -> Iterator[None]:
    with gcs_bucket(BUCKET):
        yield


@pytest.fixture(params=["folder", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[object]:
    """Bring a local folder to where it is looked at: nowhere else, or a bucket."""
    if request.param == "folder":
        yield str
        return
    request.getfixturevalue("emulator")

    def upload(folder: Path) -> str:
        address = f"gs://{BUCKET}/{folder.parent.name}/{folder.name}"
        open_location(address).upload(folder)
        return address

    yield upload


def test_good_photos_are_told_with_their_order(place, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "good", 9, turned=9)
    (folder / "labels.csv").write_text("photo,identity\np0.png,ann\np1.png,ben\np2.png,ben\n")
    found = photos(place(folder), Maker())
    assert all(one.level == Level.OK for one in found), found
    told = {one.what: one.found for one in found}
    assert told["photos"].startswith("9 photos at ") and "as VUI" in told["pose maps"]
    assert told["labels"] == "3 of 9 photos, 2 identities"


def test_what_is_wrong_with_pose_maps_is_named(place, tmp_path: Path) -> None:
    assert _level(photos(place(_folder(tmp_path / "mixed", turned=2)), Maker()), "pose maps") == Level.WARNING
    folder = _folder(tmp_path / "size")
    Image.fromarray(np.zeros((30, 20, 3), np.uint8)).save(folder / "p2.png")
    (found,) = [one for one in photos(place(folder), Maker()) if one.what == "pose maps"]
    assert found.level == Level.WARNING and "1 of 4" in found.found and "p2.png: the pose map is 40 x 60" in found.found
    for path in (folder / "iuv").iterdir():
        path.write_bytes(b"torn")
    assert _level(photos(place(folder), Maker()), "pose maps") == Level.PROBLEM


@pytest.mark.parametrize(("pose_maps", "there", "levels", "told"), [
    ("auto", (), (Level.PROBLEM, Level.WARNING, Level.OK), "ai-edge-litert is not installed"),
    ("auto", ("ai_edge_litert",), (Level.OK,) * 3, "landmarks make them"),
    ("given", ("ai_edge_litert", "densepose"), (Level.PROBLEM, Level.WARNING, Level.OK), "they are left out"),
    ("densepose", ("ai_edge_litert",), (Level.PROBLEM, Level.WARNING, Level.OK), "DensePose is not installed"),
    ("densepose", ("densepose",), (Level.OK,) * 3, "DensePose makes them"),
    ("landmarks", (), (Level.PROBLEM,) * 3, "landmarks make all"),
    ("landmarks", ("ai_edge_litert",), (Level.OK,) * 3, "landmarks make all"),
])
def test_what_makes_missing_pose_maps_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pose_maps,
                                                      there: tuple[str, ...], levels: tuple[Level, ...],
                                                      told: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    what = "photos without a pose map"
    for maps, level in zip((0, 3, 4), levels, strict=True):
        (found,) = [one for one in photos(_folder(tmp_path / f"{maps}", maps=maps), Maker(pose_maps))
                    if one.what == what]
        assert found.level == level
        if maps < 4 and not (pose_maps == "landmarks" and not there):
            assert told in found.found
    assert _level(photos(_folder(tmp_path / "else", maps=0), Maker(pose_maps, elsewhere=True)), what) == (
        Level.PROBLEM if pose_maps == "given" else Level.OK)


def test_whether_photos_lack_pose_maps_is_looked_up_where_they_are(tmp_path: Path) -> None:
    assert lacking(_folder(tmp_path / "some", maps=3)) and not lacking(_folder(tmp_path / "all"))
    assert lacking("gs://somewhere/photos") and lacking(tmp_path / "gone")


def test_labels_that_name_no_photo_and_places_without_photos(place, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "labels")
    (folder / "labels.csv").write_text("photo,identity\nnobody.png,ann\n")
    with pytest.raises(InputError, match=r"nobody\.png, which is not there"):
        photos(place(folder), Maker())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("-")
    with pytest.raises(InputError, match="no photos"):
        photos(place(tmp_path / "empty"), Maker())


def test_a_bucket_is_written_read_and_left_as_it_was(emulator: None, tmp_path: Path) -> None:
    address = f"gs://{BUCKET}/runs/here"
    (found,) = writable(address)
    assert found.level == Level.OK and open_location(address).list() == []
    (found,) = writable(str(tmp_path / "out"))
    assert found.level == Level.OK and open_location(tmp_path / "out").list() == []
    (found,) = writable("gs://no-such-bucket/runs")
    assert found.level == Level.PROBLEM and "no such bucket" in found.found
