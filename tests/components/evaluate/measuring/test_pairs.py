from dataclasses import replace

import numpy as np

from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.pairs import (
    SAME_CLOTHES,
    EvaluationPair,
    batches,
    choose,
    reposes,
    same_clothes,
    spread,
)


def test_pairs_are_fixed_ordered_and_held_out(world) -> None:
    people, identities = PeopleDataset.open(world.people), Identities.open(world.identities)
    first, again = (choose(people, identities, "test", 10, 0) for _ in range(2))
    other, every = choose(people, identities, "test", 10, 1), choose(people, identities, "test", 10_000, 0)
    assert first.transfer == again.transfer
    assert first.transfer != other.transfer
    assert len(first.transfer) == 10 and len(every.transfer) == every.possible > 10
    assert len({(pair.source, pair.target) for pair in every.transfer}) == every.possible
    for pair in every.transfer:
        assert pair.source != pair.target
        owner = identities.of(people.ids[pair.source])
        assert owner == identities.of(people.ids[pair.target]) == pair.identity
        assert identities.row(people.ids[pair.source]).split == "test"


def test_a_person_with_one_photo_is_reconstructed_never_re_posed(world) -> None:
    people, identities = PeopleDataset.open(world.people), Identities.open(world.identities)
    name, group = next((n, g) for n, g in identities.members(people, "test").items() if len(g) > 1)
    alone = Identities([replace(row, identity=None, split=None) if people.ids.index(row.person_id) in group[1:] else row
                        for row in identities.rows.values()], identities.people_digest, {})
    found = choose(people, alone, "test", 100, 0)
    assert EvaluationPair(int(group[0]), int(group[0]), name, "reconstruction") in found.reconstruction
    assert name not in {pair.identity for pair in found.transfer}


def test_the_same_clothes_are_told_by_their_texture(world) -> None:
    person = PeopleDataset.open(world.people)[0]
    assert same_clothes(person, person)
    dyed = replace(person, texture=(person.texture ^ 0x80))
    assert not same_clothes(person, dyed)
    shade = np.clip(person.texture.astype(int) + int(SAME_CLOTHES) - 5, 0, 255).astype(np.uint8)
    assert same_clothes(person, replace(person, texture=shade))
    assert not same_clothes(person, replace(person, seen=np.zeros_like(person.seen)))


def test_re_posing_is_evaluated_where_the_clothes_are_the_same(world) -> None:
    people = PeopleDataset.open(world.people)
    album = Album(people)
    pairs = [EvaluationPair(0, 0, "a", "transfer"), EvaluationPair(0, len(people) - 1, "a", "transfer")]
    chosen = reposes(album, pairs)
    assert EvaluationPair(0, 0, "a", "repose") in chosen
    assert all(same_clothes(album[pair.source], album[pair.target]) for pair in chosen)


def test_a_choice_shows_as_many_people_as_it_can() -> None:
    pairs = [EvaluationPair(k, k + 1, name, "transfer") for k, name in enumerate("aaabbc")]
    assert [pair.identity for pair in spread(pairs, 4)] == ["a", "b", "c", "a"]
    assert spread(pairs, 100) and len(spread(pairs, 100)) == 6 and spread([], 3) == []
    assert [len(batch) for batch in batches(pairs, 4)] == [4, 2]
