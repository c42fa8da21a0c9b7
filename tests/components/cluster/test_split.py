import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.split import split_identities
from components.core.errors import InputError


def brought(sizes: list[int]) -> dict[str, list[str]]:
    return {f"person-{n:04d}": [f"digest-{n}-{k}" for k in range(size)] for n, size in enumerate(sizes)}


SHARES = st.tuples(st.floats(0, 0.45), st.floats(0.01, 0.5))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=40), SHARES, st.integers(0, 5))
def test_everybody_is_in_one_split_and_those_with_several_photos_come_first(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    photos = brought(sizes)
    validation, test = shares
    splits = split_identities(photos, validation, test, seed)
    assert set(splits) == set(photos)
    assert {"train", "test"} <= set(splits.values())
    several = [splits[identity] for identity, own in photos.items() if len(own) > 1]
    assert not several or "train" in several
    assert len(several) < 2 or "test" in several
    if validation == 0:
        assert "validation" not in splits.values()
    elif len(several) > 2:
        assert "validation" in several
    # Shares hold to one identity of each kind, except that each kind's first ones are promised.
    assert abs(list(splits.values()).count("test") - test * len(sizes)) <= 2
    assert abs(list(splits.values()).count("validation") - validation * len(sizes)) <= 2


def test_shares_of_many() -> None:
    splits = list(split_identities(brought([3] * 800 + [1] * 200), 0.1, 0.2, 0).values())
    assert [splits.count(name) for name in ("train", "validation", "test")] == [700, 100, 200]


def test_more_photos_move_nobody_and_names_do_not_matter() -> None:
    photos = brought([2] * 100)
    before = split_identities(photos, 0.1, 0.2, 0)
    # Digests of added photos are hashes: whether one is the least is chance; here none is.
    more = {name: [*own, "zz-" + name] for name, own in photos.items()}
    assert split_identities(more, 0.1, 0.2, 0) == before
    renamed = {f"other-{name}": own for name, own in reversed(photos.items())}
    after = split_identities(renamed, 0.1, 0.2, 0)
    assert all(after[f"other-{name}"] == split for name, split in before.items())


def test_more_people_move_few() -> None:
    before = split_identities(brought([2] * 100), 0.1, 0.2, 0)
    after = split_identities(brought([2] * 110), 0.1, 0.2, 0)
    assert sum(after[name] != split for name, split in before.items()) <= 6


def test_another_seed_draws_others() -> None:
    photos = brought([2] * 50)
    assert split_identities(photos, 0.1, 0.2, 0) != split_identities(photos, 0.1, 0.2, 1)


@pytest.mark.parametrize("people", [0, 1])
def test_too_few_people(people: int) -> None:
    with pytest.raises(InputError, match=r"too few to split.*bring photos of at least 2 people"):
        split_identities(brought([5] * people), 0.1, 0.2, 0)
