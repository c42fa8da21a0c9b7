"""Photos in and out: whatever a camera or an editor wrote becomes upright 8-bit RGB, or is refused by name."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from components.core.atomic import atomic_path
from components.core.errors import InputError, machine_errors
from components.core.pictures.kinds import PHOTOS, kind_of, sniffed

Pixels = NDArray[np.uint8]

# Pillow's own limit is fixed; `open_image` has one that is a setting, and checks it before anything is unpacked.
Image.MAX_IMAGE_PIXELS = None

_MOST_BYTES_PER_PIXEL, _MOST_BYTES_BESIDE = 8, 1 << 26
_READ = tuple(kind.name for kind in PHOTOS if kind.refused is None)
_FORMATS = tuple(name for name in _READ if name != "HEIC")  # which is a plug-in's, loaded when the first one comes
_ORIENTATION = 0x0112
_MIRRORING = (2, 4, 5, 7)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
           OverflowError, MemoryError, RuntimeError, struct.error, zlib.error)


@dataclass(frozen=True)
class Upright:
    """A photo as read: `pixels` uint8 RGB [H, W, 3], upright, and the EXIF `orientation` (1 to 8) it was stored in."""

    pixels: Pixels
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_photo(path: str | Path, max_megapixels: float = 80.0) -> Pixels:
    """Read a photo as uint8 RGB [H, W, 3], upright (EXIF orientation), in sRGB.

    Greyscale becomes three equal channels, 16 bits become 8, transparent areas become white, and an embedded colour
    profile is converted. Raises `InputError` for a file that is missing, no image, corrupt, cut short, of a mode
    without colours, or that would unpack to more than `max_megapixels`.
    """
    return read_upright(path, max_megapixels).pixels


def read_upright(path: str | Path, max_megapixels: float = 80.0) -> Upright:
    """`read_photo`, which also tells how the photo was turned: a pose map may have been made before that."""
    image = open_image(path, max_megapixels)
    with _refusing_broken(path):
        orientation = int(image.getexif().get(_ORIENTATION, 1))
        ImageOps.exif_transpose(image, in_place=True)
        profile = image.info.get("icc_profile")
        colours, alpha = _flattened(image, path)
        rgb = _to_srgb(colours, profile)
        if alpha is not None:
            rgb = Image.composite(rgb, Image.new("RGB", rgb.size, (255, 255, 255)), alpha)
        return Upright(np.asarray(rgb), orientation if 1 <= orientation <= 8 else 1)


def stored_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) in the file of a photo whose upright size is `size`."""
    return (size[1], size[0]) if orientation >= 5 else size


def upright(plane: Pixels, orientation: int) -> Pixels | None:
    """A map [H, W, ...] made from a photo's stored pixels, turned as EXIF turns the photo.

    None where EXIF mirrors: what was made from a mirrored person has left and right exchanged.
    """
    if orientation in _MIRRORING:
        return None
    return np.ascontiguousarray(np.rot90(plane, {3: 2, 6: -1, 8: 1}.get(orientation, 0)))


def open_image(path: str | Path, max_megapixels: float = 80.0,
               check: Callable[[Image.Image], None] | None = None) -> Image.Image:
    """Open and decode an image file as Pillow has it, its size checked before anything is unpacked.

    `check` is called with what the header says and raises what it has against it. Raises `InputError` as `read_photo`
    does.
    """
    path = Path(path)
    with _refusing_broken(path), machine_errors(path):
        try:
            # No photo of so many pixels takes more: four channels of 16 bits, and room for what else it holds.
            if path.stat().st_size > _MOST_BYTES_PER_PIXEL * max_megapixels * 1e6 + _MOST_BYTES_BESIDE:
                raise InputError(f"a file of {path.stat().st_size / 1e6:.0f} MB, which no photo of "
                                 f"{max_megapixels:g} megapixels needs", path=path,
                                 remedy="export it again or raise preprocess.max_megapixels")
            data = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise InputError("no such image file", path=path, remedy="check the name") from None
        if not data:
            raise InputError("empty file", path=path, remedy="copy the photo again or remove it")
        formats = _formats(data[:64], path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                raise InputError(f"unpacks to {width} x {height} = {width * height / 1e6:.0f} megapixels, "
                                 f"more than {max_megapixels:g}", path=path,
                                 remedy="make it smaller or raise preprocess.max_megapixels")
            if check is not None:
                check(image)
            image.load()
    return image


def _formats(start: bytes, path: Path) -> tuple[str, ...]:
    """Pillow's formats to try on a file that begins so.

    Raises `InputError` for a kind of picture that is known and not read, or whose decoder is missing.
    """
    name = sniffed(start)
    kind = kind_of(PHOTOS, name) if any(kind.name == name for kind in PHOTOS) else None
    if kind is not None and kind.refused:
        raise InputError(kind.refused, path=path, remedy=kind.remedy)
    if name != "HEIC":
        return _FORMATS
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        raise InputError("a HEIC file, whose decoder is not installed", path=path,
                         remedy="pip install pi-heif, or export it as JPEG") from None
    register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    return ("HEIF",)


def write_png(path: str | Path, image: Pixels, *, compress_level: int = 3) -> None:
    """Write uint8 RGB [H, W, 3] or grey [H, W] as PNG; whole or not at all. Raises `MachineError`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_png(image, compress_level=compress_level))


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
        if "cannot identify" in text and sniffed(_start(self._path)) in _READ:
            reason = f"{sniffed(_start(self._path))}, but corrupt or cut short"
        elif "cannot identify" in text:
            reason = f"not a photo in a known format ({', '.join(_READ)})"
        elif "truncated" in text:
            reason = "cut short"
        else:
            reason = f"corrupt ({text.splitlines()[0] if text else type(error).__name__})"
        raise InputError(reason, path=self._path, remedy="copy or export it again, or remove it") from error


def _start(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)


def _flattened(image: Image.Image, path: str | Path) -> tuple[Image.Image, Image.Image | None]:
    """Any image as 8-bit RGB, L, CMYK or LAB, which its profile speaks of, and its alpha where it has any."""
    mode = image.mode
    if mode in ("RGB", "L", "CMYK", "LAB") and "transparency" not in image.info:
        return image, None
    if mode == "I" or mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)), None
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        return over.convert("RGB"), over.getchannel("A")
    if mode in ("1", "P", "YCbCr", "HSV"):
        return image.convert("L" if mode == "1" else "RGB"), None
    raise InputError(f"pixels of type {mode} are not a photo", path=path, remedy="export it as 8-bit RGB")


def _to_srgb(image: Image.Image, profile_bytes: bytes | None) -> Image.Image:
    """RGB, L, CMYK or LAB as sRGB by its profile; without a profile, or with a broken one, as Pillow takes it."""
    plain = image if image.mode == "RGB" else image.convert("RGB")
    if not profile_bytes:
        return plain
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        # A grey picture of an editor that works in RGB carries the RGB profile.
        wanted = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(profile.profile.xcolor_space.strip())
        source = plain if wanted == "RGB" else image
        if source.mode != wanted or (wanted == "RGB" and _is_srgb(profile)):
            return plain
        converted = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB",
                                              renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return plain
    return plain if converted is None else converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in ImageCms.getProfileDescription(profile).lower()
