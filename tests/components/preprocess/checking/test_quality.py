import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.core.errors import InputError
from components.core.people.crop import cut
from components.core.people.person import framing
from components.core.pictures.images import read_photo
from components.core.pictures.iuv import crop_iuv, read_iuv, write_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings
from components.preprocess.checking.quality import check_person, duplicates, grey_of, perceptual_hash, sharpness
from components.preprocess.run import preprocess
from components.synthesize import photos_of

Crops = list[tuple[np.ndarray, np.ndarray]]
SETTINGS = PreprocessSettings()


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.fixture(scope="module")
def synthetic() -> Crops:
    crops = []
    for person in range(4):
        for _, _, photo in photos_of(SynthesizeSettings(people=9, photos_per_person=2), person):
            box = framing(photo.iuv, SETTINGS)
            crops.append((cut(photo.rgb, box), crop_iuv(photo.iuv, box)))
    return crops


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Crops:
    crops = []
    for path in sorted((shared_data / "people" / "photos").iterdir()):
        photo = read_photo(path)
        iuv = read_iuv(shared_data / "people" / "iuv" / f"{path.stem}.png").planes
        box = framing(iuv, SETTINGS)
        crops.append((cut(photo, box), crop_iuv(iuv, box)))
    return crops


def _sharpness(photo: np.ndarray, iuv: np.ndarray) -> float:
    found = sharpness(grey_of(photo), iuv)
    assert found is not None
    return found


def _blurred(photo: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(photo, (0, 0), share * photo.shape[0]), np.uint8)


@pytest.mark.parametrize("kind", ["synthetic", "real"])
def test_the_default_takes_sharp_people_and_refuses_blurred_ones(
        kind: str, request: pytest.FixtureRequest) -> None:
    for photo, iuv in request.getfixturevalue(kind):
        check_person(grey_of(photo), iuv, SETTINGS)
        with pytest.raises(InputError, match=r"blurred: sharpness .* lower preprocess.min_sharpness"):
            check_person(grey_of(_blurred(photo, 0.012)), iuv, SETTINGS)


def test_sharpness_means_detail_per_body_and_not_contrast_or_size(synthetic: Crops) -> None:
    photo, iuv = synthetic[0]
    sharp = _sharpness(photo, iuv)
    large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    large_iuv = cv2.resize(iuv, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    assert _sharpness(large, large_iuv) == pytest.approx(sharp, rel=0.5)
    dim = (photo.astype(float) * 0.5 + 20).astype(np.uint8)
    assert _sharpness(dim, iuv) == pytest.approx(sharp, rel=0.25)
    falling = [_sharpness(_blurred(photo, share), iuv) for share in (0.004, 0.008, 0.012)]
    assert sharp > falling[0] > falling[1] > falling[2]


def test_too_little_body_says_nothing_about_sharpness() -> None:
    iuv = np.zeros((40, 40, 3), np.uint8)
    iuv[5:10, 5:10] = 2
    assert sharpness(np.zeros((40, 40), np.uint8), iuv) is None


def test_a_head_that_is_too_small_is_refused(synthetic: Crops) -> None:
    photo, iuv = synthetic[0]
    large = SETTINGS.model_copy(update={"min_head": 200})
    with pytest.raises(InputError, match=r"the head is only \d+ pixels high .* preprocess\.min_head \(200\)"):
        check_person(grey_of(photo), iuv, large)
    headless = iuv.copy()
    headless[headless[..., 0] >= 23] = 0
    check_person(grey_of(photo), headless, large)


def _again(photo: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8)


@pytest.mark.parametrize("kind", ["synthetic", "real"])
def test_the_default_tells_the_same_picture_from_another(kind: str, request: pytest.FixtureRequest) -> None:
    photos = [photo for photo, _ in request.getfixturevalue(kind)]
    hashes = [perceptual_hash(grey_of(photo)) for photo in photos]
    for photo, known in zip(photos, hashes, strict=True):
        half = cv2.resize(photo, (photo.shape[1] // 2, photo.shape[0] // 2), interpolation=cv2.INTER_AREA)
        for copy in (_again(photo, 90), half):
            assert apart(known, perceptual_hash(grey_of(copy))) <= SETTINGS.repeats
    assert duplicates({str(i): one for i, one in enumerate(hashes)}, SETTINGS.repeats) == {}


_HASHES = st.lists(st.integers(0, 2**24 - 1).map(lambda n: f"{n & 0xFF00FF:06x}"), max_size=25)


def _plainly(hashes: dict[str, str], distance: int) -> dict[str, str]:
    """The definition: each against all that stay before it."""
    stays: list[str] = []
    left_out = {}
    for id, one in hashes.items():
        first = next((other for other in stays if apart(one, hashes[other]) <= distance), None)
        if first is None:
            stays.append(id)
        else:
            left_out[id] = first
    return left_out


@settings(deadline=None)
@given(_HASHES, st.integers(0, 6))
def test_duplicates_are_those_near_an_earlier_one_that_stays(hashes: list[str], distance: int) -> None:
    named = {f"p{number}": one for number, one in enumerate(hashes)}
    assert duplicates(named, distance) == _plainly(named, distance)


def test_many_hashes_take_no_square_of_time() -> None:
    dice = random.Random(5)
    hashes = {f"p{number:05d}": f"{dice.getrandbits(576):0144x}" for number in range(1500)}
    first = hashes["p00007"]
    hashes |= {f"q{number:05d}": f"{int(first, 16) ^ (1 << number % 576):0144x}" for number in range(1500)}
    left_out = duplicates(hashes, 10)
    assert left_out == {f"q{number:05d}": "p00007" for number in range(1500)}
    assert duplicates(hashes, -1) == {} == duplicates({}, 3)


def test_a_picture_saved_again_is_left_out_with_the_name_of_the_first(
        tmp_path: Path) -> None:
    folder = tmp_path / "brought"
    (folder / "iuv").mkdir(parents=True)
    for number, (_, _, photo) in enumerate(photos_of(SynthesizeSettings(people=2, photos_per_person=3), 0)):
        Image.fromarray(photo.rgb).save(folder / f"p{number}.png")
        write_iuv(folder / "iuv" / f"p{number}.png", photo.iuv)
    Image.open(folder / "p1.png").save(folder / "a1.jpg", quality=90)
    (folder / "iuv" / "a1.png").write_bytes((folder / "iuv" / "p1.png").read_bytes())
    small = PreprocessSettings(resolution=64, texel=16, matte="silhouette")
    summary = preprocess(folder, tmp_path / "people", small)
    (left_out,) = summary.rejected
    assert left_out["photo"] == "p1.png" and "a1.jpg" in left_out["reason"] and summary.accepted == 3
    every = preprocess(folder, tmp_path / "all", small.model_copy(update={"repeats": -1}))
    assert every.accepted == 4
