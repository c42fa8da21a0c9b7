import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import DataError
from components.core.people.person import person_from_photo
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS, read_iuv
from components.core.pictures.texture import (
    MIRROR,
    MIRRORED,
    PAINTED,
    SEEN,
    complete,
    from_picture,
    mirror,
    sample,
    splice,
    to_picture,
    unwrap,
)
from components.core.settings import PreprocessSettings


def person(side: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture and a pose map of four large parts whose charts it crosses."""
    y, x = np.mgrid[:side, :side] / side
    photo = np.stack([128 + 100 * np.sin(5 * x), 128 + 100 * np.cos(4 * y), 255 * (x + y) / 2], axis=-1)
    iuv = np.zeros((side, side, 3), np.uint8)
    for part, (top, left, size) in {2: (0.3, 0.3, 0.4), 9: (0.72, 0.3, 0.18), 10: (0.72, 0.52, 0.18),
                                    23: (0.08, 0.4, 0.2)}.items():
        u, v = (y - top) / size, (x - left) / size
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        iuv[inside] = np.stack([np.full_like(u, part), u * 255, v * 255], axis=-1)[inside].astype(np.uint8)
    return photo.astype(np.uint8), iuv


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.parametrize(("texel", "least"), [(16, 30), (32, 36), (64, 38), (128, 40)])
def test_round_trip_of_a_smooth_picture(texel: int, least: float) -> None:
    photo, iuv = person()
    texture, seen = unwrap(photo, iuv, texel)
    image, valid = sample(texture, iuv, seen)
    assert np.array_equal(valid, iuv[..., 0] > 0)
    assert psnr(image[valid], photo[valid]) > least
    assert not image[~valid].any()
    assert not texture[~seen].any()


@pytest.mark.parametrize("texel", [16, 48, 100, 200])
def test_the_seen_area_has_no_holes_at_any_size(texel: int) -> None:
    """The 64-pixel torso spans its whole chart: sparse dots would leave most of a large tile unseen."""
    photo, iuv = person()
    _, seen = unwrap(photo, iuv, texel)
    assert seen[1, 2:-3, 3:-3].all()
    assert not seen[[0, 2, 23]].any()


def test_half_a_chart_seen_is_not_more_than_half() -> None:
    photo, iuv = person()
    iuv[(iuv[..., 0] == 2) & (iuv[..., 2] > 127)] = 0
    _, seen = unwrap(photo, iuv, 64)
    rows = np.flatnonzero(seen[1].any(axis=1))  # V = 0.5 is row 31.5; V grows upward
    assert rows[0] >= 31 and rows[-1] == 63


def test_masked_pixels_do_not_enter() -> None:
    photo, iuv = person()
    mask = np.zeros(photo.shape[:2], bool)
    mask[:, :80] = True
    red = np.where(mask[..., None], photo, np.uint8([255, 0, 0]))
    texture, seen = unwrap(red, iuv, 32, mask=mask)
    clean, clean_seen = unwrap(np.where(mask[..., None], photo, np.uint8(0)), iuv, 32, mask=mask)
    assert np.array_equal(texture, clean) and np.array_equal(seen, clean_seen) and seen.any()


def test_nothing_seen_gives_an_empty_texture() -> None:
    photo, iuv = person()
    texture, seen = unwrap(photo, np.zeros_like(iuv), 16)
    assert not texture.any() and not seen.any()
    image, valid = sample(texture, iuv, seen)
    assert not valid.any() and not image.any()


def test_the_charts_are_oriented_as_documented() -> None:
    """x = U (N-1), y = (1-V)(N-1); the picture is filled column by column."""
    iuv = np.zeros((2, 3, 3), np.uint8)
    iuv[0, 0], iuv[0, 1], iuv[1, 2] = (1, 0, 255), (8, 255, 255), (24, 255, 0)
    photo = np.zeros((2, 3, 3), np.uint8)
    photo[0, 0], photo[0, 1], photo[1, 2] = (10, 0, 0), (20, 0, 0), (30, 0, 0)
    texture, seen = unwrap(photo, iuv, 8)
    assert np.argwhere(seen).tolist() == [[0, 0, 0], [7, 0, 7], [23, 7, 7]]
    picture = to_picture(texture)
    assert picture.shape == (48, 32, 3)
    assert [picture[0, 0, 0], picture[8, 15, 0], picture[47, 31, 0]] == [10, 20, 30]


@given(st.integers(1, 9), st.booleans())
def test_pictures_round_trip(texel: int, colour: bool) -> None:
    shape = (24, texel, texel, 3) if colour else (24, texel, texel)
    tiles = np.random.default_rng(texel).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(from_picture(to_picture(tiles), texel), tiles)
    with pytest.raises(DataError, match="tiles of"):
        from_picture(to_picture(tiles), texel + 1)


def test_splice_takes_head_and_hands_from_one_and_all_else_from_the_other() -> None:
    """Areas: 4 of 24 tiles from the face's owner, 20 from the clothes' owner, nothing mixed, inputs untouched."""
    ones, twos = np.full((24, 10, 10, 3), 1, np.uint8), np.full((24, 10, 10, 3), 2, np.uint8)
    yes, no = np.ones((24, 10, 10), bool), np.zeros((24, 10, 10), bool)
    texture, seen = splice((ones, yes), (twos, no))
    assert [int((texture == value).all(axis=(1, 2, 3)).sum()) for value in (1, 2)] == [4, 20]
    assert sorted(np.flatnonzero(seen.all(axis=(1, 2))) + 1) == sorted(BODY_PARTS)
    assert sorted(np.flatnonzero((texture == 2).all(axis=(1, 2, 3))) + 1) == sorted(GARMENT_PARTS)
    assert (twos == 2).all() and not no.any()
    with pytest.raises(DataError, match="different sizes"):
        splice((ones[:, :5, :5], yes[:, :5, :5]), (twos, no))


def test_mirroring_twice_changes_nothing() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (24, 6, 6, 3), dtype=np.uint8)
    assert np.array_equal(mirror(mirror(tiles)), tiles)
    assert not np.array_equal(mirror(tiles), tiles)
    assert all(MIRROR[other][0] == part for part, (other, _, _) in MIRROR.items())


def test_completion_paints_only_what_was_not_seen() -> None:
    photo, iuv = person()
    iuv[..., 0][iuv[..., 0] == 10] = 0  # the left leg is hidden, its mirror image is part 9
    texture, seen = unwrap(photo, iuv, 32)
    full, origin = complete(texture, seen)
    assert np.array_equal(full[seen], texture[seen])
    # What is evidence, what the other side's, what paint: each texel is exactly one of them.
    assert np.array_equal(origin == SEEN, seen)
    assert np.array_equal(origin == MIRRORED, mirror(seen) & ~seen)
    assert ((origin == PAINTED) == ~(seen | mirror(seen))).all() and (origin == PAINTED).any()
    assert np.array_equal(full[9][seen[8]], texture[8][seen[8]])
    assert np.array_equal(full[23][:, ::-1][seen[22]], texture[22][seen[22]])
    # Parts seen on neither side take a relative's mean: the torso's back that of its front.
    assert np.abs(full[0].mean(axis=(0, 1)) - texture[1][seen[1]].mean(axis=0)).max() < 1
    assert full.any(axis=-1).all()


def test_completion_of_nothing_is_grey() -> None:
    full, origin = complete(np.zeros((24, 8, 8, 3), np.uint8), np.zeros((24, 8, 8), bool))
    assert (full == 128).all() and (origin == PAINTED).all()


def test_a_constant_colour_stays_constant_through_completion() -> None:
    photo, iuv = person()
    texture, seen = unwrap(np.full_like(photo, 77), iuv, 20)
    assert (complete(texture, seen)[0] == 77).all()


def _real(shared_data: Path) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    folder = shared_data / "people"
    with open(folder / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["identity"], row["photo"], read_photo(folder / "photos" / row["photo"]),
             read_iuv(folder / "iuv" / f"{Path(row['photo']).stem}.png").planes) for row in rows]


def test_real_photos_come_back_and_textures_tell_people_apart(shared_data: Path) -> None:
    figures, textures = [], []
    for identity, name, photo, iuv in _real(shared_data):
        texture, seen = unwrap(photo, iuv, 128)
        image, valid = sample(texture, iuv, seen)
        assert (valid == (iuv[..., 0] > 0)).mean() > 0.999, name
        figures.append(psnr(image[valid], photo[valid]))
        person = person_from_photo(photo, iuv, PreprocessSettings(matte="silhouette"))
        textures.append((identity, person.texture, person.seen))
    print(f"round trip at 128 texels: median {np.median(figures):.1f} dB, least {min(figures):.1f} dB")
    # The least is a finely patterned dress over a map whose charts are steep at the sides.
    assert np.median(figures) > 26 and min(figures) > 15.5
    same, other = [], []
    for i, (name, texture, seen) in enumerate(textures):
        for name_b, texture_b, seen_b in textures[:i]:
            both = seen & seen_b
            if both.sum() > 200:
                distance = float(np.abs(texture[both].astype(int) - texture_b[both]).mean())
                (same if name == name_b else other).append(distance)
    assert len(same) > 10 and len(other) > 100
    print(f"same person: median {np.median(same):.1f}, most {max(same):.1f}; others: median {np.median(other):.1f}, "
          f"least {min(other):.1f}")
    assert np.median(same) < 10 and np.median(other) > 50
    assert max(same) < min(other)  # whoever they are, they can be told apart by their textures alone


def test_the_mirror_table_holds_on_real_maps(shared_data: Path) -> None:
    """A front view of a person shows the mirrored part's same texels: overlap is largest under the table's flips."""
    overlaps: dict[tuple[int, bool, bool], list[float]] = {}
    for _, _, photo, iuv in _real(shared_data):
        _, seen = unwrap(photo, iuv, 48)
        for part, (other, _, _) in MIRROR.items():
            for flip_u in (False, True):
                for flip_v in (False, True):
                    tile = seen[other - 1][:, ::-1] if flip_u else seen[other - 1]
                    tile = tile[::-1] if flip_v else tile
                    least = min(int(tile.sum()), int(seen[part - 1].sum()))
                    if least > 40:
                        share = float((tile & seen[part - 1]).sum()) / least
                        overlaps.setdefault((part, flip_u, flip_v), []).append(share)
    checked = 0
    for part, (other, flip_u, flip_v) in MIRROR.items():
        if other < part or (part, flip_u, flip_v) not in overlaps:
            continue
        ours = np.mean(overlaps[part, flip_u, flip_v])
        # A part that is its own mirror image overlaps itself best unflipped; only flips are compared.
        rest = [np.mean(overlaps[part, u, v]) for u in (False, True) for v in (False, True)
                if (u, v) != (flip_u, flip_v) and not (other == part and not u and not v)]
        assert ours >= max(rest) - 0.02, part
        checked += 1
    assert checked >= 12
