import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import needs_weights

from components.cluster import cluster_portraits
from components.cluster.covers import SAID
from components.cluster.faces.portraits import portrait
from components.cluster.faces.subjects import NO_FACE_FOUND, PortraitSubjects, numbered
from components.cluster.run import NOT_PLAIN
from components.core.errors import InputError
from components.core.pictures.images import read_photo, write_png
from components.core.settings import ClusterSettings


@pytest.fixture
def lfw(shared_data: Path) -> Path:
    needs_weights("yunet", "sface")
    folder = shared_data / "faces" / "lfw10x10"
    if not folder.is_dir():
        pytest.skip("no portraits beside the repository")
    return folder


@pytest.mark.parametrize("embedder", ["auto", pytest.param("dlib", marks=pytest.mark.long)])
def test_ten_people_are_found_among_a_hundred_portraits(lfw: Path, tmp_path: Path, embedder: str) -> None:
    found = cluster_portraits(lfw, tmp_path / "out", ClusterSettings(embedder=embedder))
    assert found.summary.bcubed is not None and found.summary.bcubed.f is not None
    assert found.summary.bcubed.precision == 1.0 and found.summary.bcubed.f >= 0.98
    assert found.summary.labelled == sum(map(len, found.identities.values())) >= 98
    # Two are in shadow, or with dark glasses of their own.
    assert {one["reason"] for one in found.summary.set_aside} <= {NOT_PLAIN.format(SAID["eyes"])}
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
    found = cluster_portraits(photos, None, ClusterSettings())
    assert found.summary.k == 3 and found.summary.bcubed is None
    reasons = {one["photo"]: one["reason"] for one in found.summary.set_aside}
    assert reasons.pop("wall.png") == NO_FACE_FOUND
    assert "known format" in reasons.pop("broken.jpg") and not reasons


def test_the_face_is_aligned_at_any_size_and_turn(lfw: Path) -> None:
    photo = read_photo(sorted(lfw.glob("*/*.jpg"))[0])
    one = portrait(photo, "alone")
    assert one.chip.shape == (150, 150, 3) and 150 < one.head < 250 and one.others == 0
    for scale, method in ((3.0, cv2.INTER_CUBIC), (0.5, cv2.INTER_AREA)):
        other = portrait(np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method)), "alone")
        assert other.head == pytest.approx(scale * one.head, rel=0.1)
        assert np.abs(other.chip.astype(float) - one.chip).mean() < 25  # of two people 50
    side = portrait(np.ascontiguousarray(np.rot90(photo)), "alone")
    assert np.abs(side.chip.astype(float) - one.chip).mean() < 3


def test_of_two_faces_nobody_is_taken_unless_told_whom(lfw: Path, tmp_path: Path) -> None:
    some = [read_photo(path) for path in sorted(lfw.glob("*/*.jpg"))[:50:10]]
    one, other = some[0], some[2]
    small = np.full_like(other, 90)
    small[50:200, 50:200] = cv2.resize(other, (150, 150), interpolation=cv2.INTER_AREA)
    for number, pixels in enumerate((*some, np.hstack([small, one]))):
        write_png(tmp_path / f"{number}.png", pixels)
    found = cluster_portraits(tmp_path, None, ClusterSettings())
    assert [(row["photo"], row["reason"].split(",")[0]) for row in found.summary.set_aside] == [("5.png", "2 faces")]
    with_largest = cluster_portraits(tmp_path, None, ClusterSettings(person="largest"))
    assert ["0.png", "5.png"] in with_largest.identities.values()
    moved = np.hstack([small, one[:, :130]])  # the smaller face is nearer the middle now
    assert np.abs(portrait(moved, "centre").chip.astype(float) - portrait(small, "alone").chip).mean() < 25
    # Somebody in the middle is the subject, whoever stands at the side.
    with_bystander = np.hstack([one, small[:, 50:200]])
    framed = np.hstack([np.full((250, 150, 3), 90, np.uint8), with_bystander])
    assert portrait(framed, "alone").others == 1
    assert np.abs(portrait(framed, "alone").chip.astype(float) - portrait(one, "alone").chip).mean() < 25


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
