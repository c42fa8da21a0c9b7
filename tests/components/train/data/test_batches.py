from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from components.core.errors import InputError
from components.core.networks.generator.warp import mirrored_poses, sample_atlas
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.people.sources import merge
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS
from components.train.data.augment import prepare, random_backgrounds
from components.train.data.batches import Batches, same_outfit

MakePeople = Callable[..., tuple[Path, Path]]


def batches(made: tuple[Path, Path], **changes: float) -> Batches:
    dataset = PeopleDataset.open(made[0])
    groups = list(Identities.open(made[1]).members(dataset, "train").values())
    return Batches(dataset, groups, **{"batch": 8, "reconstruction": 0.25, "seed": 0, **changes})  # type: ignore[arg-type]


def test_a_step_is_a_function_of_seed_and_number(make_people: MakePeople) -> None:
    made = make_people()
    one, other = batches(made), batches(made)
    for step in (5, 0, 5):
        assert one.slots(step) == other.slots(step)
    assert one.slots(1) != one.slots(2)
    assert one.slots(1) != batches(made, seed=1).slots(1)
    for mine, theirs in zip(one[3], other[3], strict=True):
        planes = [one if isinstance(one, tuple) else (one,) for one in (mine, theirs)]
        assert all(torch.equal(a, b) for a, b in zip(*planes, strict=True))


def test_pairs_are_of_one_person_never_self_pairs_and_never_of_the_test_split(make_people: MakePeople) -> None:
    made = make_people()
    sampled = batches(made, reconstruction=0.0)
    ids = PeopleDataset.open(made[0]).ids
    seen = set()
    for step in range(100):
        for slot in sampled.slots(step):
            owners = {ids[index].split("-")[0] for index in (*slot[:4], *slot.more)}
            assert len(owners) == 1
            assert slot.face != slot.target
            seen |= owners
    assert seen == {"p0", "p1"}  # p2 has one photo, p3 is the test split


def test_people_with_one_photo_are_reconstructed(make_people: MakePeople) -> None:
    sampled = batches(make_people(), reconstruction=1.0)
    slots = [slot for step in range(40) for slot in sampled.slots(step)]
    assert all(len(set(slot[:4])) == 1 and not slot.more for slot in slots)
    assert {slot.target for slot in slots} == set(range(7))
    only = batches(make_people(side=32, counts=(1, 1, 2)), reconstruction=0.0)
    assert only.pairs == 0 and all(len(set(slot[:4])) == 1 for slot in only.slots(0))


def test_clothes_come_from_another_photo_of_the_outfit_where_there_is_one(make_people: MakePeople) -> None:
    made = make_people()
    sampled = batches(made, reconstruction=0.0)
    people = sampled.photos
    slots = [slot for step in range(100) for slot in sampled.slots(step)]
    for slot in slots:
        assert same_outfit((people[slot.clothes].texture, people[slot.clothes].seen),
                           (people[slot.target].texture, people[slot.target].seen))
        assert slot.skirt in (slot.face, slot.clothes) and slot.skirt != slot.target
    others = [slot for slot in slots if slot.clothes != slot.target]
    assert 0.35 < len(others) / len(slots) < 0.65


def test_the_splice_takes_head_and_hands_from_one_and_garments_from_the_other(make_people: MakePeople) -> None:
    sampled = batches(make_people(), reconstruction=0.0, batch=16)
    slots = sampled.slots(0)
    examples = sampled.examples(slots)
    for k, slot in enumerate(slots):
        for parts, index in ((BODY_PARTS, slot.face), (GARMENT_PARTS, slot.clothes)):
            tiles = [part - 1 for part in parts]
            assert np.array_equal(examples.textures[k].numpy()[tiles], sampled.photos[index].texture[tiles])
            assert np.array_equal(examples.seen[k].numpy()[tiles], sampled.photos[index].seen[tiles])
        assert np.array_equal(examples.target[0][k].numpy(), sampled.photos[slot.target].photo)
        assert examples.leaks[k].tolist() == [slot.clothes == slot.target, False]


def test_answers_are_the_truth_where_it_is_known_and_sources_never(make_people: MakePeople) -> None:
    sampled = batches(make_people(truth=True), reconstruction=0.5, batch=16)
    slots = sampled.slots(0)
    examples = sampled.examples(slots)
    for k, slot in enumerate(slots):
        target = sampled.photos[slot.target]
        assert target.truth is not None and not np.array_equal(target.truth[..., :3], target.photo)
        assert np.array_equal(examples.target[0][k].numpy(), target.truth[..., :3])
        assert np.array_equal(examples.target[1][k].numpy(), target.truth[..., 3])
        assert np.array_equal(examples.target[2][k].numpy(), target.iuv)
        assert np.array_equal(examples.face[0][k].numpy(), sampled.photos[slot.face].photo)
        assert np.array_equal(examples.face[1][k].numpy(), sampled.photos[slot.face].matte)


def test_several_photos_of_a_person_make_one_source(make_people: MakePeople) -> None:
    made = make_people()
    sampled = batches(made, reconstruction=0.0, sources=3)
    slots = [slot for step in range(60) for slot in sampled.slots(step)]
    several = [slot for slot in slots if slot.more]
    assert 0.2 < len(several) / len(slots) < 0.6 and max(len(slot.more) for slot in several) == 2
    assert all(slot.target not in slot.more and slot.face not in slot.more for slot in several)
    assert not any(slot.more for step in range(20) for slot in batches(made, sources=1).slots(step))
    body = [part - 1 for part in BODY_PARTS]
    examples, people = sampled.examples(several[:8]), sampled.photos
    for k, slot in enumerate(several[:8]):
        texture, seen = merge([(people[index].texture, people[index].seen) for index in (slot.face, *slot.more)])
        assert np.array_equal(examples.textures[k].numpy()[body], texture[body])
        assert np.array_equal(examples.seen[k].numpy()[body], seen[body])


def test_another_outfit_never_gets_into_the_clothes(make_people: MakePeople) -> None:
    sampled = batches(make_people(), reconstruction=0.0, sources=4)
    people = sampled.photos
    garments = [part - 1 for part in GARMENT_PARTS]
    for slot in [slot for step in range(30) for slot in sampled.slots(step) if slot.more]:
        texture, seen = (plane.numpy() for plane in (sampled.examples([slot]).textures[0],
                                                     sampled.examples([slot]).seen[0]))
        target = people[slot.target]
        both = seen[garments] & target.seen[garments]
        assert np.abs(texture[garments][both].astype(int) - target.texture[garments][both]).mean() < 20


def test_outfits_need_overlap_and_agreement() -> None:
    texture = np.full((24, 8, 8, 3), 100, np.uint8)
    everything = np.ones((24, 8, 8), bool)
    assert same_outfit((texture, everything), (texture + 19, everything))
    assert not same_outfit((texture, everything), (texture + 21, everything))
    front = everything.copy()
    front[:, :4] = False
    assert not same_outfit((texture, front), (texture, ~front))


def test_nobody_to_train_on_is_an_error(make_people: MakePeople) -> None:
    with pytest.raises(InputError, match="no identity to train on"):
        Batches(PeopleDataset.open(make_people()[0]), [], batch=1, reconstruction=0.0, seed=0)


def test_one_colour_change_holds_for_atlas_photos_and_answer(make_people: MakePeople) -> None:
    sampled = batches(make_people(), reconstruction=1.0)
    examples = sampled[0]
    torch.manual_seed(1)
    batch = prepare(examples, torch.device("cpu"), augment=True)
    assert not torch.equal(batch.photos, prepare(examples, torch.device("cpu"), augment=False).photos)
    assert torch.equal(batch.source.face.images, batch.photos)  # the same photo, changed the same way
    atlas = sample_atlas(torch.cat((batch.source.textures, batch.source.seen), 2), batch.poses)
    known = (atlas[:, 3:] > 0.99).expand(-1, 3, -1, -1)
    assert known.sum() > 1000
    assert (atlas[:, :3] - batch.photos).abs()[known].median() < 0.06
    assert batch.photos.abs().max() <= 1 and batch.source.textures.abs().max() <= 1


def test_half_of_the_examples_are_mirror_images(make_people: MakePeople) -> None:
    examples = batches(make_people(), reconstruction=0.0, batch=16)[0]
    torch.manual_seed(0)
    batch = prepare(examples, torch.device("cpu"), augment=True)
    as_is = examples.target[2].permute(0, 3, 1, 2)
    turned, kept = ((batch.poses == poses).flatten(1).all(1) for poses in (mirrored_poses(as_is), as_is))
    assert 3 < turned.sum() < 13 and (turned ^ kept).all()
    for one, is_turned in enumerate(turned.tolist()):
        there = examples.face[1][one].flip(-1) if is_turned else examples.face[1][one]
        shown = batch.source.face.mattes[one, 0] * 255
        assert torch.equal(shown, there.float()) or not shown.any()  # or the photo is left out


def test_what_is_the_answers_own_is_hidden_more(make_people: MakePeople) -> None:
    made = make_people()
    kept = {}
    for share in (0.0, 1.0):
        sampled = batches(made, reconstruction=share, batch=64)
        examples = sampled[0]
        torch.manual_seed(0)
        batch = prepare(examples, torch.device("cpu"), augment=True)
        shown = (batch.source.face.mattes.flatten(1).amax(1) > 0).float().mean().item()
        kept[share] = (batch.source.seen.sum() / examples.seen.sum()).item(), shown
    assert kept[1.0][0] < kept[0.0][0] - 0.15 < 0.85
    assert kept[1.0][1] < 0.5 < kept[0.0][1]


def test_without_augmentation_nothing_is_hidden(make_people: MakePeople) -> None:
    examples = batches(make_people())[0]
    batch = prepare(examples, torch.device("cpu"), augment=False)
    assert torch.equal(batch.source.seen[:, :, 0] > 0, examples.seen)
    restored = ((batch.photos + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    assert torch.equal(restored, examples.target[0])


def test_backgrounds_are_never_the_same() -> None:
    one, other = (random_backgrounds(2, 16, torch.device("cpu")) for _ in range(2))
    assert one.shape == (2, 3, 16, 16) and one.abs().max() <= 1
    assert (one - other).abs().mean() > 0.1
