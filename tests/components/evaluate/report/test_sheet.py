import numpy as np

from components.core.pictures.backdrop import backdrop
from components.evaluate.report import sheet


def rows(count: int, side: int = 64) -> list[sheet.Row]:
    random = np.random.default_rng(0)
    return [sheet.Row([random.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(3)],
                      f"person {k}: " + "long " * 60) for k in range(count)]


def test_small_pictures_are_enlarged_and_large_ones_are_not_shrunk() -> None:
    small, large = (sheet.contact_sheet("t", "s", ("a", "b", "c"), rows(2, side)) for side in (64, 256))
    assert small.shape[1] >= 3 * sheet.CELL and large.shape[1] >= 3 * 256
    picture = rows(2, 256)[1].pictures[2]
    windows = np.lib.stride_tricks.sliding_window_view(large[..., 0], (1, 256))[:, :, 0]
    assert (windows == picture[0, :, 0]).all(axis=-1).any()


def test_the_same_rows_make_the_same_sheet_and_more_rows_a_longer_one() -> None:
    first, again, longer = (sheet.contact_sheet("t", "s", ("a", "b", "c"), rows(n)) for n in (2, 2, 3))
    assert np.array_equal(first, again)
    assert longer.shape[0] > first.shape[0] and longer.shape[1] == first.shape[1]


def test_a_sheet_without_rows_says_so() -> None:
    silent, saying = (sheet.contact_sheet("t", "s", ("a",), [], text) for text in ("", "nobody here"))
    assert silent.shape == saying.shape and not np.array_equal(silent, saying)


def test_pose_maps_get_a_colour_for_each_part_and_a_plain_ground() -> None:
    iuv = np.zeros((4, 25, 3), np.uint8)
    iuv[0, :, 0] = np.arange(25)
    iuv[0, 1:, 1:] = 128
    coloured = sheet.colour_pose(iuv)
    assert len({tuple(colour) for colour in coloured[0]}) == 25
    assert (coloured[1:] == coloured[0, 0]).all()


def test_strips_and_backdrops_have_their_sizes() -> None:
    assert sheet.strip(rows(1)[0].pictures).shape[0] == sheet.CELL
    wall = backdrop(64)
    assert wall.shape == (64, 64, 3) and wall.dtype == np.uint8
    assert wall[20, 32].mean() > wall[63, 0].mean() + 40
