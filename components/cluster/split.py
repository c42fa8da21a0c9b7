"""Which identities are trained on, which validate, which test: whole identities, never photos.

The order in which identities are drawn is a hash of their content, so it depends neither on file names nor on who
else is there: adding photos or people moves at most the few identities at the borders of the shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from components.core.errors import InputError
from components.core.identities import Split


def split_identities(photos: Mapping[str, Sequence[str]], validation: float, test: float,
                     seed: int) -> dict[str, Split]:
    """Split of each identity; `photos` maps an identity to the digests of its photos.

    `validation` and `test` are shares of the identities; the rest is trained on. People with several photos (who can
    be re-posed) and with one are split each by these shares. As far as there are people with several photos, the
    first goes to training, the second to testing, the third to validation (where its share is above 0), whatever the
    shares. Raises `InputError` for fewer than two identities.
    """
    if len(photos) < 2:
        raise InputError(f"{len(photos)} {'person' if len(photos) == 1 else 'people'} with a visible face: "
                         "too few to split",
                         remedy="bring photos of at least 2 people (better 10 or more), with their faces seen")
    drawn = sorted(photos, key=lambda identity: _draw(photos[identity], seed))
    several = [identity for identity in drawn if len(photos[identity]) > 1]
    single = [identity for identity in drawn if len(photos[identity]) == 1]
    all_validation, all_test = _counts(len(drawn), validation, test)
    of_several = _counts(len(several), validation, test)
    to_test = min(max(all_test - of_several[1], 0), len(single))
    to_validation = min(max(all_validation - of_several[0], 0), len(single) - to_test)
    return _cut(several, *of_several) | _cut(single, to_validation, to_test)


def _draw(digests: Sequence[str], seed: int) -> str:
    # The least digest: neither the order of the photos nor, mostly, another photo changes it.
    return hashlib.sha256(f"{seed}:{min(digests)}".encode()).hexdigest()


def _counts(people: int, validation: float, test: float) -> tuple[int, int]:
    """How many of `people` validate and test: one goes to training first, then one to testing, one to validation."""
    if people < 2:
        return 0, 0
    to_test = max(1, round(test * people))
    to_validation = max(1, round(validation * people)) if validation > 0 and people > 2 else 0
    while to_test + to_validation >= people:  # small numbers round up
        if to_validation > to_test:
            to_validation -= 1
        else:
            to_test -= 1
    return to_validation, to_test


def _cut(drawn: Sequence[str], to_validation: int, to_test: int) -> dict[str, Split]:
    tested, validated = set(drawn[:to_test]), set(drawn[to_test : to_test + to_validation])
    return {identity: "test" if identity in tested else "validation" if identity in validated else "train"
            for identity in drawn}
