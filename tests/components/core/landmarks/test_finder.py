"""Who is found, where, and who is not."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from components.core.landmarks.finder import Finder, find_people
from components.core.landmarks.found import Landmarks
from components.core.landmarks.mask import agreed_mask, person_mask
from components.core.pictures.images import Pixels
from components.synthesize.identity import stream
from components.synthesize.render import Rendering
from components.synthesize.scene import background

pytestmark = pytest.mark.usefixtures("networks")
FRONT, WHOLE, BEHIND = 13, 9, 15
LEFT, RIGHT = slice(11, 33, 2), slice(12, 33, 2)


def overlap(mask: Pixels, matte: Pixels) -> float:
    mine, truth = mask > 127, matte > 127
    return (mine & truth).sum() / (mine | truth).sum()


def only(photo: Pixels) -> Landmarks:
    (person,) = find_people(photo)
    return person


def test_people_are_found_with_their_outlines(renderings: dict[int, Rendering]):
    for seed, rendering in renderings.items():
        person = only(rendering.rgb)
        assert person.score > 0.6, seed
        assert overlap(person.mask, rendering.matte) > 0.93, seed
        assert person.mask.dtype == np.uint8 and person.mask.shape == rendering.matte.shape
        assert person.body.shape == (33, 3) and person.world.shape == (33, 3)
        assert (person.face is None) == (seed == BEHIND)
        if person.face is not None:
            left, top, right, bottom = rendering.head_box
            middle = person.face[:, :2].mean(0)
            assert left < middle[0] < right and top < middle[1] < bottom


def test_left_is_the_persons_left_seen_from_the_front_and_from_behind(renderings):
    for seed, side in ((FRONT, 1), (BEHIND, -1)):
        body = only(renderings[seed].rgb).body
        assert (body[11, 0] - body[12, 0]) * side > 0 and (body[23, 0] - body[24, 0]) * side > 0


def test_a_mirrored_photo_gives_mirrored_points(renderings):
    photo = renderings[WHOLE].rgb
    person, mirrored = only(photo), only(np.ascontiguousarray(photo[:, ::-1]))
    back = mirrored.body[:, :2] * (-1, 1) + (photo.shape[1], 0)
    apart = np.concatenate([back[RIGHT] - person.body[LEFT, :2], back[LEFT] - person.body[RIGHT, :2]])
    side = np.ptp(person.body[:, 1])
    assert np.abs(apart.mean(0)).max() < 0.01 * side
    assert np.median(np.hypot(*apart.T)) < 0.015 * side


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_people_may_lie_or_stand_on_their_heads(renderings, quarters):
    photo = renderings[WHOLE].rgb
    upright, turned = only(photo), only(np.ascontiguousarray(np.rot90(photo, quarters)))
    height, width = photo.shape[:2]
    x, y = upright.body[:, 0], upright.body[:, 1]
    places = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[quarters]
    apart = np.hypot(*(turned.body[:, :2].T - np.stack(places)))[upright.visibility > 0.5]
    assert np.median(apart) < 0.01 * height
    assert overlap(turned.mask, np.rot90(upright.mask, quarters)) > 0.96
    assert turned.world[LEFT, 2].mean() == pytest.approx(upright.world[LEFT, 2].mean(), abs=0.05)


@pytest.mark.parametrize("height", [200, 2600])
def test_the_size_of_the_photo_does_not_matter(renderings, height):
    photo = renderings[FRONT].rgb
    scale = height / photo.shape[0]
    person = only(photo)
    other = only(cv2.resize(photo, (round(photo.shape[1] * scale), height), interpolation=cv2.INTER_AREA))
    apart = np.hypot(*(other.body[:, :2] / scale - person.body[:, :2]).T)
    assert np.median(apart[person.visibility > 0.5]) < 0.01 * photo.shape[0]
    assert other.mask.shape[0] == height


def test_two_people_are_two_the_larger_first(renderings):
    near, far = renderings[FRONT].rgb, cv2.resize(renderings[WHOLE].rgb, None, fx=0.6, fy=0.6)
    photo = np.full((512, 384 + far.shape[1], 3), 128, np.uint8)
    photo[:, :384], photo[512 - far.shape[0]:, 384:] = near, far
    people = find_people(photo)
    assert len(people) == 2
    assert people[0].body[0, 0] < 384 < people[1].body[0, 0]
    assert np.array_equal(Finder(most=1)(photo)[0].body, people[0].body)


def test_a_person_far_away_is_found(renderings):
    small = cv2.resize(renderings[FRONT].rgb, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    photo = np.full((1200, 1600, 3), small[:4].mean((0, 1)).astype(np.uint8), np.uint8)
    photo[700:700 + small.shape[0], 1200:1200 + small.shape[1]] = small
    head = only(photo).body[0]
    assert 1200 < head[0] < 1200 + small.shape[1] and 700 < head[1] < 700 + small.shape[0]


def test_a_person_in_the_dark_is_found(renderings):
    rng = np.random.default_rng(3)
    dark = 0.25 * renderings[FRONT].rgb + rng.normal(0, 9, renderings[FRONT].rgb.shape)
    person = only(np.clip(dark, 0, 255).astype(np.uint8))
    assert np.median(np.hypot(*(person.body - only(renderings[FRONT].rgb).body)[:25, :2].T)) < 15


def test_a_face_that_the_photo_cuts_off_is_none(renderings):
    whole = renderings[FRONT].rgb
    mouth = only(whole).face[13, 1]
    person = only(np.ascontiguousarray(whole[round(mouth):]))
    assert person.face is None
    assert person.body[11, 1] > 0, "the shoulders are still there"


def test_nobody_is_found_where_nobody_is():
    rng = np.random.default_rng(0)
    places = [np.rint(255 * background(stream(5, number), 320, 240)).astype(np.uint8) for number in (1, 11)]
    blobs = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 8, 3), np.uint8), (600, 500),
                       interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 256, (200, 200, 3), np.uint8)
    for photo in (*places, blobs, noise, np.full((1, 1, 3), 200, np.uint8)):
        assert find_people(photo) == []


def test_threads_and_processes_may_share_a_finder(renderings):
    finder = pickle.loads(pickle.dumps(Finder()))
    photos = [renderings[seed].rgb for seed in (FRONT, WHOLE)]
    alone = [finder(photo)[0].body for photo in photos]
    with ThreadPoolExecutor(2) as pool:
        together = [people[0].body for people in pool.map(finder, photos)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_same_photo_gives_the_same_numbers(renderings):
    first, second = (only(renderings[FRONT].rgb) for _ in range(2))
    assert np.array_equal(first.body, second.body) and np.array_equal(first.mask, second.mask)


def test_the_second_opinion_brings_the_outline_nearer_to_the_exact_one(renderings):
    gains = []
    for rendering in renderings.values():
        (reading,) = Finder().readings(rendering.rgb)
        body = reading.body
        first = person_mask(body.mask, body.square, *rendering.matte.shape)
        second = agreed_mask(rendering.rgb, body.mask, body.square)
        gains.append(overlap(second, rendering.matte) - overlap(first, rendering.matte))
    assert np.mean(gains) > 0
    assert np.min(gains) > -0.01


def test_the_second_opinion_makes_nobody_of_somebody_else(renderings):
    """Beside a person, another one is in the second network's picture: the mask stays the first's."""
    photo = np.hstack([renderings[FRONT].rgb, renderings[1].rgb])
    people = find_people(photo)
    assert len(people) == 2
    for person in people:
        mine = person.body[0, 0] < renderings[FRONT].rgb.shape[1]
        half = person.mask[:, 384:] if mine else person.mask[:, :384]
        assert (half > 127).mean() < 0.02
