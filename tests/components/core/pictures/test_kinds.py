from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.pictures.folder import looked_at
from components.core.pictures.kinds import LISTED_ENDINGS, PHOTO_ENDINGS, PHOTOS, POSE_MAPS, sniffed, table

DOCUMENT = Path(__file__).parents[4] / "docs" / "data.md"


def test_the_documentation_lists_what_the_readers_go_by() -> None:
    """`python -m components.core.pictures.kinds` prints the table."""
    assert table() in DOCUMENT.read_text(encoding="utf-8")
    for kind in (*PHOTOS, *POSE_MAPS):
        assert (kind.refused is None) == bool(kind.what)
        assert all(looked_at(f"some/photo{ending.upper()}") for ending in kind.endings)
    assert set(PHOTO_ENDINGS) < set(LISTED_ENDINGS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_pictures_are_told_by_their_first_bytes(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format=kind)
    assert sniffed(buffer.getvalue()[:64]) == kind


def test_other_files_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "a", np.zeros((2, 2, 3)))
    np.savez(tmp_path / "a", iuv=np.zeros((2, 2, 3)))
    assert sniffed((tmp_path / "a.npy").read_bytes()[:64]) == "NumPy array"
    assert sniffed((tmp_path / "a.npz").read_bytes()[:64]) == "NumPy archive"
    assert [sniffed(start) for start in (b"", b"RIFF", b"text, no picture", b"\0" * 64)] == [""] * 4
