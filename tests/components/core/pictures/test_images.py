import io
import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from components.core.errors import InputError
from components.core.pictures.images import decode_png, encode_png, read_photo, write_png

RAMP = np.stack(np.broadcast_arrays(np.arange(24, dtype=np.uint8)[:, None] * 10, np.arange(32, dtype=np.uint8) * 7,
                                    np.uint8(90)), axis=-1).astype(np.uint8)


def test_png_round_trip_is_exact(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", RAMP)
    assert np.array_equal(read_photo(tmp_path / "a.png"), RAMP)
    assert np.array_equal(decode_png(encode_png(RAMP[..., 0])), RAMP[..., 0])


def test_jpeg_is_close(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.jpg", quality=92)
    assert np.abs(read_photo(tmp_path / "a.jpg").astype(int) - RAMP).mean() < 4


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP)
    exif = image.getexif()
    exif[0x0112] = 6  # camera turned: rotate by 90 degrees clockwise to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "turned.png"), np.rot90(RAMP, -1))


def test_grey_16_bit_alpha_and_palette_become_rgb(tmp_path: Path) -> None:
    grey = RAMP[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_photo(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=-1))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read_photo(tmp_path / "deep.png")[..., 1], grey)
    clear = np.dstack([RAMP, np.where(np.arange(32) < 16, 255, 0).astype(np.uint8) * np.ones((24, 1), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    read = read_photo(tmp_path / "clear.png")
    assert np.array_equal(read[:, :16], RAMP[:, :16])
    assert (read[:, 16:] == 255).all()
    Image.fromarray(RAMP).quantize(16).save(tmp_path / "palette.png")
    assert read_photo(tmp_path / "palette.png").shape == RAMP.shape


def test_a_colour_profile_is_converted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same profile with the primaries of red and blue exchanged, under another name.
    exchanged = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    exchanged = exchanged.replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be"))
    assert exchanged != srgb
    image = Image.new("RGB", (8, 8), (200, 120, 40))
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    image.save(tmp_path / "exchanged.png", icc_profile=exchanged)
    image.save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert (read_photo(tmp_path / "srgb.png") == (200, 120, 40)).all()
    assert np.abs(read_photo(tmp_path / "exchanged.png").astype(int) - (40, 120, 200)).max() <= 3
    assert (read_photo(tmp_path / "broken.png") == (200, 120, 40)).all()


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header promises `width` x `height` pixels."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 999))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "empty"),
    (b"no picture at all", "not a photo in a known format"),
    (_bomb(60000, 60000), "3600 megapixels"),
    (_bomb(64, 64), "cut short|corrupt"),
], ids=["empty", "text", "bomb", "short"])
def test_bad_files_are_refused_by_name_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_photo(tmp_path / "bad.png")
    assert "bad.png" in str(caught.value) and caught.value.remedy


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image"):
        read_photo(tmp_path / "gone.jpg")


def test_broken_files_of_every_kind_never_crash(tmp_path: Path) -> None:
    """Cut, garbled and mislabelled files: an `InputError` or, where the damage hides in the pixels, an image."""
    dice = random.Random(1)
    whole = {}
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(RAMP).save(buffer, format=kind)
        whole[kind] = buffer.getvalue()
    refused = 0
    path = tmp_path / "broken.jpg"
    for round_ in range(400):
        data = bytearray(whole[dice.choice(sorted(whole))])
        if round_ % 3 == 0:
            data = data[: dice.randrange(len(data))]
        elif round_ % 3 == 1:
            for _ in range(dice.randrange(1, 30)):
                data[dice.randrange(len(data))] = dice.randrange(256)
        else:
            data = bytearray(dice.randbytes(dice.randrange(1, 400)))
        path.write_bytes(bytes(data))
        try:
            image = read_photo(path, max_megapixels=1)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert refused > 250


def _tiff(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def _swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    return swapped.replace("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(tmp_path: Path, orientation: int) -> None:
    # How the camera stored an upright picture (EXIF 2.32, tag 274): undone in the same steps.
    stored = {1: RAMP, 2: RAMP[:, ::-1], 3: RAMP[::-1, ::-1], 4: RAMP[::-1], 5: RAMP.transpose(1, 0, 2),
              6: np.rot90(RAMP), 7: RAMP[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(RAMP, -1)}[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "turned.png"), RAMP)


def test_16_bit_colour_keeps_its_high_byte(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), RAMP[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_photo(tmp_path / "deep.png"), RAMP)
    for name in ("deep.tif", "little.png"):
        grey = RAMP[..., 0].astype(np.uint16) * 256 + 200
        assert np.array_equal(read_photo(_tiff(tmp_path / name, grey)), np.repeat(RAMP[..., :1], 3, axis=-1))


def test_cmyk_black_and_white_and_inverted_jpegs(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 60, 20), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "cmyk.tif")
    for name in ("cmyk.jpg", "cmyk.tif"):
        assert np.abs(read_photo(tmp_path / name).astype(int) - flat).max() <= 4
    Image.fromarray(RAMP[..., 0] > 100).save(tmp_path / "bits.png")
    assert np.array_equal(read_photo(tmp_path / "bits.png")[..., 2], np.where(RAMP[..., 0] > 100, 255, 0))


def test_profiles_are_converted_whatever_the_pixels(tmp_path: Path) -> None:
    profile, flat = _swapped_profile(), Image.new("RGB", (8, 8), (200, 120, 40))
    clear = flat.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(tmp_path / "alpha.png", icc_profile=profile)
    flat.quantize(4).save(tmp_path / "palette.png", icc_profile=profile)
    for name in ("alpha.png", "palette.png"):
        read = read_photo(tmp_path / name)
        assert np.abs(read[4:].astype(int) - (40, 120, 200)).max() <= 3
    assert (read_photo(tmp_path / "alpha.png")[0, 0] == 255).all()
    # Grey has no red to exchange with blue: an RGB profile leaves it grey.
    Image.new("L", (8, 8), 120).save(tmp_path / "grey.png", icc_profile=profile)
    assert np.abs(read_photo(tmp_path / "grey.png").astype(int) - 120).max() <= 2


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (100, 0, 200, 128)).save(tmp_path / "half.png")
    assert np.abs(read_photo(tmp_path / "half.png").astype(int) - (177, 127, 227)).max() <= 1
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 10, 200, 30])
    palette.save(tmp_path / "key.png", transparency=0)
    assert (read_photo(tmp_path / "key.png") == (10, 200, 30)).all()


def test_a_file_too_large_for_any_photo_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(1 << 40)  # a hole: takes no room
    with pytest.raises(InputError, match="a file of 1099512 MB, which no photo"):
        read_photo(tmp_path / "huge.png")
