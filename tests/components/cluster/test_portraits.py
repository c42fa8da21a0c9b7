import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from components.cluster import cluster_portraits
from components.cluster.faces.subjects import NO_FACE_FOUND, PortraitSubjects, numbered
from components.core.errors import InputError, MachineError
from components.core.faces import detect
from components.core.pictures.images import read_photo, write_png
from components.core.settings import ClusterSettings


@pytest.fixture
def lfw(shared_data: Path) -> Path:
    folder = shared_data / "faces" / "lfw10x10"
    if not folder.is_dir():
        pytest.skip("no portraits beside the repository")
    return folder


def test_ten_people_are_found_among_a_hundred_portraits(lfw: Path, tmp_path: Path) -> None:
    found = cluster_portraits(lfw, tmp_path / "out", ClusterSettings(embedder="dlib"))
    assert found.summary.bcubed is not None and found.summary.bcubed.f is not None
    assert found.summary.bcubed.precision == 1.0 and found.summary.bcubed.f >= 0.99
    assert found.summary.labelled == 100 and sum(map(len, found.identities.values())) == 100
    assert found.summary.set_aside == []
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["nearest_across"]["distance"] > scores["nearest_across"]["threshold"] > 0.25
    assert (tmp_path / "out" / "montage.png").is_file()


def test_what_is_no_face_is_set_aside(lfw: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "iuv").mkdir(parents=True)
    some = sorted(lfw.glob("*/*.jpg"))[::10][:3]
    for path in some:
        shutil.copy(path, photos / path.name)
        shutil.copy(path, photos / "iuv" / path.name)
    (photos / "broken.jpg").write_bytes(b"no photo")
    write_png(photos / "wall.png", np.full((200, 200, 3), 120, np.uint8))
    found = cluster_portraits(photos, None, ClusterSettings(embedder="dlib"))
    assert found.summary.k == 3 and found.summary.bcubed is None
    reasons = {one["photo"]: one["reason"] for one in found.summary.set_aside}
    assert reasons.pop("wall.png") == NO_FACE_FOUND
    assert "known format" in reasons.pop("broken.jpg") and not reasons


def test_the_largest_face_is_aligned_at_any_size(lfw: Path) -> None:
    import cv2

    photo = read_photo(sorted(lfw.glob("*/*.jpg"))[0])
    one = detect.largest_face(photo)
    assert one is not None and one.chip.shape == (150, 150, 3) and 150 < one.head < 400 and one.others == 0
    twice = detect.largest_face(np.asarray(cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)))
    assert twice is not None and twice.head == pytest.approx(3 * one.head, rel=0.1)
    assert np.abs(twice.chip.astype(float) - one.chip).mean() < 12
    small = detect.largest_face(np.asarray(cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)))
    assert small is not None and small.head == pytest.approx(one.head / 2, rel=0.15)


def test_without_a_detector_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "dlib", None)
    detect._detector.cache_clear()
    with pytest.raises(MachineError, match="dlib-bin"):
        next(PortraitSubjects(tmp_path).faces())


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        PortraitSubjects(tmp_path / "nothing")
    with pytest.raises(InputError, match="no photos"):
        PortraitSubjects(tmp_path)
    write_png(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8))
    (tmp_path / "labels.csv").write_text("name,who\na.png,ann\n")
    with pytest.raises(InputError, match="photo and identity"):
        PortraitSubjects(tmp_path)


def test_repeated_photos_have_different_keys() -> None:
    assert numbered(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]
