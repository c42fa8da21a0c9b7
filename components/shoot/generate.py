"""Files in, files out: a subject's photos and target pose maps to new photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.artifacts.model import GENERATOR
from components.core.atomic import atomic_folder
from components.core.errors import InputError
from components.core.networks.generator.reposer import Reposer
from components.core.pictures.images import read_photo, write_png
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import check_size, shoot, supported_size
from components.core.shooting.subjects import Subject, cut_out, target_pose


@dataclass(frozen=True)
class ShootSummary:
    """The new photos, in the order of the poses, and where they come from."""

    images: list[str]
    size: int
    """Side of each, in pixels."""
    faces: list[str]
    """Per image: the subject's photo that gives face and hair."""
    other_clothes: list[str]
    """The subject's photos that show other clothes than those worn: they give head and hands only."""


def generate(model: Path, subject: Subject | Sequence[Subject], poses: Sequence[Path], out: Path, *,
             background: Path | None = None, clothes: Subject | Sequence[Subject] | None = None,
             preprocess: PreprocessSettings | None = None, size: int | None = None) -> ShootSummary:
    """Paint `subject` in every pose of `poses` (pose map files) and write ``<pose's name>.png`` into the folder `out`.

    `model` is generator.safetensors or its folder; `subject` one photo or several of the same person, in any order (see
    `shoot`). `background` is a picture (default: a studio wall), `clothes` photos of whoever's clothes to wear
    (default: the subject's own), `preprocess` how to crop (default: the defaults, in the model's sizes), `size` the
    pictures' side (default: what the photos support, up to 1024, see `supported_size`). Raises `InputError` for files
    that cannot be used, for a size out of bounds, and for two poses of one name.
    """
    reposer = Reposer.load(model / GENERATOR if model.is_dir() else model)
    settings = (preprocess or PreprocessSettings()).model_copy(
        update={"resolution": reposer.resolution, "texel": reposer.texel})
    size = None if size is None else check_size(size)
    names = [f"{path.stem}.png" for path in poses]
    if not names or len(set(names)) < len(names):
        raise InputError("no target pose" if not names else "two target poses have the same name",
                         remedy="give each pose map its own name")
    subjects = _several(subject)
    people = [cut_out(one, settings) for one in subjects]
    others = None if clothes is None else [cut_out(one, settings) for one in _several(clothes)]
    size = supported_size(people, reposer.resolution) if size is None else size
    targets = [target_pose(path, settings) for path in poses]
    wall = None if background is None else read_photo(background, settings.max_megapixels)
    shot = shoot(reposer, people, targets, wall, others, size)
    with atomic_folder(out) as folder:
        for name, image in zip(names, shot.images, strict=True):
            write_png(folder / name, image)
    return ShootSummary([str(Path(out) / name) for name in names], size,
                        [str(subjects[view].photo) for view in shot.faces],
                        [str(subjects[index].photo) for index in shot.other_clothes])


def _several(subject: Subject | Sequence[Subject]) -> list[Subject]:
    return [subject] if isinstance(subject, Subject) else list(subject)
