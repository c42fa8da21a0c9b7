"""How fast preprocessing is, beside the floor that no implementation can go below: decoding and encoding."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from components.core.people.writer import EncodedPerson
from components.core.pictures.images import Pixels, decode_png, encode_png, read_photo
from components.core.pictures.iuv import HEAD_PARTS, write_iuv
from components.core.settings import PreprocessSettings
from components.preprocess.person import people_of_photo
from components.preprocess.photos import Photo

_PHOTOS = 12
_RUNS = 5
_SIDE = (1024, 768)


def bench() -> dict[str, float]:
    """Photos per second on one core, and the ratio of the time to the floor's, on 12 drawn photos of 768 x 1024.

    Floor: decode the photo to upright sRGB and the pose map to its planes, and encode the six PNG files of a person
    (crop, pose map, matte, texture, what of it was seen, face), by the same functions and at the same compression.
    Everything else counts against it: checks, crop, resizing, texture, face alignment, perceptual hash, digests.
    GrabCut is counted apart (`with_grabcut`). Prints the table and returns {photos_per_s, ratio_to_floor,
    with_grabcut_per_s, floor_per_s}.
    """
    cv2.setNumThreads(1)
    plain = PreprocessSettings(matte="silhouette")
    with tempfile.TemporaryDirectory() as folder:
        photos = draw(Path(folder), _PHOTOS)
        people = [people_of_photo(photo, plain)[0] for photo in photos]  # warms up
        encoded = [person for person in people if isinstance(person, EncodedPerson)]
        outputs = [[decode_png(data) for data in person.members.values()] for person in encoded]
        times = seconds(
            lambda: _floor(photos, outputs), lambda: [people_of_photo(photo, plain) for photo in photos],
            lambda: [people_of_photo(photo, PreprocessSettings()) for photo in photos])
    floor, without, with_grabcut = (min(found) for found in times)
    # Of runs next to each other: on a busy machine the least of each may come from different moments.
    ratio = float(np.median(np.divide(times[1], times[0])))
    figures = {"photos_per_s": _PHOTOS / without, "ratio_to_floor": ratio,
               "with_grabcut_per_s": _PHOTOS / with_grabcut, "floor_per_s": _PHOTOS / floor}
    for name, value in figures.items():
        print(f"preprocess {name:<20} {value:8.2f}")
    return figures


def _floor(photos: list[Photo], outputs: list[list[Pixels]]) -> None:
    for photo, planes in zip(photos, outputs, strict=True):
        read_photo(photo.path)
        decode_png(photo.iuv.read_bytes())
        for one in planes:
            encode_png(one)


def seconds(*works: Callable[[], object]) -> list[list[float]]:
    """Processor time of five runs of each, taken in turn: what else the machine does must not count."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(_RUNS):
        for work, found in zip(works, times, strict=True):
            start = time.process_time()
            work()
            found.append(time.process_time() - start)
    return times


def draw(folder: Path, count: int) -> list[Photo]:
    """Photos with the grain of real ones, and pose maps in iuv/ of a standing figure made of rectangles."""
    rng = np.random.default_rng(0)
    photos, figure = [], _figure()
    for number in range(count):
        coarse = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
        picture = np.asarray(cv2.resize(coarse, _SIDE[::-1], interpolation=cv2.INTER_CUBIC), np.int16)
        picture = np.where(figure[..., :1] > 0, 160 + picture // 4, picture // 2)  # its outline shows
        picture = (picture + rng.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)
        path, iuv = folder / f"{number}.jpg", folder / "iuv" / f"{number}.png"
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="JPEG", quality=92)
        path.write_bytes(buffer.getvalue())
        write_iuv(iuv, figure)
        photos.append(Photo(path=path, name=path.name, id=str(number), iuv=iuv, matte=None, label=None))
    return photos


def _figure() -> Pixels:
    iuv = np.zeros((*_SIDE, 3), np.uint8)
    blocks = {23: (80, 220, 330, 384), 24: (80, 220, 384, 438), 2: (220, 540, 284, 484), 16: (230, 390, 224, 284),
              15: (230, 390, 484, 544), 9: (540, 720, 284, 380), 10: (540, 720, 388, 484), 13: (720, 960, 300, 370),
              14: (720, 960, 398, 468)}
    for part, (top, bottom, left, right) in blocks.items():
        iuv[top:bottom, left:right, 0] = part
        down, across = np.linspace(10, 245, bottom - top)[:, None], np.linspace(10, 245, right - left)[None, :]
        if part in HEAD_PARTS:  # U to the right and V up, as on every head
            down, across = across, down[::-1]
        elif part not in (14, 10, 15):  # V toward the person's right, or away from the body: the image's left
            across = across[:, ::-1]
        iuv[top:bottom, left:right, 1], iuv[top:bottom, left:right, 2] = down, across
    return iuv
