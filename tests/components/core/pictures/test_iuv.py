import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.core.errors import InputError
from components.core.pictures.iuv import (
    BODY_PARTS,
    GARMENT_PARTS,
    PARTS,
    check_iuv,
    crop_iuv,
    in_between_share,
    person_box,
    read_iuv,
    resize_iuv,
    split_iuv,
    write_iuv,
)


def figure(height: int = 120, width: int = 90) -> np.ndarray:
    """Head, torso, an arm and two legs as ellipses with U and V running across them."""
    iuv = np.zeros((height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    for part, (cy, cx, ry, rx) in {2: (0.42, 0.5, 0.2, 0.17), 9: (0.75, 0.4, 0.22, 0.09), 10: (0.75, 0.6, 0.22, 0.09),
                                   16: (0.42, 0.27, 0.17, 0.08), 23: (0.14, 0.46, 0.12, 0.08),
                                   24: (0.14, 0.55, 0.12, 0.08)}.items():
        v, u = (y - cy) / ry, (x - cx) / rx
        inside = u * u + v * v < 1
        iuv[inside, 0] = part
        iuv[inside, 1] = ((u[inside] + 1) * 120 + 7).astype(np.uint8)
        iuv[inside, 2] = ((v[inside] + 1) * 120 + 7).astype(np.uint8)
    return iuv


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path, compress_level=1)
    return path


def test_the_part_sets_are_disjoint_and_complete() -> None:
    assert not set(BODY_PARTS) & set(GARMENT_PARTS)
    assert sorted(BODY_PARTS + GARMENT_PARTS) == list(range(1, PARTS + 1))


@pytest.mark.parametrize("order", ["IUV", "VUI"])
def test_both_channel_orders_are_recognised(tmp_path: Path, order: str) -> None:
    iuv = figure()
    read = read_iuv(save(tmp_path / "a.png", iuv if order == "IUV" else iuv[..., ::-1]), (120, 90))
    assert read.order == order
    assert np.array_equal(read.planes, iuv)


def test_written_maps_come_back(tmp_path: Path) -> None:
    write_iuv(tmp_path / "a.png", figure())
    read = read_iuv(tmp_path / "a.png")
    assert read.order == "IUV" and np.array_equal(read.planes, figure())


def test_when_both_ends_are_small_the_one_that_behaves_as_labels_is_i(tmp_path: Path) -> None:
    iuv = figure()
    iuv[..., 2] //= 11  # V within 0..24 too, running smoothly, 0 inside the body at places
    for order, pixels in (("IUV", iuv), ("VUI", iuv[..., ::-1])):
        assert read_iuv(save(tmp_path / f"{order}.png", pixels)).order == order


def test_an_order_in_doubt_is_refused(tmp_path: Path) -> None:
    iuv = np.zeros((40, 40, 3), np.uint8)
    iuv[10:30, 10:30] = (2, 100, 3)
    with pytest.raises(InputError, match=r"in doubt.*R reaches 2 and B 3"):
        read_iuv(save(tmp_path / "a.png", iuv))


def test_a_map_that_fits_neither_order_says_what_was_found(tmp_path: Path) -> None:
    iuv = figure()
    iuv[..., 0] *= 10
    iuv[0, 0] = 0
    with pytest.raises(InputError, match=r"neither channel order fits: the channels reach R \d+"):
        read_iuv(save(tmp_path / "a.png", iuv))
    with pytest.raises(InputError, match="neither"):
        read_iuv(save(tmp_path / "b.png", figure()[..., [1, 0, 2]]))


def test_an_empty_map_shows_nobody(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody"):
        read_iuv(save(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8)))


def test_another_size_than_its_photo_names_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="90 x 120 pixels, its photo is 91 x 120"):
        read_iuv(save(tmp_path / "a.png", figure()), (120, 91))


@pytest.mark.parametrize(("mode", "word"), [("L", "greyscale"), ("LA", "alpha"), ("1", "black and white")])
def test_other_kinds_of_png_are_refused_by_kind(tmp_path: Path, mode: str, word: str) -> None:
    Image.fromarray(figure()).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=word):
        read_iuv(tmp_path / "a.png")


def few_colours() -> np.ndarray:
    """The figure with U and V in steps: fewer than 256 colours."""
    iuv = figure()
    iuv[..., 1:] = iuv[..., 1:] // 50 * 50
    return iuv


@pytest.mark.parametrize("order", ["IUV", "VUI"])
def test_whatever_loses_nothing_is_read_exactly(tmp_path: Path, order: str) -> None:
    def stored(iuv: np.ndarray) -> np.ndarray:
        return iuv if order == "IUV" else np.ascontiguousarray(iuv[..., ::-1])

    iuv, few = figure(), few_colours()
    opaque = Image.fromarray(stored(iuv))
    opaque.putalpha(255)
    opaque.save(tmp_path / "opaque.png")
    colours, index = np.unique(stored(few).reshape(-1, 3), axis=0, return_inverse=True)
    assert len(colours) < 256
    palette = Image.fromarray(index.reshape(few.shape[:2]).astype(np.uint8), "P")
    palette.putpalette(colours.ravel().tolist())
    palette.save(tmp_path / "palette.png")
    assert Image.open(tmp_path / "palette.png").mode == "P"
    np.save(tmp_path / "a.npy", stored(iuv))
    np.save(tmp_path / "wide.npy", stored(iuv).astype(np.int64))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(stored(iuv)))
    save(tmp_path / "named.png", stored(iuv)).rename(tmp_path / "named.jpg")
    (tmp_path / "a.npy").rename(tmp_path / "array.png")
    for name, planes in (("opaque.png", iuv), ("palette.png", few), ("array.png", iuv), ("wide.npy", iuv),
                         ("fortran.npy", iuv), ("named.jpg", iuv)):
        read = read_iuv(tmp_path / name, (120, 90))
        assert read.order == order and not read.turned, name
        assert np.array_equal(read.planes, planes), name


def test_what_lost_something_is_refused_with_the_reason(tmp_path: Path) -> None:
    iuv = figure()
    clear = Image.fromarray(iuv)
    clear.putalpha(Image.fromarray(np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(254))))
    clear.save(tmp_path / "clear.png")
    Image.fromarray(iuv).quantize(256).save(tmp_path / "quantised.png")
    np.save(tmp_path / "scaled.npy", iuv.astype(np.float32) / 255)
    np.save(tmp_path / "planes.npy", iuv.transpose(2, 0, 1))
    np.save(tmp_path / "beyond.npy", iuv.astype(np.int16) * 2)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes(np.lib.format.magic(1, 0) + b"v\0{'descr': '|u1', 'fortran_order': False, ")
    (tmp_path / "dump.pkl").write_bytes(b"\x80\x02}q\x00.")
    for name, reason in (("clear.png", "alpha that is not full"), ("quantised.png", "all 256 colours"),
                         ("scaled.npy", "this is float32"), ("planes.npy", r"\[3, 120, 90\]"), ("beyond.npy", "values"),
                         ("objects.npy", "this is object"), ("cut.npy", "corrupt or cut short"),
                         ("dump.pkl", "DensePose dump.* -- `photoshoot pose-maps .*dump.pkl")):
        with pytest.raises(InputError, match=reason) as caught:
            read_iuv(tmp_path / name)
        assert name in str(caught.value) and caught.value.remedy and "\n" not in str(caught.value)


@pytest.mark.parametrize("cast", [np.trunc, np.rint])
@pytest.mark.parametrize("order", ["IUV", "VUI"])
def test_u_and_v_that_were_cast_unscaled_are_called_so(tmp_path: Path, order: str, cast: np.ufunc) -> None:
    iuv = figure()
    iuv[..., 1:] = cast(iuv[..., 1:] / 255)
    with pytest.raises(InputError, match=r"U and V reach only \d: they were in 0\.\.1 and were cast"):
        read_iuv(save(tmp_path / "a.png", iuv if order == "IUV" else iuv[..., ::-1]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_map_of_the_photo_as_stored_is_turned_with_it(tmp_path: Path, orientation: int) -> None:
    iuv = figure()
    stored = {6: np.rot90(iuv), 8: np.rot90(iuv, -1)}.get(orientation, np.rot90(iuv))
    path = save(tmp_path / "stored.png", np.ascontiguousarray(stored))
    if orientation in (6, 8):
        read = read_iuv(path, (120, 90), orientation)
        assert read.turned and np.array_equal(read.planes, iuv)
    else:  # 1 to 4 do not change the size; 5 and 7 mirror, which exchanges left and right
        with pytest.raises(InputError, match="120 x 90 pixels, its photo is 90 x 120"):
            read_iuv(path, (120, 90), orientation)
    upright = read_iuv(save(tmp_path / "upright.png", iuv), (120, 90), orientation)
    assert not upright.turned and np.array_equal(upright.planes, iuv)


def test_16_bits_and_jpeg_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), figure().astype(np.uint16) * 257)
    with pytest.raises(InputError, match="16"):
        read_iuv(tmp_path / "deep.png")
    cv2.imwrite(str(tmp_path / "a.jpg"), figure())
    (tmp_path / "a.jpg").rename(tmp_path / "jpeg.png")
    with pytest.raises(InputError, match="JPEG"):
        read_iuv(tmp_path / "jpeg.png")


@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4])
@pytest.mark.parametrize("size", [(45, 60), (77, 101), (130, 175)])
def test_interpolated_maps_are_refused(tmp_path: Path, how: int, size: tuple[int, int]) -> None:
    resized = cv2.resize(figure(), size, interpolation=how)
    resized[..., 0] = resized[..., 0].clip(0, 24)
    with pytest.raises(InputError, match="interpolat"):
        check_iuv(split_iuv(resized))
    resized[resized[..., 0] == 0] = 0  # even with its background cleaned
    with pytest.raises(InputError, match="part labels were interpolated"):
        check_iuv(split_iuv(resized))


def test_u_and_v_on_the_background_are_refused() -> None:
    iuv = figure()
    iuv[0, 0, 1] = 9
    with pytest.raises(InputError, match="at 1 pixel"):
        check_iuv(split_iuv(iuv))


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 200), st.integers(20, 200))
def test_resizing_never_invents_parts_nor_mixes_them(height: int, width: int) -> None:
    iuv = figure()
    # One U and V per part: after any resize every pixel must still have its own part's.
    for part in range(1, 25):
        iuv[iuv[..., 0] == part, 1:] = (part * 10, 250 - part * 10)
    resized = resize_iuv(iuv, (height, width))
    labels = resized[..., 0].astype(int)
    assert resized.shape == (height, width, 3)
    assert set(np.unique(labels)) <= set(np.unique(iuv[..., 0]))
    expected = np.where(labels[..., None] > 0, np.stack([labels * 10, 250 - labels * 10], axis=-1), 0)
    assert np.array_equal(resized[..., 1:], expected)


def test_resizing_keeps_u_and_v_in_place() -> None:
    iuv = figure(240, 180)
    back = resize_iuv(resize_iuv(iuv, (120, 90)), (240, 180))
    same = (back[..., 0] == iuv[..., 0]) & (iuv[..., 0] > 0)
    assert same.sum() > 0.9 * (iuv[..., 0] > 0).sum()
    assert np.abs(back[same].astype(int) - iuv[same]).mean() < 3
    assert np.array_equal(resize_iuv(iuv, (240, 180)), iuv)


@given(st.integers(-50, 100), st.integers(-50, 130), st.integers(1, 150), st.integers(1, 150))
def test_a_crop_is_background_beyond_the_map(x0: int, y0: int, width: int, height: int) -> None:
    iuv = figure()
    crop = crop_iuv(iuv, (x0, y0, x0 + width, y0 + height))
    assert crop.shape == (height, width, 3)
    wide = np.zeros((500, 500, 3), np.uint8)
    wide[200:320, 200:290] = iuv
    assert np.array_equal(crop, wide[200 + y0 : 200 + y0 + height, 200 + x0 : 200 + x0 + width])


def test_the_box_holds_the_person() -> None:
    iuv = figure()
    box = person_box(iuv)
    assert box is not None
    assert np.count_nonzero(crop_iuv(iuv, box)[..., 0]) == np.count_nonzero(iuv[..., 0])
    rows = np.flatnonzero(iuv[..., 0].any(axis=1))
    assert (box[1], box[3]) == (rows[0], rows[-1] + 1)
    assert person_box(np.zeros((5, 5, 3), np.uint8)) is None


def test_real_maps_are_read_in_the_right_order_and_refused_when_resized(shared_data: Path, tmp_path: Path) -> None:
    with open(shared_data / "people" / "labels.csv", newline="") as file:
        truth = {Path(row["photo"]).stem: row["iuv_channel_order"].removeprefix("RGB=") for row in csv.DictReader(file)}
    assert len(truth) == 20
    for stem, order in truth.items():
        path = shared_data / "people" / "iuv" / f"{stem}.png"
        read = read_iuv(path)
        assert read.order == order, stem
        assert in_between_share(split_iuv(read.planes)) < 0.02
        pixels = np.asarray(Image.open(path))
        for factor in (0.4, 0.75):
            resized = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
            with pytest.raises(InputError, match="interpolat"):
                read_iuv(save(tmp_path / "resized.png", resized))
        small = resize_iuv(read.planes, (pixels.shape[0] // 3, pixels.shape[1] // 3))
        check_iuv(split_iuv(small))


@pytest.mark.parametrize("height", [128, 256])
def test_exact_maps_are_taken_and_interpolated_ones_refused(height: int) -> None:
    from components.core.settings import SynthesizeSettings
    from components.synthesize import photos_of

    for person in range(3):
        for _, _, photo in photos_of(SynthesizeSettings(people=8, photos_per_person=2, height=height), person):
            check_iuv(split_iuv(photo.iuv))
            for factor in (0.5, 0.75, 1.3):
                resized = cv2.resize(photo.iuv, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
                resized[resized[..., 0] == 0] = 0  # nothing spills over the background
                nearest = cv2.resize(photo.iuv, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
                only_labels = np.dstack([resized[..., 0], nearest[..., 1:] * (resized[..., :1] > 0)])
                check_iuv(split_iuv(nearest))
                for bad in (resized, only_labels):
                    with pytest.raises(InputError, match="interpolated"):
                        check_iuv(split_iuv(bad))
