"""`python -m pipelines.pretraining.wardrobe`: draw the wardrobe that ships, for `photoshoot shoot --clothes random`.

Outfits of people who do not exist, each on a photo of its own from the front, with its exact pose map and matte: a
folder as anybody would bring it. The same code gives the same pixels. Called by `make wardrobe`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.core.atomic import atomic_folder
from components.core.body.cameras import Camera
from components.core.body.skinning import Pose
from components.core.body.template import BONES
from components.core.errors import InputError, PhotoshootError
from components.core.fitting.charts import detected
from components.core.pictures.images import Pixels
from components.core.shooting.wardrobe import WARDROBE
from components.synthesize.appearance.clothes import ARM, Outfit
from components.synthesize.figure import build_figure
from components.synthesize.identity import Person, sample_person
from components.synthesize.render import Rendering, Shot, render_photo, width_of
from components.synthesize.scene import Light

OUTFITS, HEIGHT, MOST_BYTES = 18, 640, 1_000_000
_FIRST = 500_000
"""Number of the first person: the networks that ship are taught and measured with people of smaller numbers."""
_SOFT = Light(np.array([0.3, 0.5, 0.81], np.float32), strength=0.35, ambient=0.66, tint=np.ones(3, np.float32),
              rim=0.05, noise=0.0, gain=1.0)
_CLOSED, _ANKLES, _HIPS = ("crew", "high", "shirt"), 0.1, 0.83
_MANNEQUIN = np.array([0.62, 0.57, 0.54], np.float32)
_WALL, _AWAY, _TALL, _MIDDLE = 0.8, 4.5, 2.01, 0.9
"""The wall's grey; the camera's distance, what it sees of it and the height it stands at, in metres."""
_STEP = 3
"""U and V are kept in steps of so many 255ths, an eighth of a texel of 32: a third fewer bytes."""
_QUALITY = 88


def people(count: int) -> Iterator[Person]:
    """Those whose first outfits are taken, drawn so that the sitter's own skin is all that is seen.

    Sleeves and legs are long and necks closed: of a stranger's bare arms nobody makes the sitter's. What shows of the
    neck is nearly grey, so that it is not compared with the sitter's skin (`generator.light`). Nothing hangs beside the
    body, where pictures are worst, and nobody has hair that would lie on a collar.
    """
    index, found = _FIRST, 0
    while found < count:
        person = sample_person(0, index, 1)
        outfit = person.outfits[0]
        index += 1
        if outfit.skirt_end is None and outfit.bag is None and outfit.neckline in _CLOSED and _short_coated(outfit):
            found += 1
            covering = replace(outfit, sleeve=ARM, leg_end=_ANKLES)
            yield replace(person, outfits=(covering,), hair=replace(person.hair, style="bald"),
                          face=replace(person.face, skin=_MANNEQUIN))


def _short_coated(outfit: Outfit) -> bool:
    return outfit.coat is None or outfit.coat_end > _HIPS


def worn(person: Person, height: int = HEIGHT) -> Rendering:
    """A photo of the first outfit from the front, arms and legs apart; U and V of its pose map in a detector's charts,
    as `core.fitting` gives them for photos."""
    width = width_of(height)
    standing = Pose(np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1)), 0.0)
    camera = Camera(np.eye(3, dtype=np.float32), np.array([0, _MIDDLE, _AWAY], np.float32), height * _AWAY / _TALL,
                    (width / 2, height / 2))
    wall = np.full((height, width, 3), _WALL, np.float32)
    photo = render_photo(build_figure(person, 0), Shot(standing, camera, _SOFT, wall, False, 0))
    return replace(photo, iuv=_in_charts(photo.iuv))


def _in_charts(iuv: Pixels) -> Pixels:
    out, body = iuv.copy(), iuv[..., 0] > 0
    part, u, v = iuv[body].T
    charts = detected(part, u.astype(np.float32) / 255, v.astype(np.float32) / 255)
    for channel, chart in enumerate(charts, 1):
        out[body, channel] = np.minimum(np.rint(chart * (255 / _STEP)) * _STEP, 255)
    return out


def write(out: Path, count: int = OUTFITS, height: int = HEIGHT) -> dict[str, Any]:
    """Write a wardrobe into the folder `out`, which is replaced; what was written. Raises `InputError` for one that is
    too large to ship."""
    if out.exists() and not (out / "photos").is_dir() and any(out.iterdir()):
        raise InputError("not empty, and no wardrobe", path=out, remedy="choose a new folder")
    with atomic_folder(out) as folder:
        for name in ("photos", "iuv", "matte"):
            (folder / name).mkdir()
        for number, person in enumerate(people(count), 1):
            photo, stem = worn(person, height), f"outfit-{number:02d}"
            Image.fromarray(photo.rgb).save(folder / "photos" / f"{stem}.webp", quality=_QUALITY, method=6)
            Image.fromarray(photo.iuv).save(folder / "iuv" / f"{stem}.png", optimize=True)
            Image.fromarray(photo.matte).save(folder / "matte" / f"{stem}.png", optimize=True)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > MOST_BYTES:
            raise InputError(f"{size:,} bytes, more than {MOST_BYTES:,}", path=out, remedy="draw fewer or smaller ones")
    return {"wardrobe": str(out), "outfits": count, "bytes": size}


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments, draw, print what was written as one JSON object. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pretraining.wardrobe", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(str(resources.files("components.core") / "data" / WARDROBE)),
                        help="folder to write; default: where the package has it")
    try:
        print(json.dumps(write(parser.parse_args(arguments).out)))
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
