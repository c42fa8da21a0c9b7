"""Clothes by chance: one photo's after the other, each cut out when it is first worn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.core.errors import InputError
from components.core.people.person import PersonCrop
from components.core.settings import PreprocessSettings
from components.core.shooting.subjects import Subject, cut_out
from components.core.shooting.wardrobe import drawn


class Outfits:
    """Photos of clothes in an order of chance, by `seed`."""

    def __init__(self, photos: Sequence[Subject], seed: int, settings: PreprocessSettings) -> None:
        self._order, self._settings, self._photos = drawn(photos, seed), settings, len(photos)
        self._cut: dict[Path, PersonCrop | None] = {}
        self._problem = ""

    def next(self) -> tuple[Path, PersonCrop, list[str]]:
        """A photo, whoever is in it, and which others could not be used.

        Raises `InputError` where nobody can be used in any of the photos.
        """
        notes: list[str] = []
        for _ in range(2 * self._photos):
            one = next(self._order)
            if one.photo not in self._cut:
                try:
                    self._cut[one.photo] = cut_out(one, self._settings)
                except InputError as error:
                    if self._photos == 1:
                        raise
                    self._cut[one.photo] = None
                    self._problem = f"{one.photo}: not worn: {error.problem}"
                    notes.append(self._problem)
            found = self._cut[one.photo]
            if found is not None:
                return one.photo, found, notes
        raise InputError(f"clothes of none of {self._photos} photos can be worn: {self._problem}",
                         remedy="bring a folder of photos that show somebody")
