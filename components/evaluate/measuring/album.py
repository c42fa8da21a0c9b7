"""The people data set with those looked at lately kept in memory, at the size at which pictures are judged: pairs show
the same few people again and again."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache

from components.core.errors import DataError
from components.core.people.dataset import PeopleDataset, Person
from components.core.people.identities import Identities
from components.core.people.person import PersonCrop
from components.core.settings import EvaluateSettings, PreprocessSettings
from components.core.shooting.shots import finer_cut, finer_texel, worth

_MEMORY = 256 * 2**20


class Album:
    """Person by data set index, cut for pictures of `size` px; up to 256 MB of them stay decoded.

    At another size than the networks' own, photo, pose map, matte and an atlas of more texels are cut anew from the
    larger crop, as for pictures of that size (`shots.finer_cut`); `face` and `truth` are None then.
    """

    def __init__(self, people: PeopleDataset, size: int | None = None) -> None:
        self.people = people
        self.ids = people.ids
        self.size = people.resolution if size is None else size
        """Side of the pictures."""
        texel = finer_texel(people, self.size) if self.is_larger else people.texel
        # Photo, pose map and matte; texture and seen mask.
        each = 7 * self.size**2 + 24 * 4 * texel**2
        self._get = lru_cache(maxsize=max(16, _MEMORY // each))(self._cut if self.is_larger else people.__getitem__)

    @property
    def is_larger(self) -> bool:
        """Whether it shows people at another size than the networks' own."""
        return self.size != self.people.resolution

    @cached_property
    def own(self) -> Album:
        """The same people at the networks' own size."""
        return Album(self.people) if self.is_larger else self

    def __getitem__(self, index: int) -> Person:
        """The person; treat the arrays as read-only, others look at them too."""
        return self._get(index)

    def _cut(self, index: int) -> Person:
        person, large = self.own[index], self.people.larger(index)
        settings = PreprocessSettings.model_validate(self.people.settings)
        crop = PersonCrop(person.photo, person.iuv, person.matte, person.texture, person.seen, person.record.box,
                          large.photo, large.iuv, large.matte, settings)
        found = finer_cut(self.people, self.size)(crop)
        return replace(person, photo=found.photo, iuv=found.iuv, matte=found.matte, texture=found.texture,
                       seen=found.seen, face=None, truth=None)


def album_for(people: PeopleDataset, identities: Identities, settings: EvaluateSettings) -> Album:
    """The people at the size at which `settings` have them judged.

    Raises `DataError` for a size that the data set keeps no crops for, or identities of other people.
    """
    own = people.resolution
    if settings.size is None:
        return Album(people, _supported(people, identities, settings) if people.large else own)
    if settings.size != own and not own <= settings.size <= people.large:
        kept = f"larger crops of {people.large} px" if people.large else "no larger crops"
        raise DataError(f"evaluate.size={settings.size}: these people have {own} px and {kept}", path=people.path,
                        remedy=f"leave evaluate.size out, or preprocess with preprocess.large={settings.size}"
                        if settings.size > own else f"evaluate.size={own} or more")
    return Album(people, settings.size)


def _supported(people: PeopleDataset, identities: Identities, settings: EvaluateSettings) -> int:
    """The side that half of the photos support of those that are judged."""
    boxes = people.column("box")
    groups = identities.members(people, settings.split).values()
    native = sorted(boxes[int(index)][2] - boxes[int(index)][0] for group in groups for index in group)
    return worth(native[len(native) // 2], people.resolution, people.large) if native else people.resolution
