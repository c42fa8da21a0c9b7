"""A photoshoot: a person's photos in; pictures in fitting poses, ranked by likeness, and a contact sheet out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.artifacts.model import GENERATOR
from components.core.errors import InputError
from components.core.faces.sface import SAME_COSINE
from components.core.networks.generator.reposer import Reposer
from components.core.people.person import PersonCrop
from components.core.pictures.backdrop import backdrop
from components.core.pictures.images import read_photo
from components.core.settings import PreprocessSettings
from components.core.shooting.personal.tuning import PersonalSettings, fitted_to
from components.core.shooting.shots import Staged, check_size, middle_square, supported_size
from components.core.shooting.sitting import Body, Looked, Shown, bodies, look, own_physique, shown
from components.core.shooting.subjects import Subject
from components.shoot.delivery import Picture, deliver, ranked
from components.shoot.likeness import Likeness, likeness_to
from components.shoot.outfits import Outfits
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
    personalise: PersonalSettings | None = None
    """How the model is fitted to the person's photos first; None: it is taken as it is."""


@dataclass(frozen=True)
class Personalised:
    """What fitting the model to the person's photos came to."""

    photos: int
    helped: bool
    """Where it did not, the pictures are by the model as it is."""
    before: float
    """Loss in the photo that was kept back, before ..."""
    after: float
    """... and after."""
    cached: bool
    """Whether an earlier photoshoot had done it."""


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
    personalised: Personalised | None
    """What fitting the model to the photos came to; None: it was not asked for."""
    repainted: list[str]
    """Chosen poses whose pictures were not handed over, and why."""
    notes: list[str]


@dataclass(frozen=True)
class Model:
    """A generator, loaded once for any number of pictures."""

    reposer: Reposer
    settings: PreprocessSettings
    """How it wants people cut out."""
    version: str
    """What pictures say made them."""

    @staticmethod
    def load(path: Path, version: str, preprocess: PreprocessSettings | None = None) -> Model:
        """Read generator.safetensors, or the one of a folder. Raises as `Reposer.load`."""
        reposer = Reposer.load(path / GENERATOR if path.is_dir() else path)
        return Model(reposer, (preprocess or PreprocessSettings()).model_copy(
            update={"resolution": reposer.resolution, "texel": reposer.texel}), version)

    def fitted_to(self, person: Person, settings: PersonalSettings) -> tuple[Model, Personalised]:
        """This model fitted to somebody's photos, which its version says, and what that came to: where nothing helped
        it is this very model. Raises as `tuning.fitted_to`."""
        fitted = fitted_to(self.reposer, person.crops, settings)
        came_to = Personalised(fitted.photos, fitted.helped, round(fitted.before, 4), round(fitted.after, 4),
                               fitted.kept)
        if not fitted.helped:
            return self, came_to
        return replace(self, reposer=fitted.model,
                       version=f"{self.version}, personalised on {fitted.photos} photos"), came_to


class Person:
    """Somebody to paint: their photos, looked at; their own body and what is seen of them, found out once, when it is
    asked for first."""

    def __init__(self, subjects: Sequence[Subject], settings: PreprocessSettings,
                 looked: Sequence[Looked] | None = None, names: Sequence[str] | None = None) -> None:
        """`looked` is what `look` made of the photos, where that is known; `names` what to call them in notes."""
        self.subjects, self.settings = subjects, settings
        self.names = [str(one.photo) for one in subjects] if names is None else list(names)
        self._looked = looked

    @cached_property
    def looked(self) -> list[Looked]:
        """The photos, cut out. Raises as `look`."""
        return list(self._looked or [look(subject, self.settings) for subject in self.subjects])

    @cached_property
    def bodies(self) -> list[Body]:
        """Fitted bodies of the photos in which landmarks are found."""
        return bodies(self.subjects, self.looked, self.settings)

    def physique(self) -> Physique:
        """The person's own proportions."""
        return self._physique

    @cached_property
    def _physique(self) -> Physique:
        return own_physique(self.bodies)

    @cached_property
    def shown(self) -> Shown:
        """What the photos show of the person."""
        return shown(self.crops, self.bodies)

    @property
    def crops(self) -> list[PersonCrop]:
        """The person cut out of each photo."""
        return [one.crop for one in self.looked]

    def likeness(self, fetch: bool) -> tuple[Likeness | None, list[str]]:
        """The measure of how alike a face is to theirs, or None; and what is to be said about it. `fetch` as in
        `likeness_to`."""
        if fetch not in self._measures:
            measure, problem = likeness_to([crop.native_photo for crop in self.crops], fetch=fetch)
            strangers = [f"{self.names[number]}: another person than in the other photos? The faces are unlike"
                         for number in (measure.strangers() if measure else [])]
            self._measures[fetch] = measure, [*([problem] if problem else []), *strangers]
        return self._measures[fetch]

    @cached_property
    def _measures(self) -> dict[bool, tuple[Likeness | None, list[str]]]:
        return {}


@dataclass(frozen=True)
class Attempt:
    """A picture that was painted."""

    picture: Picture
    reason: str | None
    """Why it is not handed over and another pose is tried instead; None: it is."""


class Session:
    """One photoshoot: who, as what, by which model. `attempts` paints, one picture after the other."""

    def __init__(self, model: Model, person: Person, wishes: Wishes, dressed: Sequence[Looked] | None = None) -> None:
        """`dressed` is what `look` made of the wishes' clothes, where that is known.

        Raises `InputError` for wishes that go against each other, files that cannot be used, and where no pose fits.
        """
        if wishes.size is not None:
            check_size(wishes.size)
        self._chance, self._given = wishes.asked.by_chance(), given_targets(wishes.asked, model.settings)
        self.personalised: Personalised | None = None
        if wishes.personalise is not None:
            model, self.personalised = model.fitted_to(person, wishes.personalise)
        self._person, self._model = person, model
        clothes = dressed or [look(one, model.settings) for one in wishes.clothes]
        self.size = wishes.size or supported_size(person.crops, model.reposer.resolution)
        self._wall = backdrop(self.size) if wishes.background in (STUDIO, TRANSPARENT) else middle_square(
            read_photo(Path(wishes.background), model.settings.max_megapixels), self.size)
        self._transparent = wishes.background == TRANSPARENT
        self._outfits = Outfits(wishes.wardrobe, wishes.asked.seed, model.settings) if wishes.wardrobe else None
        self._staged = Staged(model.reposer, person.crops, [one.crop for one in clothes] or None, self.size)
        self._measure, self.notes = person.likeness(fetch=self._chance > 0)
        self.notes = list(self.notes)
        if self.personalised is not None and not self.personalised.helped:
            self.notes.append("not personalised: the model is as good on these photos as it is")
        self.repainted: list[str] = []
        self._queue: Iterator[Target] = iter(())
        if self._chance:
            self._queue = self._fitting(wishes.asked)

    def _fitting(self, asked: Asked) -> Iterator[Target]:
        seen, subjects = self._person.shown, self._person.subjects
        if not seen.face:
            raise InputError("no photo shows the whole face", path=subjects[0].photo if len(subjects) == 1 else None,
                             remedy="bring one that does, or choose the poses yourself (--pose): those are painted as "
                                    "they are")
        self.notes = [*seen.notes(), *self.notes]
        return chosen_targets(asked, seen, [target.name for target in self._given])

    @property
    def version(self) -> str:
        """What pictures say made them."""
        return self._model.version

    @property
    def count(self) -> int:
        """How many pictures are asked for."""
        return len(self._given) + self._chance

    def attempts(self) -> Iterator[Attempt]:
        """The pictures as they are painted: poses that were asked for first, then fitting ones until enough pass.

        Whoever stops asking ends the photoshoot. Raises `InputError` where not one in a chosen pose is alike enough.
        """
        for target in self._given:
            picture = self._painted(target)
            if self._measure is not None and not _passes(picture):
                self.notes.append(f"{picture.name}: {_reason(picture)}; handed over, for the pose was asked for")
            yield Attempt(picture, None)
        good, failed = 0, list[Picture]()
        while good < self._chance and good + len(failed) < _TRIES * self._chance and (some := taken(self._queue, 1)):
            picture = self._painted(some[0])
            if self._measure is None or _passes(picture):
                good += 1
                yield Attempt(picture, None)
                continue
            failed.append(picture)
            self.repainted.append(f"{picture.name}: {_reason(picture)}")
            yield Attempt(picture, _reason(picture))
        if self._chance and not good:
            raise _nobody_alike(failed)
        if good < self._chance:
            self.notes.append(f"{good} pictures instead of {self._chance}: the face is not alike enough in other poses")

    def _painted(self, target: Target) -> Picture:
        pose = target.map(self._person.physique, self._model.settings)
        staged, worn = self._staged, None
        if self._outfits is not None:
            worn, outfit, note = self._outfits.next()
            staged = staged.dressed_as(outfit)
            self.notes += note
        shot = staged.shoot([pose], self._wall)
        image = shot.images[0]
        return Picture(target.name, image, shot.mattes[0] if self._transparent else None, shot.faces[0],
                       self._measure.of(image) if self._measure else None, target.face, target.chosen,
                       tuple(shot.other_clothes), worn)


def photoshoot(model: Path, subjects: Sequence[Subject], wishes: Wishes, out: Path, version: str, *,
               preprocess: PreprocessSettings | None = None) -> SessionSummary:
    """Paint a person in poses that were asked for, or in fitting ones, into the folder `out`.

    `model` is generator.safetensors or its folder, `version` what the pictures say made them. A picture in a chosen
    pose in which no face is found, or one unlike the person's (`SAME_COSINE`), is painted again in another pose.
    Raises `InputError` for what cannot be used, and where not one picture in a chosen pose is alike enough.
    """
    loaded = Model.load(model, version, preprocess)
    session = Session(loaded, Person(subjects, loaded.settings), wishes)
    painted = [attempt.picture for attempt in session.attempts() if attempt.reason is None]
    pictures = in_order(painted)
    return _summary(deliver(pictures, out, session.version), pictures, subjects, session)


def in_order(pictures: Sequence[Picture]) -> list[Picture]:
    """Pictures in poses that were asked for, in their order; then those in chosen poses, the most alike first."""
    return [*(one for one in pictures if not one.chosen), *ranked([one for one in pictures if one.chosen])]


def _nobody_alike(failed: Sequence[Picture]) -> InputError:
    best = max((picture.likeness for picture in failed if picture.likeness is not None), default=None)
    what = "no face is found in any" if best is None else f"the most alike has {best:.2f} of {SAME_COSINE}"
    return InputError(f"none of {len(failed)} pictures looks like the person: {what}",
                      remedy="bring sharper photos of the face, use another version (--version), or choose the poses "
                             "yourself (--pose): those are handed over as they are")


def _passes(picture: Picture) -> bool:
    if picture.likeness is None:
        return not picture.face_expected
    return picture.likeness >= SAME_COSINE


def _reason(picture: Picture) -> str:
    return "no face is found" if picture.likeness is None else f"the face is unlike ({picture.likeness:.2f})"


def _summary(files: tuple[list[str], str | None], pictures: Sequence[Picture], subjects: Sequence[Subject],
             session: Session) -> SessionSummary:
    order = {id(picture): place for place, picture in enumerate(ranked(pictures), 1)}
    return SessionSummary(
        files[0], session.size, [str(subjects[picture.source].photo) for picture in pictures],
        sorted({str(subjects[index].photo) for picture in pictures for index in picture.other_clothes}),
        [None if picture.clothes is None else str(picture.clothes) for picture in pictures],
        [picture.name for picture in pictures],
        [None if picture.likeness is None else round(picture.likeness, 3) for picture in pictures],
        [None if picture.likeness is None else order[id(picture)] for picture in pictures],
        files[1], session.version, session.personalised, session.repainted, session.notes)
