from pathlib import Path

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.pictures.smpl import read_lookup, smpl_chart
from components.core.pictures.texture import mirror
from components.core.pictures.texture_picture import texture_picture


def lookup() -> np.ndarray:
    """Parts side by side in a grid of 5 x 5, each upright; part 24 nowhere."""
    out = np.empty((24, 256, 256, 2), np.float32)
    v, u = np.mgrid[:256, :256] / 255
    for part in range(24):
        out[part, ..., 0] = (part % 5 + 0.05 + 0.9 * u) / 5
        out[part, ..., 1] = (part // 5 + 0.05 + 0.9 * v) / 5
    out[23] = np.nan
    return out


@pytest.mark.parametrize("name", ["lookup.npy", "lookup.npz"])
def test_a_lookup_comes_back_from_either_kind_of_file(tmp_path: Path, name: str) -> None:
    (np.save if name.endswith("npy") else np.savez_compressed)(tmp_path / name, lookup())
    assert np.array_equal(read_lookup(tmp_path / name), lookup(), equal_nan=True)


def test_the_chart_is_the_lookup_backwards() -> None:
    size = 500
    chart = smpl_chart(lookup(), size)
    assert set(np.unique(chart[..., 0])) == set(range(24))
    ys, xs = np.nonzero(chart[..., 0])
    part, u, v = chart[ys, xs].astype(int).T
    place = lookup()[part - 1, v, u]
    assert np.abs(place[:, 0] * (size - 1) - xs).max() <= 0.51
    assert np.abs((1 - place[:, 1]) * (size - 1) - ys).max() <= 0.51
    assert len(ys) > 0.99 * 23 * (0.9 * size / 5) ** 2  # no holes


def test_a_texture_in_smpls_layout_keeps_colours_and_marks_paint(tmp_path: Path) -> None:
    texture = np.zeros((24, 32, 32, 3), np.uint8)
    texture[:] = np.arange(24, dtype=np.uint8)[:, None, None, None] * 10 + 5
    seen = np.zeros((24, 32, 32), bool)
    seen[8] = True  # one leg from the front: the other is its mirror image
    seen[1, :16] = True
    np.save(tmp_path / "lookup.npy", lookup())
    picture, shares = texture_picture(texture, seen, fill=True, lookup=tmp_path / "lookup.npy", size=200)
    chart = smpl_chart(lookup(), 200)
    assert (picture[chart[..., 0] == 9] == (85, 85, 85, 255)).all()
    assert (picture[chart[..., 0] == 10][:, 3] == 128).all() and (picture[chart[..., 0] == 10][:, 0] == 85).all()
    assert (picture[chart[..., 0] == 11][:, 3] == 64).all()
    assert not picture[chart[..., 0] == 0].any()
    assert shares["seen"] == seen.mean() and sum(shares.values()) == pytest.approx(1)
    assert shares["mirrored"] == (mirror(seen) & ~seen).mean()
    # Half the torso was seen. Where a seen and a mirrored texel are mixed, the pixel is called mirrored.
    torso = picture[chart[..., 0] == 2]
    rows = (1 - chart[chart[..., 0] == 2][:, 2] / 255) * 31
    assert np.array_equal(torso[:, 3] == 255, rows <= 15)


def test_without_filling_only_evidence_is_shown() -> None:
    texture, seen = np.full((24, 8, 8, 3), 9, np.uint8), np.zeros((24, 8, 8), bool)
    seen[0, 3] = True
    picture, shares = texture_picture(texture, seen)
    assert picture.shape == (48, 32, 4)
    assert set(np.unique(picture[..., 3])) == {0, 255} and (picture[..., 3] == 255).sum() == 8
    assert shares["mirrored"] == shares["painted"] == 0


def test_what_is_no_lookup_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lookup.npy"
    with pytest.raises(InputError, match="no such"):
        read_lookup(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a NumPy file"):
        read_lookup(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a NumPy file"):  # a pickle is not opened
        read_lookup(path)
    np.save(path, np.zeros((24, 16, 16, 2)))
    with pytest.raises(InputError, match=r"\[24, 16, 16, 2\] is no lookup"):
        read_lookup(path)
    np.save(path, lookup() * 256)
    with pytest.raises(InputError, match="0 to 1"):
        read_lookup(path)
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(InputError, match="too large"):
        read_lookup(path)
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros((24, 1024, 1024, 2), np.float32))
    with pytest.raises(InputError, match="too large"):
        read_lookup(tmp_path / "bomb.npz")
