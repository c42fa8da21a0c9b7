"""A rough mask becomes a matte: tried on people whose matte and colours are known exactly."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from components.core.errors import InputError
from components.core.landmarks.found import Landmarks
from components.core.matting.refine import Matte, head_of, matte_of, refine
from components.core.pictures.images import Pixels
from components.core.pictures.matte import grabcut_matte
from components.synthesize.figure import build_figure
from components.synthesize.identity import sample_person, stream
from components.synthesize.render import Rendering, render_photo, sample_shot

HEIGHT = 512


@dataclass(frozen=True)
class Truth:
    """A photo with the person's exact matte and colours, and a mask as a network would give it."""

    photo: Rendering
    own: Pixels
    mask: Pixels

    @property
    def alpha(self) -> NDArray[np.float64]:
        return self.photo.matte / 255.0

    @property
    def distance(self) -> NDArray[np.float32]:
        """To the exact outline."""
        person = (self.photo.matte > 127).astype(np.uint8)
        return np.maximum(_within(person), _within(1 - person))


def _within(where: Pixels) -> NDArray[np.float32]:
    return np.asarray(cv2.distanceTransform(where, cv2.DIST_L2, 5), np.float32)


def rough(matte: Pixels, seed: int) -> Pixels:
    """`matte` as if seen by a network of few pixels: small, its outline bent, enlarged."""
    height, width = matte.shape
    small = cv2.resize(matte, (width // 5, height // 5), interpolation=cv2.INTER_AREA)
    bent = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(small.shape).astype(np.float32), (0, 0), 2.5)
    soft = cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.float32) / 255 + 0.18 * bent / bent.std() * (
        cv2.GaussianBlur(small, (0, 0), 1.0) % 255 > 0)
    hard = np.clip((soft - 0.5) * 2 + 0.5, 0, 1)
    return np.asarray(cv2.resize((hard * 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR))


@pytest.fixture(scope="module")
def people() -> list[Truth]:
    found = []
    for index in (9101, 9102):
        figure = build_figure(sample_person(0, index, 1), 0)
        shot = sample_shot(figure, stream(0, index, 3, 0), HEIGHT, back=False)
        photo = render_photo(figure, shot)
        black = render_photo(figure, dataclasses.replace(
            shot, backdrop=np.zeros_like(shot.backdrop), light=dataclasses.replace(shot.light, noise=0)))
        share = np.maximum(photo.matte, 1)[..., None] / 255
        own = np.clip(black.rgb / share, 0, 255).astype(np.uint8)
        found.append(Truth(photo, own, rough(photo.matte, index)))
    return found


@pytest.fixture(scope="module")
def mattes(people: list[Truth]) -> list[Matte]:
    return [refine(one.photo.rgb, one.mask, head=one.photo.head_box) for one in people]


def iou(alpha: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    return float(np.minimum(alpha, exact).sum() / np.maximum(alpha, exact).sum())


def test_a_rough_mask_becomes_the_exact_matte(people: list[Truth], mattes: list[Matte]) -> None:
    shares = []
    for one, matte in zip(people, mattes, strict=True):
        band = one.distance <= 10 * HEIGHT / 1024
        before, after = (np.abs(alpha / 255 - one.alpha)[band].mean() for alpha in (one.mask, matte.alpha))
        assert iou(one.mask / 255, one.alpha) < 0.975 < 0.985 < iou(matte.alpha / 255, one.alpha)
        shares.append(after / before)
    assert max(shares) < 0.35


def test_it_halves_the_error_of_grabcut_at_the_outline(people: list[Truth], mattes: list[Matte]) -> None:
    errors = []
    for one, matte in zip(people, mattes, strict=True):
        height, width = one.mask.shape
        square = np.s_[: min(height, width), : min(height, width)]
        cut = grabcut_matte(np.ascontiguousarray(one.photo.rgb[square]), np.ascontiguousarray(one.photo.iuv[square]),
                            np.zeros(one.mask[square].shape, bool))
        band = one.distance[square] <= 10 * HEIGHT / 1024
        errors.append([np.abs(alpha / 255 - one.alpha[square])[band].mean() for alpha in (matte.alpha[square], cut)])
    ours, theirs = np.mean(errors, axis=0)
    assert ours <= theirs / 2


def test_it_is_certain_away_from_the_outline(people: list[Truth], mattes: list[Matte]) -> None:
    for one, matte in zip(people, mattes, strict=True):
        person, far = one.photo.matte == 255, one.photo.matte == 0
        assert (matte.alpha[person & (one.distance > 16)] == 255).mean() > 0.999
        assert (matte.alpha[far & (one.distance > 16)] == 0).mean() > 0.999
        beyond = far & (one.distance > 24 * HEIGHT / 1024)
        assert (matte.alpha[beyond] > 0.05 * 255).sum() < 1e-4 * matte.alpha.size


def test_the_persons_colours_come_without_the_background(people: list[Truth], mattes: list[Matte]) -> None:
    for one, matte in zip(people, mattes, strict=True):
        opaque = matte.alpha == 255
        assert np.array_equal(matte.foreground[opaque], one.photo.rgb[opaque])
        mixed = (one.photo.matte > 60) & (one.photo.matte < 200)
        errors = [np.abs(colours[mixed].astype(float) - one.own[mixed]).mean()
                  for colours in (matte.foreground, one.photo.rgb)]
        assert errors[0] < errors[1] / 2
        assert np.array_equal(matte.foreground[:2, :2], one.photo.rgb[:2, :2]), "the room's pixels stay"


def test_a_photo_of_another_size_has_the_same_matte(people: list[Truth], mattes: list[Matte]) -> None:
    one, matte = people[0], mattes[0]
    for factor in (0.5, 2.0):
        size = round(one.mask.shape[1] * factor), round(one.mask.shape[0] * factor)
        photo, mask = (cv2.resize(what, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
                       for what in (one.photo.rgb, one.mask))
        other = refine(photo, mask).alpha
        assert other.shape == mask.shape
        exact = cv2.resize(matte.alpha, size, interpolation=cv2.INTER_AREA)
        assert iou(other / 255, exact / 255) > 0.985


def test_people_at_every_border(people: list[Truth], mattes: list[Matte]) -> None:
    one = people[0]
    rows, columns = np.flatnonzero((one.photo.matte > 127).any(1)), np.flatnonzero((one.photo.matte > 127).any(0))
    inner = np.s_[rows[0] + 9 : rows[-1] - 9, columns[0] + 9 : columns[-1] - 9]
    photo, mask = np.ascontiguousarray(one.photo.rgb[inner]), np.ascontiguousarray(one.mask[inner])
    assert iou(refine(photo, mask).alpha / 255, one.alpha[inner]) > 0.98


def test_nobody_and_nothing_else() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    for level in (0, 100):
        nobody = refine(photo, np.full((60, 40), level, np.uint8))
        assert not nobody.alpha.any() and np.array_equal(nobody.foreground, photo)
    everywhere = refine(photo, np.full((60, 40), 255, np.uint8))
    assert (everywhere.alpha == 255).all() and np.array_equal(everywhere.foreground, photo)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3), (40, 40)])
@pytest.mark.parametrize("person", [(1, 1), (2, 3)])
def test_a_person_of_a_pixel(shape: tuple[int, int], person: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 200, np.uint8)
    mask = np.zeros(shape, np.uint8)
    spot = np.s_[shape[0] // 2 : shape[0] // 2 + person[0], shape[1] // 2 : shape[1] // 2 + person[1]]
    mask[spot], photo[spot] = 255, 20
    matte = refine(photo, mask)
    assert matte.alpha.shape == shape and matte.foreground.shape == (*shape, 3)
    assert matte.alpha[mask == 255].min() > 127


def test_a_mask_that_knows_nothing_is_still_answered() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (700, 700, 3), np.uint8)
    mask = np.full((700, 700), 129, np.uint8)
    mask[300:400, 300:400], mask[:40] = 255, 0
    alpha = refine(photo, mask).alpha
    assert alpha[320:380, 320:380].min() > 127 > alpha[:10].max()


def test_a_photo_of_many_megapixels(people: list[Truth], mattes: list[Matte]) -> None:
    one, factor = people[0], 7
    size = one.mask.shape[1] * factor, one.mask.shape[0] * factor
    photo, mask = (cv2.resize(what, size, interpolation=cv2.INTER_LINEAR) for what in (one.photo.rgb, one.mask))
    assert mask.size > 9e6
    matte = refine(photo, mask)
    small = cv2.resize(matte.alpha, one.mask.shape[::-1], interpolation=cv2.INTER_AREA)
    assert iou(small / 255, one.alpha) > 0.98
    opaque = matte.alpha == 255
    assert np.array_equal(matte.foreground[opaque], photo[opaque])


def test_what_a_pose_map_adds_is_decided_by_colour(people: list[Truth]) -> None:
    one = people[0]
    body = one.photo.iuv[..., 0] > 0
    blind = one.mask.copy()
    rows = np.flatnonzero(body.any(1))
    half = (rows[0] + rows[-1]) // 2
    blind[half : half + 60] = 0
    without, given = (iou(refine(one.photo.rgb, blind, silhouette).alpha / 255, one.alpha)
                      for silhouette in (None, body))
    assert given > 0.97 > without


def test_landmarks_and_their_pose_map_give_a_matte(people: list[Truth]) -> None:
    one = people[1]
    assert one.photo.head_box is not None
    x0, y0, x1, y1 = one.photo.head_box
    face = np.zeros((468, 3), np.float32)
    face[:, 0], face[:, 1] = np.linspace(x0, x1, 468), np.linspace(y0, y1, 468)
    points = np.zeros((33, 3), np.float32)
    found = Landmarks(points, points[:, 0], points[:, 0], points, face, None, None, one.mask, 1.0)
    moved = np.roll(one.photo.iuv, (4, 6), (0, 1))
    for iuv in (None, one.photo.iuv, moved):
        assert iou(matte_of(one.photo.rgb, found, iuv).alpha / 255, one.alpha) > 0.99


def test_arrays_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="the mask is 9 x 8 pixels, its photo is 10 x 8"):
        refine(np.zeros((8, 10, 3), np.uint8), np.zeros((8, 9), np.uint8))
    with pytest.raises(InputError, match="the silhouette"):
        refine(np.zeros((8, 10, 3), np.uint8), np.zeros((8, 10), np.uint8), np.zeros((9, 10), np.uint8))


def test_heads_are_found_in_landmarks() -> None:
    body = np.zeros((33, 3), np.float32)
    body[:11, :2] = [(100 + k, 50) for k in range(11)]
    found = Landmarks(body, np.ones(33, np.float32), np.ones(33, np.float32), np.zeros((33, 3), np.float32), None, None,
                      None, np.zeros((200, 200), np.uint8), 0.9)
    box = head_of(found)
    assert box is not None and box[0] < 100 and box[2] > 110 and box[1] < 50 < box[3]
    face = np.zeros((468, 3), np.float32)
    face[:, 0], face[:, 1] = np.linspace(80, 140, 468), np.linspace(20, 100, 468)
    wide = head_of(dataclasses.replace(found, face=face))
    assert wide is not None and wide[0] < 80 and wide[3] > 100
    assert head_of(dataclasses.replace(found, presence=np.zeros(33, np.float32))) is None


@pytest.mark.parametrize("scene", ["gap", "cloth of another white", "cloth of the same white"])
def test_a_gap_that_the_mask_closed_opens_before_a_plain_background(scene: str) -> None:
    """An arm beside a body and the background between them, which a network of few pixels took for the person. White
    cloth is no gap, as long as it is not the background's very white."""
    rng = np.random.default_rng(5)
    photo = np.full((480, 360, 3), 228, np.uint8)
    person = np.zeros((480, 360), np.uint8)
    photo[80:480, 110:200] = (70, 60, 120)
    photo[80:400, 220:236] = (190, 150, 120)
    photo[80:130, 110:236] = (70, 60, 120)
    person[80:480, 110:200] = person[80:400, 220:236] = person[80:130, 110:236] = 255
    if scene != "gap":
        photo[80:480, 110:200] = 250 if scene == "cloth of another white" else 228
    noise = rng.normal(0, 1.0, photo.shape)
    photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
    mask = person.copy()
    mask[200:260, 200:220] = 255
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 3), np.uint8)
    alpha = refine(photo, mask, mask > 127).alpha / 255.0
    gap, cloth = alpha[205:255, 204:216], alpha[150:400, 120:190]
    if scene == "gap":
        assert gap.mean() < 0.1
    assert cloth.mean() > 0.95
