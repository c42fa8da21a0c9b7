"""Several photos of a person as one source: what a model is given for them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.networks.generator.reposer import Output, Reposer, SourceBatch
from components.core.people.dataset import PeopleDataset
from components.core.people.person import PersonCrop, person_from_photo
from components.core.pictures import texture
from components.core.pictures.iuv import BODY_PARTS, GARMENT_PARTS
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.core.shooting.shots import shoot

SETTINGS = PreprocessSettings.model_validate(
    {"resolution": 64, "texel": 16, "min_person": 8, "matte": "silhouette"})
_BODY, _GARMENT = ([part - 1 for part in parts] for parts in (BODY_PARTS, GARMENT_PARTS))


class Asked:
    """Stands for a model: keeps what it was asked."""

    resolution = 64

    def repose(self, source: SourceBatch, poses: np.ndarray, backgrounds: np.ndarray) -> Output:
        self.source = source
        return Output(backgrounds, np.zeros(poses.shape[:3], np.uint8))


def asked(photos: PersonCrop | Sequence[PersonCrop], poses: Sequence[np.ndarray], **more: object) -> SourceBatch:
    model = Asked()
    shoot(cast(Reposer, model), photos, poses, **more)  # type: ignore[arg-type]
    return model.source


@pytest.fixture(scope="module")
def albums(tmp_path_factory: pytest.TempPathFactory, cut_out: Callable[..., None]) -> list[dict[str, list[PersonCrop]]]:
    """Of synthetic people, each in one outfit, the photos by the side from which they are seen."""
    root = tmp_path_factory.mktemp("albums")
    cut_out(root, SynthesizeSettings.model_validate(
        {"people": 3, "photos_per_person": 6, "outfits_per_person": 1, "height": 128, "back_views": 0.4}))
    people, found = PeopleDataset.open(root / "people"), dict[str, dict[str, list[PersonCrop]]]()
    for index, (name, view) in enumerate(zip(people.ids, people.column("view"), strict=True)):
        person = people[index]
        crop = person_from_photo(person.photo, person.iuv, SETTINGS, person.matte)
        found.setdefault(people.labels[name], {}).setdefault(str(view), []).append(crop)
    return [album for album in found.values() if len(album.get("front", [])) >= 2 and len(album.get("back", [])) >= 2]


def warp_error(source: SourceBatch, answer: PersonCrop) -> float:
    """Absolute difference, 0 to 1, of the source's atlas looked up in the answer's pose, inside the person."""
    full, _ = texture.complete(source.textures[0], source.seen[0])
    image, valid = texture.sample(full, answer.iuv)
    inside = valid & (answer.matte > 250)
    return float(np.abs(image[inside].astype(int) - answer.photo[inside]).mean() / 255)


def test_two_photos_from_opposite_sides_show_more_and_come_nearer_to_hidden_views(albums: list) -> None:
    errors = []
    assert len(albums) >= 2
    for album in albums:
        front, back = album["front"][0], album["back"][0]
        for hidden in (album["front"][1], album["back"][1]):
            sources = [asked(photos, [hidden.iuv]) for photos in ([front, back], front, back)]
            both, *alone = (int(source.seen.sum()) for source in sources)
            assert both > 1.3 * max(alone)
            errors.append([warp_error(source, hidden) for source in sources])
    both, *alone = np.mean(errors, axis=0)
    assert both < 0.9 * min(alone)


def test_the_photos_order_does_not_matter(albums: list) -> None:
    photos = [*albums[0]["front"][:2], albums[0]["back"][0]]
    poses = [albums[1]["front"][0].iuv, albums[1]["back"][0].iuv]
    batches = [asked(order, poses) for order in permutations(photos)]
    for name, array in vars(batches[0]).items():
        assert all(np.array_equal(getattr(batch, name), array) for batch in batches[1:]), name
    chosen = []
    for order in permutations(range(3)):
        shot = shoot(cast(Reposer, Asked()), [photos[index] for index in order], poses)
        chosen.append([order[view] for view in shot.faces])
    assert all(faces == chosen[0] for faces in chosen)


def test_each_pose_gets_face_and_light_of_the_photo_that_fits(albums: list) -> None:
    front, back = albums[0]["front"][0], albums[0]["back"][0]
    poses = [albums[1]["back"][0].iuv, albums[1]["front"][0].iuv]
    batch = asked([front, back], poses)
    assert batch.photos is not None and batch.clothes_photos is not None
    for at, leads in enumerate((back, front)):
        assert np.array_equal(batch.photos[at], leads.photo)
        assert np.array_equal(batch.clothes_photos[at], leads.photo)
        assert np.array_equal(batch.textures[at][leads.seen], leads.texture[leads.seen])
    assert shoot(cast(Reposer, Asked()), [front, back], poses).faces == [1, 0]


def test_other_clothes_are_not_mixed_in(albums: list) -> None:
    front, second, back = albums[0]["front"][0], albums[0]["front"][1], albums[0]["back"][0]
    worn = second.texture.copy()
    worn[_GARMENT] = 255 - worn[_GARMENT]
    # Half of what it shows: not the photo that leads.
    half = second.seen & (np.random.default_rng(0).random(second.seen.shape) < 0.5)
    other = replace(second, texture=worn, seen=half)
    pose = [albums[1]["front"][0].iuv]
    without, together = asked([front, back], pose), asked([other, front, back], pose)
    assert np.array_equal(together.textures[0][_GARMENT], without.textures[0][_GARMENT])
    assert together.seen[0][_BODY].sum() >= without.seen[0][_BODY].sum()
    shot = shoot(cast(Reposer, Asked()), [other, front, back], pose)
    assert shot.other_clothes == [0]
    # In a darker light they are still the same clothes.
    darker = replace(second, texture=(second.texture * 0.6).astype(np.uint8))
    assert shoot(cast(Reposer, Asked()), [second, darker], pose).other_clothes == []


def test_one_photo_is_given_as_it_is_alone_in_a_list_or_twice(albums: list) -> None:
    one, pose = albums[0]["front"][0], [albums[1]["front"][0].iuv]
    alone = asked(one, pose)
    assert np.array_equal(alone.textures[0], one.texture) and np.array_equal(alone.seen[0], one.seen)
    assert alone.clothes_photos is None  # the same photo
    for batch in (asked([one], pose), asked([one, one], pose)):
        for name in ("textures", "seen", "photos", "mattes", "poses"):
            assert np.array_equal(getattr(batch, name), getattr(alone, name))


def test_several_photos_of_somebody_else_s_clothes(albums: list) -> None:
    subject, (front, back) = albums[0]["front"][0], (albums[1]["front"][0], albums[1]["back"][0])
    pose = [albums[1]["back"][1].iuv]
    dressed, single = (asked(subject, pose, clothes=clothes) for clothes in ([front, back], front))
    assert np.array_equal(dressed.textures[0][_BODY], subject.texture[_BODY])
    assert dressed.seen[0][_GARMENT].sum() > single.seen[0][_GARMENT].sum()
    assert dressed.clothes_photos is not None and np.array_equal(dressed.clothes_photos[0], back.photo)


def test_no_photo_and_no_pose_are_refused(albums: list) -> None:
    one = albums[0]["front"][0]
    with pytest.raises(InputError, match="no photo"):
        asked([], [one.iuv])
    with pytest.raises(InputError, match="no target pose"):
        asked(one, [])


def test_photos_of_different_size_go_together(albums: list, tmp_path: Path) -> None:
    front, back = albums[0]["front"][0], albums[0]["back"][0]
    # The same person in a photo of three times the size, off its middle.
    wide = [np.kron(plane, np.ones((3, 3, 1), np.uint8)) for plane in (back.native_photo, back.native_iuv)]
    large = person_from_photo(*(np.pad(plane, ((0, 0), (90, 10), (0, 0))) for plane in wide), SETTINGS)
    pose = [albums[1]["back"][0].iuv]
    given, again = asked([front, back], pose), asked([front, large], pose)
    assert again.textures.shape == given.textures.shape
    both = given.seen[0] & again.seen[0]
    assert both.sum() > 0.8 * given.seen[0].sum()
    assert np.abs(given.textures[0][both].astype(int) - again.textures[0][both]).mean() < 12
