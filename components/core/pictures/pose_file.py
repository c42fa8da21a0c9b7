"""The pixels of a pose map's file, of whatever kind: those that keep every value are read, the others refused."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from PIL import Image

from components.core.errors import InputError, machine_errors
from components.core.pictures.images import Pixels, open_image
from components.core.pictures.kinds import LOSSLESS, POSE_MAPS, sniffed

_MAX_MEGAPIXELS = 200.0
_START = 64
_COLOURS = 256
_NUMPY = "NumPy array"


def read_pose_file(path: Path, sizes: Sequence[tuple[int, int]] | None = None) -> Pixels:
    """Three channels uint8 [H, W, 3] in the order of the file, which is told by its content, not its ending.

    `sizes` are the (height, width) that it may have, the photo's first. Raises `InputError` for another size and for
    what is not in `kinds.POSE_MAPS`: lossy or with channels that are not three of 8 bits.
    """
    start = _start(path)
    name = sniffed(start)
    kind = next((kind for kind in POSE_MAPS if kind.name == name), None)
    if kind is not None and kind.refused:
        raise InputError(f"a pose map must keep every value; this is {name}: {kind.refused}", path=path,
                         remedy=kind.remedy.format(path=path))
    if name == _NUMPY:
        return _read_array(path, sizes)
    return _read_picture(path, start, sizes)


def _start(path: Path) -> bytes:
    try:
        with machine_errors(path), open(path, "rb") as file:
            return file.read(_START)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("no such pose map", path=path, remedy="check the name") from None


def _check_size(found: tuple[int, int], sizes: Sequence[tuple[int, int]] | None, path: Path) -> None:
    if sizes is not None and found not in [tuple(size) for size in sizes]:
        height, width = sizes[0]
        raise InputError(f"the pose map is {found[1]} x {found[0]} pixels, its photo is {width} x {height}", path=path,
                         remedy="make the pose map from this very photo, or resize it with nearest neighbour")


def _read_picture(path: Path, start: bytes, sizes: Sequence[tuple[int, int]] | None) -> Pixels:
    image = open_image(path, _MAX_MEGAPIXELS, lambda header: _check_size((header.height, header.width), sizes, path))
    if image.format != "PNG":
        raise InputError(f"a pose map must be a PNG, this is {image.format}", path=path, remedy=LOSSLESS)
    if start[24] == 16:  # IHDR's bit depth (PNG specification 11.2.1); Pillow hides 16-bit RGB
        raise InputError("a pose map must have 8 bits per channel, this has 16", path=path, remedy=LOSSLESS)
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode not in ("RGB", "RGBA", "P", "PA"):
        kind = {"L": "greyscale", "LA": "greyscale with alpha", "1": "black and white"}.get(
            image.mode, f"of mode {image.mode}")
        raise InputError(f"a pose map has three channels, this is {kind}", path=path, remedy=LOSSLESS)
    if image.mode == "P" and len(image.getcolors(_COLOURS) or ()) == _COLOURS:
        raise InputError(f"a palette image that uses all {_COLOURS} colours: the others of I, U and V were lost",
                         path=path, remedy=LOSSLESS)
    return _opaque(image, path)


def _opaque(image: Image.Image, path: Path) -> Pixels:
    """The colours of a picture whose alpha says nothing. Raises `InputError` where it does."""
    pixels = np.asarray(image.convert("RGBA"))
    if pixels[..., 3].min() < 255:
        raise InputError("a pose map with alpha that is not full everywhere: what lies under it is not to be trusted",
                         path=path, remedy=LOSSLESS)
    return np.ascontiguousarray(pixels[..., :3])


def _read_array(path: Path, sizes: Sequence[tuple[int, int]] | None) -> Pixels:
    remedy = "save it as uint8 [H, W, 3] with I 0 to 24, U and V 0 to 255"
    try:
        with machine_errors(path), open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            _check_array(shape, dtype, path, remedy)
            _check_size((shape[0], shape[1]), sizes, path)
            file.seek(0)
            data = file.read(_most_bytes(dtype))
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, TypeError, MemoryError, OverflowError, RecursionError,
            TokenError) as error:
        if isinstance(error, PermissionError):
            raise
        text = str(error).splitlines()
        raise InputError(f"corrupt or cut short ({text[0] if text else type(error).__name__})", path=path,
                         remedy="save it again with numpy.save") from None
    if array.dtype != np.uint8 and array.size and (array.min() < 0 or array.max() > 255):
        raise InputError(f"values from {array.min()} to {array.max()} do not occur in a pose map", path=path,
                         remedy=remedy)
    return np.ascontiguousarray(array, np.uint8)


def _most_bytes(dtype: Any) -> int:
    return int(_MAX_MEGAPIXELS * 1e6) * 3 * int(dtype.itemsize) + 4096


def _check_array(shape: tuple[int, ...], dtype: Any, path: Path, remedy: str) -> None:
    if len(shape) != 3 or shape[2] != 3 or not shape[0] * shape[1] or dtype.kind not in "iu":
        raise InputError(f"a pose map is uint8 [H, W, 3], this is {dtype} {list(shape)}", path=path, remedy=remedy)
    if shape[0] * shape[1] > _MAX_MEGAPIXELS * 1e6:
        raise InputError(f"{shape[1]} x {shape[0]} pixels, more than {_MAX_MEGAPIXELS:g} megapixels", path=path,
                         remedy="make it smaller with nearest neighbour")
