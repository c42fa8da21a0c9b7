"""Files in, files out: a sitter's photo and target pose maps to new photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.core.atomic import atomic_folder
from components.core.errors import InputError
from components.core.images import read_photo, write_png
from components.core.iuv import read_iuv
from components.core.matte import read_matte
from components.core.networks.generator import Reposer
from components.core.person import PersonCrop, person_from_photo, pose_crop
from components.core.settings import PreprocessSettings
from components.core.shooting import shoot


@dataclass(frozen=True)
class Sitter:
    """Who is in front of the camera: a photo, its DensePose map, and a matte if there is one."""

    photo: Path
    iuv: Path
    matte: Path | None = None


@dataclass(frozen=True)
class ShootSummary:
    """The new photos, in the order of the poses."""

    images: list[str]


def generate(model: Path, sitter: Sitter, poses: Sequence[Path], out: Path, *, background: Path | None = None,
             clothes: Sitter | None = None, preprocess: PreprocessSettings | None = None) -> ShootSummary:
    """Paint `sitter` in every pose of `poses` (pose map files) and write ``<pose's name>.png`` into the folder `out`.

    `model` is generator.safetensors or its folder. `background` is a picture (default: a studio wall), `clothes` whose
    clothes to wear (default: the sitter's own), `preprocess` how to crop (default: the defaults, in the model's
    sizes). Raises `InputError` for files that cannot be used, and for two poses of one name.
    """
    reposer = Reposer.load(model / "generator.safetensors" if model.is_dir() else model)
    settings = (preprocess or PreprocessSettings()).model_copy(
        update={"resolution": reposer.resolution, "texel": reposer.texel})
    names = [f"{path.stem}.png" for path in poses]
    if not names or len(set(names)) < len(names):
        raise InputError("no target pose" if not names else "two target poses have the same name",
                         remedy="give each pose map a name of its own")
    person = _cut_out(sitter, settings)
    other = None if clothes is None else _cut_out(clothes, settings)
    targets = []
    for path in poses:
        with _naming(path):
            targets.append(pose_crop(read_iuv(path).planes, settings))
    wall = None if background is None else read_photo(background, settings.max_megapixels)
    images = shoot(reposer, person, targets, wall, other).images
    with atomic_folder(out) as folder:
        for name, image in zip(names, images, strict=True):
            write_png(folder / name, image)
    return ShootSummary([str(Path(out) / name) for name in names])


def _cut_out(sitter: Sitter, settings: PreprocessSettings) -> PersonCrop:
    photo = read_photo(sitter.photo, settings.max_megapixels)
    size = (photo.shape[0], photo.shape[1])
    iuv = read_iuv(sitter.iuv, size).planes
    matte = None if sitter.matte is None else read_matte(sitter.matte, size, settings.max_megapixels)
    with _naming(sitter.photo):
        return person_from_photo(photo, iuv, settings, matte)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors about what was in it."""
    try:
        yield
    except InputError as error:
        raise error if error.path else InputError(error.problem, path=path, remedy=error.remedy) from None
