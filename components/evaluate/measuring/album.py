"""The people data set with those looked at lately kept in memory, at the size at which pictures are judged: pairs show
the same few people again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache

from components.core.errors import DataError
from components.core.people.dataset import PeopleDataset, Person
from components.core.people.identities import Identities
from components.core.people.person import PersonCrop
from components.core.settings import EvaluateSettings, PreprocessSettings
from components.core.shooting.shots import density, finer_texel, worth

_MEMORY = 256 * 2**20


class Album:
    """Person by data set index, cut for pictures of `size` px; up to 256 MB of them stay decoded.

    At another size than the networks' own, photo, pose map, matte and an atlas of more texels are cut anew from the
    larger crop, as for pictures of that size (`shots.finer_texel`); `face` and `truth` are None then.
    """

    def __init__(self, people: PeopleDataset, size: int | None = None) -> None:
        self.people = people
        self.ids = people.ids
        self.size = people.resolution if size is None else size
        """Side of the pictures."""
        # Photo, pose map and matte; texture and seen mask.
        self._texel = (finer_texel(people, self.size, people.large, density(self.size)) if self.is_larger
                       else people.texel)
        picture, atlas = 7 * self.size**2, 24 * 4 * self._texel**2
        self._get = _kept(self._cut_whole if self.is_larger else people.__getitem__, picture + atlas)
        self._picture = _kept(self._cut_picture, picture) if self.is_larger else self._get

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

    def picture(self, index: int) -> Person:
        """The same where only the picture counts, which is quicker: the atlas may be that of the networks' own size."""
        return self._picture(index)

    def _cut_whole(self, index: int) -> Person:
        found = self._crop(index).at(self.size, self._texel)
        return replace(self._as_pictured(index, found), texture=found.texture, seen=found.seen)

    def _cut_picture(self, index: int) -> Person:
        return self._as_pictured(index, self._crop(index).picture_at(self.size))

    def _as_pictured(self, index: int, crop: PersonCrop) -> Person:
        return replace(self.own[index], photo=crop.photo, iuv=crop.iuv, matte=crop.matte, face=None, truth=None)

    def _crop(self, index: int) -> PersonCrop:
        """The photo as it was cut out, in the larger crop's pixels."""
        person, large = self.own[index], self.people.larger(index)
        return PersonCrop(person.photo, person.iuv, person.matte, person.texture, person.seen, person.record.box,
                          large.photo, large.iuv, large.matte, PreprocessSettings.model_validate(self.people.settings))


def _kept(read: Callable[[int], Person], each: int) -> Callable[[int], Person]:
    """`read` with those of `each` bytes kept that were read lately."""
    return lru_cache(maxsize=max(16, _MEMORY // each))(read)


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
