"""SMPL's texture layout, through a lookup file that the user brings (its licence is non-commercial; none is shipped).

Format: an .npy file, or an .npz file with one array, of numbers [24, 256, 256, 2]. ``lookup[part - 1, V, U]`` is the
place (u, v) in SMPL's UV picture, 0 to 1, v upward, of the point (U, V), 0 to 255, of a DensePose part; NaN where the
chart has no body. The file that other projects call dp_uv_lookup_256.npy is one. Training goes by the atlas
(`texture.py`), which needs none of this.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from components.core.errors import InputError, machine_errors
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import PARTS

_SHAPE = (PARTS, 256, 256, 2)
_MOST_BYTES = 64 << 20
_BROKEN = (ValueError, OSError, EOFError, LookupError, SyntaxError, TypeError, RuntimeError, OverflowError, MemoryError,
           TokenError, zlib.error, zipfile.BadZipFile)
"""What NumPy and zipfile raise for what is no archive of arrays."""
_REMEDY = "bring a lookup of numbers [24, 256, 256, 2], indexed by part, V and U"


def read_lookup(path: str | Path) -> NDArray[np.float32]:
    """A lookup file as float32 [24, 256, 256, 2]. Raises `InputError` for a file that is none."""
    path = Path(path)
    with machine_errors(path):
        try:
            if path.stat().st_size > _MOST_BYTES or _unpacked(path) > _MOST_BYTES:
                raise InputError("too large for a lookup", path=path, remedy=_REMEDY)
            content = np.load(path, allow_pickle=False)
            found = content[content.files[0]] if hasattr(content, "files") else content
        except FileNotFoundError:
            raise InputError("no such lookup file", path=path, remedy="check the name") from None
        except _BROKEN as error:
            raise InputError(f"not a NumPy file ({str(error).splitlines()[0] if str(error) else 'damaged'})", path=path,
                             remedy=_REMEDY) from None
    if found.shape != _SHAPE or not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found):
        raise InputError(f"{found.dtype} {list(found.shape)} is no lookup", path=path, remedy=_REMEDY)
    lookup: NDArray[np.float32] = found.astype(np.float32)
    known = lookup[~np.isnan(lookup)]
    if not len(known) or known.min() < 0 or known.max() > 1:
        raise InputError("the places in SMPL's picture must be 0 to 1", path=path, remedy=_REMEDY)
    return lookup


def smpl_chart(lookup: NDArray[np.float32], size: int) -> Pixels:
    """SMPL's UV picture [size, size] as a pose map uint8 [size, size, 3]: what part, U and V each pixel is.

    ``texture.sample(texture, smpl_chart(...), seen)`` is then the texture in SMPL's layout. Of several points that
    fall on one pixel the one of the lowest part, V and U stands.
    """
    part, v, u = (axis.reshape(-1) for axis in np.meshgrid(np.arange(1, PARTS + 1), np.arange(256), np.arange(256),
                                                           indexing="ij"))
    place = lookup.reshape(-1, 2)
    known = ~np.isnan(place).any(axis=1)
    x = np.rint(place[known, 0] * (size - 1)).astype(np.intp)
    y = np.rint((1 - place[known, 1]) * (size - 1)).astype(np.intp)
    chart = np.zeros((size, size, 3), np.uint8)
    # Backwards, so that the first of a pixel's points is written last.
    chart[y[::-1], x[::-1]] = np.stack([part, u, v], axis=1)[known][::-1]
    return chart


def _unpacked(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())
