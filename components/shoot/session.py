"""A photoshoot: a person's photos in; pictures in fitting poses, ranked by likeness, and a contact sheet out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.artifacts.model import GENERATOR
from components.core.errors import InputError
from components.core.faces.sface import SAME_COSINE
from components.core.networks.generator.reposer import Reposer
from components.core.people.person import PersonCrop
from components.core.pictures.backdrop import backdrop
from components.core.pictures.images import Pixels, read_photo
from components.core.settings import PreprocessSettings
from components.core.shooting.shots import check_size, middle_square, shoot, supported_size
from components.core.shooting.sitting import Body, Looked, Shown, bodies, look, own_physique, shown
from components.core.shooting.subjects import Subject, cut_out
from components.core.shooting.wardrobe import drawn
from components.shoot.delivery import Picture, deliver, ranked
from components.shoot.likeness import Likeness, likeness_to
from components.shoot.targets import Asked, Target, chosen_targets, given_targets, taken

if TYPE_CHECKING:
    from components.core.poses.physique import Physique

STUDIO, TRANSPARENT = "studio", "transparent"
_TRIES = 3
"""Pictures that are painted at most, for each that is asked for."""


@dataclass(frozen=True)
class Wishes:
    """What a photoshoot is to be like."""

    asked: Asked = field(default_factory=Asked)
    background: str = STUDIO
    """``studio``, ``transparent``, or the path of a picture."""
    clothes: Sequence[Subject] = ()
    """Photos of whoever's clothes to wear; none: the person's own."""
    wardrobe: Sequence[Subject] = ()
    """Photos of clothes of which each picture gets one's by chance (`Asked.seed`), in place of `clothes`."""
    size: int | None = None
    """Side of the pictures in pixels; None: what the photos support."""


@dataclass(frozen=True)
class SessionSummary:
    """The new pictures: chosen poses by likeness, the best first; poses that were asked for in their order."""

    images: list[str]
    size: int
    """Side of each, in pixels."""
    faces: list[str]
    """Per image: the person's photo that gives face and hair."""
    other_clothes: list[str]
    """The person's photos that show other clothes than those worn: they give head and hands only."""
    clothes: list[str | None]
    """Per image: the photo of the wardrobe whose clothes are worn; None: they were not drawn by chance."""
    poses: list[str]
    likeness: list[float | None]
    """Per image: SFace's cosine with the person's photos; None where no face is found or nothing could be measured."""
    rank: list[int | None]
    """Per image: 1 is the one most alike."""
    contact_sheet: str | None
    version: str
    repainted: list[str]
    """Chosen poses whose pictures were not handed over, and why."""
    notes: list[str]


def photoshoot(model: Path, subjects: Sequence[Subject], wishes: Wishes, out: Path, version: str, *,
               preprocess: PreprocessSettings | None = None) -> SessionSummary:
    """Paint a person in poses that were asked for, or in fitting ones, into the folder `out`.

    `model` is generator.safetensors or its folder, `version` what the pictures say made them. A picture in a chosen
    pose in which no face is found, or one unlike the person's (`SAME_COSINE`), is painted again in another pose.
    Raises `InputError` for what cannot be used, and where not one picture in a chosen pose is alike enough.
    """
    reposer = Reposer.load(model / GENERATOR if model.is_dir() else model)
    settings = (preprocess or PreprocessSettings()).model_copy(
        update={"resolution": reposer.resolution, "texel": reposer.texel})
    if wishes.size is not None:
        check_size(wishes.size)
    count, given = wishes.asked.by_chance(), given_targets(wishes.asked, settings)
    looked = [look(subject, settings) for subject in subjects]
    studio = _studio(reposer, looked, wishes, settings)
    sitting = _Sitting(subjects, looked, settings)
    measure, problem = likeness_to([one.crop.native_photo for one in looked], fetch=count > 0)
    notes = [problem] if problem else []
    for number in measure.strangers() if measure else []:
        notes.append(f"{subjects[number].photo}: another person than in the other photos? The faces are unlike")
    pictures = studio.painted(given, sitting, measure)
    repainted: list[str] = []
    if count:
        seen = sitting.shown()
        if not seen.face:
            raise InputError("no photo shows the whole face", path=subjects[0].photo if len(subjects) == 1 else None,
                             remedy="bring one that does, or name poses with --pose, which are painted as they are")
        notes = [*seen.notes(), *notes]
        queue = chosen_targets(wishes.asked, seen, [target.name for target in given])
        chosen, repainted = _good_ones(queue, count, lambda some: studio.painted(some, sitting, measure), measure)
        pictures += ranked(chosen)
        if len(chosen) < count:
            notes.append(f"{len(chosen)} pictures instead of {count}: the face is not alike enough in other poses")
    notes += [*_unlike(pictures, measure), *(studio.wardrobe.notes if studio.wardrobe else [])]
    files = deliver(pictures, out, version)
    return _summary(files, pictures, subjects, studio, version, repainted, notes)


def _good_ones(queue: Iterator[Target], count: int, paint: Callable[[list[Target]], list[Picture]],
               measure: Likeness | None) -> tuple[list[Picture], list[str]]:
    """`count` pictures that pass, and of those that did not the pose and the reason."""
    good: list[Picture] = []
    failed: list[Picture] = []
    while len(good) < count and len(good) + len(failed) < _TRIES * count:
        targets = taken(queue, count - len(good))
        if not targets:
            break
        for picture in paint(targets):
            (good if measure is None or _passes(picture) else failed).append(picture)
    if not good:
        best = max((picture.likeness for picture in failed if picture.likeness is not None), default=None)
        what = "no face is found in any" if best is None else f"the most alike has {best:.2f} of {SAME_COSINE}"
        raise InputError(f"none of {len(failed)} pictures looks like the person: {what}",
                         remedy="bring sharper photos of the face, use another --version, or name poses with --pose, "
                                "which are handed over as they are")
    return good, [f"{picture.name}: {_reason(picture)}" for picture in failed]


def _passes(picture: Picture) -> bool:
    if picture.likeness is None:
        return not picture.face_expected
    return picture.likeness >= SAME_COSINE


def _reason(picture: Picture) -> str:
    return "no face is found" if picture.likeness is None else f"the face is unlike ({picture.likeness:.2f})"


def _unlike(pictures: Sequence[Picture], measure: Likeness | None) -> list[str]:
    if measure is None:
        return []
    return [f"{picture.name}: {_reason(picture)}; handed over, for the pose was asked for"
            for picture in pictures if not picture.chosen and not _passes(picture)]


class _Sitting:
    """The person: their own body and what is seen of them, found out when it is asked for first."""

    def __init__(self, subjects: Sequence[Subject], looked: Sequence[Looked], settings: PreprocessSettings) -> None:
        self.subjects, self.looked, self.settings = subjects, looked, settings
        self.bodies: Callable[[], list[Body]] = lru_cache(maxsize=1)(lambda: bodies(subjects, looked, settings))
        self.physique: Callable[[], Physique] = lru_cache(maxsize=1)(lambda: own_physique(self.bodies()))

    def shown(self) -> Shown:
        return shown([one.crop for one in self.looked], self.bodies())


@dataclass(frozen=True)
class _Studio:
    """All that is the same for every picture."""

    model: Reposer
    people: Sequence[Looked]
    dressed: Sequence[Looked]
    wall: Pixels
    transparent: bool
    size: int
    wardrobe: _Wardrobe | None = None

    def painted(self, targets: Sequence[Target], sitting: _Sitting, measure: Likeness | None) -> list[Picture]:
        """A picture for each target."""
        if not targets:
            return []
        if self.wardrobe is None:
            return self._painted(targets, sitting, measure, [one.crop for one in self.dressed])
        out = []
        for target in targets:
            photo, outfit = self.wardrobe.next()
            out += [replace(picture, clothes=photo) for picture in self._painted([target], sitting, measure, [outfit])]
        return out

    def _painted(self, targets: Sequence[Target], sitting: _Sitting, measure: Likeness | None,
                 dressed: Sequence[PersonCrop]) -> list[Picture]:
        maps = [target.map(sitting.physique, sitting.settings) for target in targets]
        shot = shoot(self.model, [one.crop for one in self.people], maps, self.wall, dressed or None, self.size)
        pictures = [Picture(target.name, image, None, face, measure.of(image) if measure else None,
                            target.face, target.chosen, tuple(shot.other_clothes))
                    for target, image, face in zip(targets, shot.images, shot.faces, strict=True)]
        if not self.transparent:
            return pictures
        return [replace(picture, matte=matte) for picture, matte in zip(pictures, shot.mattes, strict=True)]


class _Wardrobe:
    """Clothes by chance, one photo's after the other; each is cut out when it is first worn."""

    def __init__(self, photos: Sequence[Subject], seed: int, settings: PreprocessSettings) -> None:
        self._order, self._settings, self._photos = drawn(photos, seed), settings, len(photos)
        self._cut: dict[Path, PersonCrop | None] = {}
        self.notes: list[str] = []

    def next(self) -> tuple[Path, PersonCrop]:
        """Photo and whoever is in it. Raises `InputError` where nobody can be used in any of the photos."""
        for _ in range(2 * self._photos):
            one = next(self._order)
            if one.photo not in self._cut:
                try:
                    self._cut[one.photo] = cut_out(one, self._settings)
                except InputError as error:
                    if self._photos == 1:
                        raise
                    self._cut[one.photo] = None
                    self.notes.append(f"{one.photo}: not worn: {error.problem}")
            found = self._cut[one.photo]
            if found is not None:
                return one.photo, found
        raise InputError(f"clothes of none of {self._photos} photos can be worn: {self.notes[-1]}",
                         remedy="bring a folder of photos that show somebody")


def _studio(model: Reposer, looked: Sequence[Looked], wishes: Wishes, settings: PreprocessSettings) -> _Studio:
    dressed = [look(one, settings) for one in wishes.clothes]
    size = wishes.size or supported_size([one.crop for one in looked], model.resolution)
    wall = backdrop(size) if wishes.background in (STUDIO, TRANSPARENT) else middle_square(
        read_photo(Path(wishes.background), settings.max_megapixels), size)
    wardrobe = _Wardrobe(wishes.wardrobe, wishes.asked.seed, settings) if wishes.wardrobe else None
    return _Studio(model, looked, dressed, wall, wishes.background == TRANSPARENT, size, wardrobe)


def _summary(files: tuple[list[str], str | None], pictures: Sequence[Picture], subjects: Sequence[Subject],
             studio: _Studio, version: str, repainted: list[str], notes: list[str]) -> SessionSummary:
    order = {id(picture): place for place, picture in enumerate(ranked(pictures), 1)}
    return SessionSummary(
        files[0], studio.size, [str(subjects[picture.source].photo) for picture in pictures],
        sorted({str(subjects[index].photo) for picture in pictures for index in picture.other_clothes}),
        [None if picture.clothes is None else str(picture.clothes) for picture in pictures],
        [picture.name for picture in pictures],
        [None if picture.likeness is None else round(picture.likeness, 3) for picture in pictures],
        [None if picture.likeness is None else order[id(picture)] for picture in pictures],
        files[1], version, repainted, notes)
