"""What files people bring and what comes of each: the one list that the readers go by and docs/data.md shows.

Files are told by their content; the endings say which of a folder's files are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

LOSSLESS = "save pose maps as 8-bit RGB PNG, or as .npy uint8 [H, W, 3]"


@dataclass(frozen=True)
class Kind:
    """A kind of file. `refused` says why it is not read; None: it is."""

    name: str
    endings: tuple[str, ...]
    what: str = ""
    """What of it is read."""
    refused: str | None = None
    remedy: str = ""


PHOTOS = (
    Kind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), "RGB, grey or CMYK"),
    Kind("PNG", (".png",), "any, 16 bits and transparency too"),
    Kind("WEBP", (".webp",), "the first picture"),
    Kind("HEIC", (".heic", ".heif", ".hif"), "what telephones make"),
    Kind("AVIF", (".avif",), "the first picture"),
    Kind("TIFF", (".tif", ".tiff"), "the first page"),
    Kind("BMP", (".bmp",), "any"),
    Kind("GIF", (".gif",), refused="256 colours are no photo", remedy="export it as JPEG or PNG"),
    Kind("JPEG XL", (".jxl",), refused="JPEG XL is not read", remedy="export it as JPEG or PNG"),
    Kind("raw", (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"), refused="a raw file is not developed here",
         remedy="export it as JPEG or TIFF"),
)
POSE_MAPS = (
    Kind("PNG", (".png",), "8-bit RGB; RGBA with full opacity; a palette of fewer than 256 colours"),
    Kind("NumPy array", (".npy",), "uint8, or other integers of 0 to 255, [H, W, 3]"),
    Kind("DensePose dump", (".pkl", ".pickle"),
         refused="a Python pickle, which may hold the people of many photos",
         remedy="`photoshoot pose-maps {path} --photos DIR` turns it into PNGs"),
    Kind("NumPy archive", (".npz",), refused="an archive may hold several arrays",
         remedy="save the array itself with numpy.save"),
    Kind("JPEG", (".jpg", ".jpeg"), refused="JPEG does not keep labels", remedy=LOSSLESS),
    Kind("WEBP", (".webp",), refused="WEBP need not keep labels", remedy=LOSSLESS),
    Kind("other picture", (".tif", ".tiff", ".bmp", ".gif"), refused="not a PNG", remedy=LOSSLESS),
)
"""In order of preference, where one photo has several."""

MARKS = ("_iuv", "_densepose")
"""What follows a photo's stem in the name of a pose map that lies beside it, in any case."""

PHOTO_ENDINGS = tuple(ending for kind in PHOTOS if kind.refused is None for ending in kind.endings)
"""Endings of files that are read as photos, in lower case."""
LISTED_ENDINGS = tuple(ending for kind in PHOTOS for ending in kind.endings)
"""Endings of files that count as photos, those that are left out with the reason among them."""
POSE_MAP_ENDINGS = tuple(ending for kind in POSE_MAPS for ending in kind.endings)


def kind_of(kinds: tuple[Kind, ...], name: str) -> Kind:
    """The kind of that name."""
    return next(kind for kind in kinds if kind.name == name)


def sniffed(start: bytes) -> str:
    """Name of the kind of file that begins with these bytes (64 or more where there are so many); "" for others."""
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"):
            return "AVIF" if b"avif" in start[16:32] else "HEIC"
        return "raw" if brand == b"crx " else ""
    if start[:4] == b"RIFF":
        return "WEBP" if start[8:12] == b"WEBP" else ""
    if start.startswith(b"PK\x03\x04"):  # a ZIP file, which torch.save and numpy.savez write
        return "NumPy archive" if b".npy" in start else "DensePose dump"
    return next((name for mark, name in _MARKS if start.startswith(mark)), "")


_MARKS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"), (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\x93NUMPY", "NumPy array"), (b"\x80\x02", "DensePose dump"),
    (b"\x80\x03", "DensePose dump"), (b"\x80\x04", "DensePose dump"), (b"\x80\x05", "DensePose dump"),
)


def table() -> str:
    """The list as docs/data.md has it, in Markdown."""
    rows = ["| file | endings | as a photo | as a pose map |", "|---|---|---|---|"]
    names = dict.fromkeys(kind.name for kind in (*PHOTOS, *POSE_MAPS))
    for name in names:
        both = [next((kind for kind in kinds if kind.name == name), None) for kinds in (PHOTOS, POSE_MAPS)]
        endings = dict.fromkeys(ending for kind in both if kind for ending in kind.endings)
        told = ["" if kind is None else f"no: {kind.refused}" if kind.refused else f"yes: {kind.what}" for kind in both]
        rows.append(f"| {name} | {' '.join(f'`{one}`' for one in endings)} | {told[0]} | {told[1]} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
