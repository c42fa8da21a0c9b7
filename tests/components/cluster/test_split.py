import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.split import split_identities
from components.core.errors import InputError
from components.core.people.identities import Split


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


def test_shares_of_many() -> None:
    splits = list(split_identities(brought([3] * 800 + [1] * 200), 0.1, 0.2, 0).values())
    shares = [splits.count(name) / 1000 for name in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.04)  # three standard deviations of a draw


def test_more_photos_move_nobody_and_names_do_not_matter() -> None:
    photos = brought([2] * 100)
    before = split_identities(photos, 0.1, 0.2, 0)
    # Digests of added photos are hashes: whether one is the least is chance; here none is.
    more = {name: [*own, "zz-" + name] for name, own in photos.items()}
    assert split_identities(more, 0.1, 0.2, 0) == before
    renamed = {f"other-{name}": own for name, own in reversed(photos.items())}
    after = split_identities(renamed, 0.1, 0.2, 0)
    assert all(after[f"other-{name}"] == split for name, split in before.items())


@given(st.integers(20, 60), st.integers(0, 40), st.integers(0, 5))
def test_more_people_move_nobody(people: int, added: int, seed: int) -> None:
    before = split_identities(brought([2] * people), 0.2, 0.2, seed)
    after = split_identities(brought([2] * (people + added)), 0.2, 0.2, seed)
    moved = [name for name, split in before.items() if after[name] != split]
    # Only where the draw left a split empty does somebody stand in, until more people come.
    assert len(moved) <= 2 and (not moved or min(list(before.values()).count(s) for s in ("test", "validation")) == 1)


def test_who_was_in_a_split_stays_there() -> None:
    photos = brought([2] * 30)
    fixed: dict[str, Split] = {"person-0003": "test", "person-0004": "train", "person-0005": "validation"}
    for seed in range(5):
        splits = split_identities(photos, 0.1, 0.2, seed, fixed)
        assert {name: splits[name] for name in fixed} == fixed


def test_too_few_people() -> None:
    with pytest.raises(InputError, match="too few to split"):
        split_identities(brought([5]), 0.1, 0.2, 0)
