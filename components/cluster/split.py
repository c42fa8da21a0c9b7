"""Which identities are trained on, which validate, which test: whole identities, never photos.

Each identity draws a number in 0..1 from a hash of its content and falls into a split by the shares alone. So neither
file names, nor identity names, nor who else is there decide: adding people moves nobody, adding photos only where a
new photo happens to have the least digest, and `cluster.previous` keeps even those in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from components.core.errors import InputError
from components.core.people.identities import SPLITS, Split


def split_identities(photos: Mapping[str, Sequence[str]], validation: float, test: float, seed: int,
                     fixed: Mapping[str, Split] | None = None) -> dict[str, Split]:
    """Split of each identity; `photos` maps an identity to the digests of its photos.

    `validation` and `test` are shares of the identities; the rest is trained on. `fixed` identities keep their split.
    Of people with several photos (who can be re-posed) one is trained on, the second is for testing, the third for
    validation (where its share is above 0) if the draw alone did not see to that: only there, in small sets, does it
    matter who else is there. Raises `InputError` for fewer than two identities.
    """
    if len(photos) < 2:
        raise InputError(f"{len(photos)} {'person' if len(photos) == 1 else 'people'} with a visible face: "
                         "too few to split",
                         remedy="bring photos of at least 2 people (better 10 or more), with their faces seen")
    fixed = fixed or {}
    drawn = {identity: _draw(digests, seed) for identity, digests in photos.items()}
    splits: dict[str, Split] = {
        identity: fixed.get(identity) or ("test" if at < test else "validation" if at < test + validation else "train")
        for identity, at in drawn.items()}
    several = [identity for identity in photos if len(photos[identity]) > 1]
    free = {identity: at for identity, at in drawn.items() if identity not in fixed}
    _keep_promises(splits, several, free, validation)
    if len(several) < 2:
        singles = {identity: at for identity, at in free.items() if identity not in several}
        _keep_promises(splits, list(photos), singles, 0.0)
    return splits


def split_together(photos: Mapping[str, Sequence[str]], follows: Mapping[str, str], validation: float, test: float,
                   seed: int, fixed: Mapping[str, Split] | None = None) -> dict[str, Split]:
    """As `split_identities`, but that each identity in `follows` is in the split of the one it follows.

    Of those who so belong together the one with most photos draws for all. Who has a `fixed` split keeps it.
    """
    fixed = fixed or {}
    leader = {name: name for name in photos}
    for name, other in follows.items():
        one, two = leader[name], leader[other]
        first = min((one, two), key=lambda lead: (-len(photos[lead]), min(photos[lead])))
        leader = {member: first if lead in (one, two) else lead for member, lead in leader.items()}
    leaders = dict.fromkeys(leader.values())
    kept = {lead: found for lead in leaders if (found := _first(fixed, leader, lead)) is not None}
    splits = split_identities({lead: photos[lead] for lead in leaders}, validation, test, seed, kept)
    return {name: fixed.get(name) or splits[lead] for name, lead in leader.items()}


def _first(fixed: Mapping[str, Split], leader: Mapping[str, str], lead: str) -> Split | None:
    """The first of the fixed splits of those who have this leader."""
    found = {fixed[name] for name, one in leader.items() if one == lead and name in fixed}
    return next((split for split in SPLITS if split in found), None)


def _draw(digests: Sequence[str], seed: int) -> float:
    # The least digest: neither the order of the photos nor, mostly, another photo changes it.
    drawn = hashlib.sha256(f"{seed}:{min(digests)}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64


def _keep_promises(splits: dict[str, Split], members: Sequence[str], free: Mapping[str, float],
                   validation: float) -> None:
    """Move the fewest of `members` so that training, test and validation, in this order, have at least one."""
    wanted: list[Split] = ["train", "test", "validation"] if validation > 0 else ["train", "test"]
    for split in wanted[: len(members)]:
        counts = {name: sum(splits[member] == name for member in members) for name in wanted}
        if counts[split]:
            continue
        # From where most are, but nobody's last one who comes first; who drew nearest to the split's end of the range.
        earlier = wanted[: wanted.index(split)]
        spare = [member for member in members
                 if member in free and (splits[member] not in earlier or counts[splits[member]] > 1)]
        if spare:
            most = max(counts.get(splits[member], 0) for member in spare)
            donors = [member for member in spare if counts.get(splits[member], 0) == most]
            ends = {"train": -1.0, "test": 1.0, "validation": 1.0}
            splits[min(donors, key=lambda member: (ends[split] * free[member], member))] = split
