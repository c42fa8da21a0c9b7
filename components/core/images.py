"""Photos in and out: whatever a camera or an editor wrote becomes upright 8-bit RGB, or is refused by name."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from components.core.atomic import atomic_path
from components.core.errors import InputError, machine_errors

Pixels = NDArray[np.uint8]

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Files that count as photos, by suffix in any case."""

# Pillow's own limit is fixed; `open_image` has one that is a setting, and checks it before anything is unpacked.
Image.MAX_IMAGE_PIXELS = None

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
           OverflowError, MemoryError, struct.error, zlib.error)


def read_photo(path: str | Path, max_megapixels: float = 80.0) -> Pixels:
    """Read a photo as uint8 RGB [H, W, 3], upright (EXIF orientation), in sRGB.

    Greyscale becomes three equal channels, 16 bits become 8, transparent areas become white, and an embedded colour
    profile is converted. Raises `InputError` for a file that is missing, no image, corrupt, cut short, of a mode
    without colours, or that would unpack to more than `max_megapixels`.
    """
    image = open_image(path, max_megapixels)
    with _refusing_broken(path):
        image = ImageOps.exif_transpose(image) or image
        return np.asarray(_to_rgb(_to_srgb(image), path))


def open_image(path: str | Path, max_megapixels: float = 80.0) -> Image.Image:
    """Open and decode an image file as Pillow has it, its size checked before anything is unpacked.

    Raises `InputError` as `read_photo` does.
    """
    path = Path(path)
    with _refusing_broken(path), machine_errors(path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise InputError("no such image file", path=path, remedy="check the name") from None
        if not data:
            raise InputError("empty file", path=path, remedy="copy the photo again or remove it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                raise InputError(f"unpacks to {width} x {height} = {width * height / 1e6:.0f} megapixels, "
                                 f"more than {max_megapixels:g}", path=path,
                                 remedy="make it smaller or raise preprocess.max_megapixels")
            image.load()
    return image


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of an image file from its header, as stored (EXIF orientation not applied).

    Raises `InputError` for a file that is missing or no image.
    """
    with _refusing_broken(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_FORMATS) as image:
            return image.height, image.width


def write_png(path: str | Path, image: Pixels, *, compress_level: int = 3) -> None:
    """Write uint8 RGB [H, W, 3] or grey [H, W] as PNG; whole or not at all. Raises `MachineError`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_png(image, compress_level=compress_level))


def write_jpeg(path: str | Path, image: Pixels, *, quality: int = 92) -> None:
    """Write uint8 RGB [H, W, 3] or grey [H, W] as JPEG; whole or not at all. Raises `MachineError`."""
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(image)).save(temporary, format="JPEG", quality=quality, subsampling=0)


def encode_png(image: Pixels, *, compress_level: int = 3) -> bytes:
    """uint8 RGB [H, W, 3] or grey [H, W] as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def decode_png(data: bytes) -> Pixels:
    """The uint8 array [H, W, 3] or [H, W] that `encode_png` wrote."""
    return np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)))


class _refusing_broken:  # reads as a statement: with _refusing_broken(path)
    """Turn what decoders throw at broken files into one `InputError` with the reason."""

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PermissionError) or not isinstance(error, _BROKEN):
            return
        text = str(error)
        if "cannot identify" in text:
            reason = f"not a photo in a known format ({', '.join(_FORMATS)})"
        elif "truncated" in text:
            reason = "cut short"
        else:
            reason = f"corrupt ({text.splitlines()[0] if text else type(error).__name__})"
        raise InputError(reason, path=self._path, remedy="copy or export it again, or remove it") from error


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert an embedded colour profile; images without one, or with a broken one, are taken as they are."""
    profile_bytes = image.info.get("icc_profile")
    if not profile_bytes or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted if converted is not None else image


def _to_rgb(image: Image.Image, path: str | Path) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (255, 255, 255, 255)), over).convert("RGB")
    if image.mode in ("1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    raise InputError(f"pixels of type {image.mode} are not a photo", path=path, remedy="export it as 8-bit RGB")
