"""Bad files through every reader: each is read or refused with its reason, none crashes, memory stays bounded.

A few hundred by default; PHOTOSHOOT_BAD_FILES=10000 makes as many.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.errors import PhotoshootError

COUNT = int(os.environ.get("PHOTOSHOOT_BAD_FILES", "300"))
SEED = 20261122
MEMORY = 2 << 30
"""Address space that the reading process may have, libraries included: a single bomb unpacked would need more."""
MEGAPIXELS = 16.0


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, body: bytes, *extra: bytes, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", header), *extra, _chunk(b"IDAT", body), _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _bomb(dice: random.Random) -> tuple[str, bytes]:
    """Small files that promise, or unpack to, far more than they may."""
    side = dice.choice((5000, 16000, 30000, 65500, 2**31 - 1))
    zeros = zlib.compress(bytes(1 << 22), 9)
    kind = dice.choice(("png", "deep", "profile", "text", "jpg", "tif", "webp", "gif", "bmp"))
    if kind == "png":
        return "png", _png(side, side, zeros)
    if kind == "deep":
        return "png", _png(64, 64, zeros)
    if kind == "profile":
        return "png", _png(8, 8, zlib.compress(bytes(200)), _chunk(b"iCCP", b"p\0\0" + zeros))
    if kind == "text":
        return "png", _png(8, 8, zlib.compress(bytes(200)), *[_chunk(b"zTXt", b"t\0\0" + zeros)] * 30)
    if kind == "jpg":
        return "jpg", _valid("jpg", dice).replace(struct.pack(">HH", 40, 32), struct.pack(">HH", 65000, 65000))
    if kind == "tif":
        return "tif", _tiff(min(side, 2**31 - 1), dice)
    if kind == "webp":
        return "webp", _webp()
    if kind == "gif":
        return "gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(dice.randbytes(60))
    return "bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


def _tiff(side: int, dice: random.Random) -> bytes:
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, dice.choice((1, 5, 8, 32773))),
               (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, side), (279, 4, 1, 2**32 - 1)]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + table + struct.pack("<I", dice.choice((0, 8)))  # 8: a ring of pages


def _webp() -> bytes:
    header = struct.pack("<I", 10) + b"\0\0\0\0" + b"\xfe\x3f\0" * 2  # 16383 x 16383
    body = b"WEBPVP8X" + header + b"VP8L" + struct.pack("<I", 6) + b"/" * 6
    return b"RIFF" + struct.pack("<I", len(body)) + body


_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF", "avif": "AVIF"}


def _valid(suffix: str, dice: random.Random) -> bytes:
    pixels = np.frombuffer(dice.randbytes(40 * 32 * 3), np.uint8).reshape(40, 32, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, _FORMATS[suffix])
    return buffer.getvalue()


def _pose_map(dice: random.Random) -> bytes:
    iuv = np.zeros((40, 32, 3), np.uint8)
    iuv[5:35, 8:24] = np.stack(np.broadcast_arrays(np.uint8(2), np.linspace(9, 240, 16, dtype=np.uint8),
                                                   np.linspace(240, 9, 30, dtype=np.uint8)[:, None]), axis=-1)
    buffer = io.BytesIO()
    if dice.random() < 0.3:
        np.save(buffer, iuv)
        return buffer.getvalue()
    Image.fromarray(iuv if dice.random() < 0.5 else iuv[..., ::-1]).save(buffer, "PNG")
    return buffer.getvalue()


_TABLE = b"photo,identity\na.png,anna\nb.png,bea\n"
_SETTINGS = b"preset: demo\npreprocess:\n  resolution: 64\n  densepose: {person: all, batch: 4}\ntrain: {batch: 2}\n"


def _harmed(dice: random.Random, content: bytes) -> bytes:
    how = dice.choice(("cut", "flip", "flips", "random", "insert", "empty", "zero", "twice"))
    data = bytearray(content)
    place = dice.randrange(len(data))
    if how == "cut":
        return bytes(data[:place])
    if how in ("flip", "flips"):
        for _ in range(1 if how == "flip" else 40):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(data)
    if how == "random":
        return dice.randbytes(dice.randrange(1, 4000))
    if how == "insert":
        return bytes(data[:place]) + dice.randbytes(dice.randrange(1, 64)) + bytes(data[place:])
    if how == "zero":
        data[place : place + 64] = bytes(len(data[place : place + 64]))
        return bytes(data)
    return b"" if how == "empty" else bytes(data) * 2


def write_bad_files(folder: Path, count: int, seed: int = SEED) -> None:
    """Files of five kinds (photo, iuv, matte, labels, settings), harmed; the kind is the name's first word."""
    dice = random.Random(seed)
    for number in range(count):
        kind = dice.choice(("photo", "photo", "photo", "iuv", "iuv", "matte", "labels", "settings"))
        if kind in ("labels", "settings"):
            suffix, content = ("csv", _TABLE) if kind == "labels" else ("yaml", _SETTINGS)
            content = _harmed(dice, content)
        elif dice.random() < 0.15:
            suffix, content = _bomb(dice)
        else:
            suffix = dice.choice(list(_FORMATS)) if kind == "photo" else "png"
            content = _harmed(dice, _pose_map(dice) if kind == "iuv" else _valid(suffix, dice))
            if dice.random() < 0.1:
                suffix = dice.choice(("jpg", "png", "tif"))  # a wrong name
        (folder / f"{kind}-{number:06d}.{suffix}").write_bytes(content)


def read_all(folder: Path) -> dict[str, object]:
    """Every file through its reader: what came of it, and the most memory that it took."""
    readers = _readers()
    outcomes: Counter[str] = Counter()
    crashes, mute = [], []
    for path in sorted(folder.iterdir()):
        kind = path.name.partition("-")[0]
        try:
            readers[kind](path)
            outcomes[f"{kind} read"] += 1
        except PhotoshootError as error:
            outcomes[f"{kind} refused"] += 1
            if str(path) not in str(error) or not error.remedy or "\n" in str(error):
                mute.append(f"{path.name}: {error}")
        except BaseException as error:  # the very thing that must not happen, whatever it is
            crashes.append(f"{path.name}: {type(error).__name__}: {error}")
    return {"outcomes": outcomes, "crashes": crashes, "mute": mute,
            "peak_mb": _peak_kb() >> 10}


def _readers() -> dict[str, Callable[[Path], object]]:
    from components.core.pictures.images import read_photo
    from components.core.pictures.iuv import read_iuv
    from components.core.pictures.labels import read_labels
    from components.core.pictures.matte import read_matte
    from components.core.settings import Settings

    return {"photo": lambda path: read_photo(path, MEGAPIXELS), "iuv": lambda path: read_iuv(path, (40, 32)),
            "matte": lambda path: read_matte(path, (40, 32), MEGAPIXELS),
            "labels": lambda path: read_labels(path, {"a.png", "b.png"}), "settings": Settings.from_yaml}


def _peak_kb() -> int:
    """Of this process alone: getrusage's figure begins with that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_bad_files_are_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    write_bad_files(tmp_path, COUNT)
    code = ("import json, resource, sys, pathlib; sys.path.insert(0, sys.argv[2]); import test_bad_files as t; "
            "t._readers(); resource.setrlimit(resource.RLIMIT_AS, (t.MEMORY, t.MEMORY)); "
            "print(json.dumps(t.read_all(pathlib.Path(sys.argv[1]))))")
    ended = subprocess.run([sys.executable, "-W", "error::ResourceWarning", "-c", code, str(tmp_path),
                            str(Path(__file__).parent)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    result = json.loads(ended.stdout)
    assert result["crashes"] == [] and result["mute"] == []
    assert result["peak_mb"] < 600
    counts = result["outcomes"]
    assert sum(counts.values()) == COUNT
    for kind in ("photo", "iuv", "matte", "labels", "settings"):
        assert counts.get(f"{kind} refused", 0) > 0 and counts.get(f"{kind} read", 0) > 0
    if COUNT > 1000:
        print(json.dumps(result))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_no_photo_that_is_cut_short_is_taken_for_whole(tmp_path: Path, suffix: str) -> None:
    from components.core.errors import InputError
    from components.core.pictures.images import read_photo

    content = _valid(suffix, random.Random(3))
    for share in (0.02, 0.3, 0.6, 0.95):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError, match=r"cut short|corrupt|not a photo"):
            read_photo(path)
