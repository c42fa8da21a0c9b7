"""The people data set with those looked at lately kept in memory: pairs show the same few people again and again."""

from __future__ import annotations

from functools import lru_cache

from components.core.people.dataset import PeopleDataset, Person

_MEMORY = 256 * 2**20


class Album:
    """Person by data set index; up to 256 MB of them stay decoded."""

    def __init__(self, people: PeopleDataset) -> None:
        self.people = people
        self.ids = people.ids
        # Photo, pose map and matte; texture and seen mask.
        each = 7 * people.resolution**2 + 24 * 4 * people.texel**2
        self._get = lru_cache(maxsize=max(16, _MEMORY // each))(people.__getitem__)

    def __getitem__(self, index: int) -> Person:
        """The person; treat the arrays as read-only, others look at them too."""
        return self._get(index)
