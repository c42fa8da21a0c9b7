"""YuNet and SFace on real photos beside the repository; what needs none runs anywhere the networks come to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from networks import needs_weights

from components.core.errors import DataError
from components.core.faces.recognition import load_embedder
from components.core.faces.sface import SAME_PERSON
from components.core.faces.yunet import FoundFace, faces_in
from components.core.pictures.images import read_photo


@pytest.fixture
def portraits(shared_data: Path) -> list[np.ndarray]:
    """Two people, three photos each."""
    needs_weights("yunet", "sface")
    folder = shared_data / "faces" / "lfw10x10"
    if not folder.is_dir():
        pytest.skip("no portraits beside the repository")
    return [read_photo(path) for name in ("Ariel_Sharon", "Tony_Blair")
            for path in sorted((folder / name).glob("*.jpg"))[1:4]]


def _middle_one(photo: np.ndarray) -> FoundFace:
    middle = np.asarray(photo.shape[1::-1]) / 2
    return min(faces_in(photo), key=lambda face: float(np.hypot(*(np.asarray(face.middle) - middle))))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_photo_gives_the_same_upright_face(portraits: list[np.ndarray], quarters: int) -> None:
    for photo in portraits[::3]:
        one, other = _middle_one(photo), _middle_one(np.ascontiguousarray(np.rot90(photo, quarters)))
        assert (one.quarters, other.quarters) == (0, 4 - quarters)
        assert other.size == pytest.approx(one.size, rel=0.02)
        turned = np.ascontiguousarray(np.rot90(photo, quarters))
        assert np.abs(one.chip(photo).astype(int) - other.chip(turned).astype(int)).mean() < 1


def test_a_face_is_found_at_any_size(portraits: list[np.ndarray]) -> None:
    photo = portraits[1]
    one = _middle_one(photo)
    eyes = one.points[1] - one.points[0]
    assert eyes[0] > 20 and abs(eyes[1]) < eyes[0] / 2
    for scale in (0.2, 3.0, 12.0):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        other = _middle_one(np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method)))
        assert other.size == pytest.approx(scale * one.size, rel=0.2)
        assert np.abs(other.points - scale * one.points).max() < 0.3 * scale * eyes[0]
    # A face of 20 px in a photo of 3000 px: only seen when looked at closely.
    wall = np.full((2000, 3000, 3), 128, np.uint8)
    small = np.asarray(cv2.resize(photo, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA))
    wall[1200:1200 + len(small), 500:500 + small.shape[1]] = small
    assert [round(face.middle[0] / 50) for face in faces_in(wall)] == [round((500 + 0.2 * one.middle[0]) / 50)]


def test_several_faces_largest_first_and_none_on_a_wall(portraits: list[np.ndarray]) -> None:
    first, second = portraits[1], np.asarray(cv2.resize(portraits[4], None, fx=0.6, fy=0.6))
    both = np.full((250, 400, 3), 90, np.uint8)
    both[:, :250], both[50:50 + len(second), 250:250 + second.shape[1]] = first, second
    found = faces_in(both)
    assert len(found) == 2 and found[0].size > found[1].size and found[0].middle[0] < 250 < found[1].middle[0]
    assert faces_in(np.full((200, 300, 3), 120, np.uint8)) == []
    assert faces_in(np.zeros((1, 1, 3), np.uint8)) == []


def test_narrow_pictures_hold_no_faces_whatever_memory_held_before() -> None:
    needs_weights("yunet")
    look = ("import numpy as np; from components.core.faces.yunet import faces_in\n"
            "for side in (1, 7, 16, 20, 31): assert faces_in(np.full((350, side, 3), 90, np.uint8)) == []")
    for filler in ("1", "113", "255"):  # glibc fills what it hands out with it
        subprocess.run([sys.executable, "-c", look], env=os.environ | {"MALLOC_PERTURB_": filler}, check=True,
                       timeout=120)


def test_sface_tells_people_apart_and_gives_the_same_in_every_thread(portraits: list[np.ndarray]) -> None:
    embedder = load_embedder("sface")
    chips = np.stack([_middle_one(photo).chip(photo) for photo in portraits])
    faces = torch.from_numpy(chips).permute(0, 3, 1, 2).float() / 127.5 - 1
    vectors = embedder(faces)
    assert vectors.shape == (6, 128) and torch.allclose(vectors.norm(dim=1), torch.ones(6), atol=1e-5)
    apart = torch.cdist(vectors, vectors)
    assert apart[:3, :3].max() < SAME_PERSON and apart[3:, 3:].max() < SAME_PERSON and apart[:3, 3:].min() > SAME_PERSON
    assert embedder(faces[:0]).shape == (0, 128)
    found: dict[int, torch.Tensor] = {}
    threads = [threading.Thread(target=lambda at=at: found.update({at: embedder(faces)})) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[at], vectors) for at in range(3))


def test_a_damaged_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "face_recognition_sface_2021dec.onnx").write_bytes(b"nothing")
    monkeypatch.setenv("PHOTOSHOOT_WEIGHTS", str(tmp_path))
    with pytest.raises(DataError, match="sface_2021dec"):
        load_embedder("sface")
