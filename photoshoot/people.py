"""People data sets: what `photoshoot preprocess` writes."""

from __future__ import annotations

from pathlib import Path

from components.core.people.dataset import PeopleDataset


def open_people(folder: str | Path) -> PeopleDataset:
    """Open a people data set: a folder that `photoshoot preprocess` wrote, or one on gs://.

    Opening reads where each person lies, not the pictures; ``people[0]`` reads one `Person`: `photo` uint8 RGB
    [S, S, 3], `iuv` uint8 [S, S, 3] as (I, U, V), `matte` uint8 [S, S] with 255 = person, `texture` uint8
    [24, N, N, 3] and `seen` bool [24, N, N], S and N being ``people.resolution`` and ``people.texel``.

    Raises `DataError` for a folder that is no people data set, has another format version or a torn manifest;
    `InputError` or `MachineError` where gs:// does not give it.
    """
    return PeopleDataset.open(folder)
