"""Real portraits, beside the repository, with faces covered, doubled and lying on their side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import needs_weights

from components.cluster import cluster_portraits
from components.cluster.faces.covered import COVERS, cover_of, with_cover
from components.cluster.members import read_members
from components.cluster.run import Sorted
from components.core.faces.yunet import FoundFace, faces_in
from components.core.pictures.images import read_photo, write_png
from components.core.settings import ClusterSettings

Draw = Callable[[np.ndarray, FoundFace, int], np.ndarray]


@pytest.fixture(scope="module")
def lfw(shared_data: Path) -> Path:
    needs_weights("yunet", "sface")
    folder = shared_data / "faces" / "lfw10x10"
    if not folder.is_dir():
        pytest.skip("no portraits beside the repository")
    return folder


def _axes(face: FoundFace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between the eyes; from the right one to the left; from the eyes to the mouth."""
    right, left, _, *mouth = face.points
    return (right + left) / 2, left - right, np.mean(mouth, axis=0) - (right + left) / 2


def sunglasses(photo: np.ndarray, face: FoundFace, style: int) -> np.ndarray:
    """Two lenses, round or square, black, brown or blue, in three strengths, with a bridge and temples."""
    middle, across, _ = _axes(face)
    up = np.asarray([-across[1], across[0]])
    lens = [(a, b) for a, b in ((-0.4, -0.22), (0.4, -0.22), (0.34, 0.3), (-0.34, 0.3))]
    if style % 2:
        lens = [(0.38 * np.cos(t), 0.29 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 24)]
    colour = ((12, 12, 12), (44, 28, 18), (22, 24, 48))[style % 3]
    drawn = photo.copy()
    for side in (-0.5, 0.5):
        outline = [middle + (side + a) * across + b * up for a, b in lens]
        cv2.fillPoly(drawn, [np.round(outline).astype(np.int32)], colour, cv2.LINE_AA)
    ends = [tuple(np.round(middle + a * across - 0.1 * up).astype(int).tolist()) for a in (-1.1, 1.1)]
    cv2.line(drawn, ends[0], ends[1], colour, max(1, round(0.06 * float(np.hypot(*across)))), cv2.LINE_AA)
    strength = (1.0, 0.9, 0.95)[style % 3]
    return np.round(strength * drawn + (1 - strength) * photo).astype(np.uint8)


def mask(photo: np.ndarray, face: FoundFace, style: int) -> np.ndarray:
    """From the bridge of the nose over the chin: white, blue, black or pink, every second one with folds."""
    middle, across, down = _axes(face)
    colour = ((235, 238, 240), (120, 170, 210), (30, 30, 34), (200, 150, 160))[style % 4]
    outline = [(-1.0, 0.45), (0, 0.36), (1.0, 0.45), (0.8, 1.25), (0.4, 1.7), (-0.4, 1.7), (-0.8, 1.25)]
    drawn = photo.copy()
    places = [middle + a * across + b * down for a, b in outline]
    cv2.fillPoly(drawn, [np.round(places).astype(np.int32)], colour, cv2.LINE_AA)
    for fold in (0.8, 1.1, 1.4) if style % 2 else ():
        ends = [tuple(np.round(middle + a * across + fold * down).astype(int).tolist()) for a in (-0.7, 0.7)]
        cv2.line(drawn, ends[0], ends[1], tuple(int(0.85 * one) for one in colour), 1, cv2.LINE_AA)
    return drawn


def _subject(photo: np.ndarray) -> FoundFace:
    middle = np.asarray(photo.shape[1::-1]) / 2
    return min(faces_in(photo), key=lambda face: float(np.hypot(*(np.asarray(face.middle) - middle))))


def _written(lfw: Path, out: Path, change: Callable[[int, np.ndarray], np.ndarray]) -> Path:
    for number, path in enumerate(sorted(lfw.glob("*/*.jpg"))):
        write_png(out / path.parent.name / f"{path.stem}.png", change(number, read_photo(path)))
    return out


def _both_sides(found: Sorted, out: Path) -> set[str]:
    """True people of whom some photos are trained on and others held out."""
    splits: dict[str, set[str]] = {}
    for member in read_members(out):
        if member.split is not None:
            splits.setdefault(member.photo.split("/")[0], set()).add(
                "train" if member.split == "train" else "held out")
    return {name for name, sides in splits.items() if len(sides) > 1}


@pytest.mark.long
@pytest.mark.parametrize("draw", [sunglasses, mask])
def test_covered_faces_join_their_person_or_are_set_aside(lfw: Path, tmp_path: Path, draw: Draw) -> None:
    def change(number: int, photo: np.ndarray) -> np.ndarray:
        return draw(photo, _subject(photo), number // 2) if number % 2 else photo

    photos = _written(lfw, tmp_path / "photos", change)
    found = cluster_portraits(photos, tmp_path / "out", ClusterSettings())
    summary = found.summary
    assert summary.bcubed is not None and summary.covered is not None and summary.covered.control is not None
    assert (summary.bcubed.precision, summary.bcubed.recall) >= (1.0, 0.95)
    assert summary.covered.noticed >= 45 and summary.covered.joined >= 0.9 * summary.covered.noticed
    assert len(summary.set_aside) <= 6 and all("covered" in one["reason"] for one in summary.set_aside)
    assert summary.covered.control.behaved and summary.covered.control.noticed >= 20
    assert _both_sides(found, tmp_path / "out") == set()


def test_covers_are_noticed_where_they_are_drawn_and_nowhere_else(lfw: Path) -> None:
    needs_weights("yunet")
    chips = [_subject(photo).chip(photo) for photo in map(read_photo, sorted(lfw.glob("*/*.jpg"))[::4])]
    assert sum(cover_of(chip) is not None for chip in chips) <= 1
    for cover in COVERS:
        assert sum(cover_of(with_cover(chip, cover)) == cover for chip in chips) >= len(chips) - 1


def test_portraits_on_their_side_are_sorted_as_upright_ones(lfw: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(lfw.glob("*/*.jpg"))[:40:2]):
        write_png(tmp_path / path.parent.name / f"{path.stem}.png",
                  np.ascontiguousarray(np.rot90(read_photo(path), number % 4)))
    found = cluster_portraits(tmp_path, None, ClusterSettings(leak_distance=0.0)).summary
    assert found.bcubed is not None and found.bcubed.precision == 1.0 and (found.bcubed.recall or 0) >= 0.95
    assert found.labelled >= 18
