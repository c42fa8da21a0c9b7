"""The experiment's own measures, methods and page; the trainings it compares are tested where they are."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from components.core.errors import InputError
from components.core.people.dataset import Person
from components.core.pictures.texture import unwrap
from components.core.presets import preset
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.intervals import Metric, missing
from components.evaluate.measuring.methods import Rendered, SourceCopy, TextureWarp, truth
from components.evaluate.measuring.pairs import EvaluationPair, PairSet
from pipelines.experiments.identity import page
from pipelines.experiments.identity.curve import Curve
from pipelines.experiments.identity.methods import MeanPhoto, MirroredHeadWarp, NearestPhoto, SeveralSources
from pipelines.experiments.identity.regions import measure_regions, regions, sharpness
from pipelines.experiments.identity.study import BASELINES, Findings, Row, made_people

SIDE, TEXEL = 64, 16


def somebody(name: str, head: int, shirt: int, shift: int = 0, columns: slice = slice(None)) -> Person:
    """A head over a torso, each of one grey level with a pattern, with hair beside the head that no chart covers."""
    iuv = np.zeros((SIDE, SIDE, 3), np.uint8)
    for part, top, bottom, left, right in ((23, 6, 24, 20, 32), (24, 6, 24, 32, 44), (2, 26, 58, 16, 48)):
        rows, across = np.linspace(255, 0, bottom - top), np.linspace(0, 255, right - left)
        u, v = np.meshgrid(across, rows) if part > 20 else np.meshgrid(255 - across, rows)[::-1]
        place = (slice(top, bottom), slice(left + shift, right + shift))
        iuv[place] = np.stack([np.full_like(u, part), u, v], -1)
    pattern = 30 * (np.indices((SIDE, SIDE)).sum(0) % 7 < 3)
    grey = np.where(iuv[..., 0] > 20, head, shirt) + pattern
    photo = np.repeat(grey[..., None], 3, -1).astype(np.uint8)
    matte = (iuv[..., 0] > 0).astype(np.uint8) * 255
    matte[6:24, 14 + shift : 20 + shift] = 255
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:, columns] = True
    texture, seen = unwrap(photo, iuv, TEXEL, mask)
    return Person(name, photo, iuv, matte, texture, seen, cast(Any, None))


class Folder:
    """Stands in for an album."""

    def __init__(self, *people: Person) -> None:
        self._people = people

    def __getitem__(self, index: int) -> Person:
        return self._people[index]

    picture, is_larger = __getitem__, False


def album(*people: Person) -> Album:
    return cast(Album, Folder(*people))


def test_each_region_is_where_it_says() -> None:
    half = somebody("a", 180, 90, columns=slice(0, 32))
    whole = somebody("b", 180, 90)
    found = regions(EvaluationPair(0, 1, "p", "repose"), half, whole)
    assert (found.head > 0).sum() == 18 * 24 and found.head_box.sum() == 18 * 24
    assert (found.off_body > 0).sum() == 18 * 6 and not (found.off_body * (whole.iuv[..., 0] > 0)).any()
    assert found.unseen[:, 36:][whole.iuv[:, 36:, 0] > 0].mean() > 0.9 and not found.unseen[:, :30].any()
    dressed = regions(EvaluationPair(0, 1, "p", "transfer"), half, whole)
    assert not dressed.unseen[26:].any() and dressed.unseen[:24].any()  # the clothes are the target's own


def test_the_truth_has_no_error_and_a_copy_has_one_where_it_is_wrong() -> None:
    people, pair = album(somebody("a", 180, 90), somebody("b", 180, 140)), EvaluationPair(0, 1, "p", "transfer")

    class Truth:
        name = "truth"
        render = staticmethod(truth)

    perfect = measure_regions(people, [pair], cast(Any, Truth()))
    assert perfect.head_psnr[0] == pytest.approx(50) and perfect.off_body_l1[0] == 0
    assert perfect.sharpness[0] == pytest.approx(perfect.true_sharpness[0])
    copied = measure_regions(people, [pair], SourceCopy())
    assert copied.head_psnr[0] > 40  # the same head
    warped = measure_regions(people, [pair], TextureWarp())
    assert warped.off_body_l1[0] > 0.05  # hair: nothing of it is in the atlas
    assert np.isnan(warped.unseen_l1[0])  # everything was seen


def test_blur_lowers_sharpness() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    wide = picture.astype(int)
    blurred = ((wide[:-1, :-1] + wide[1:, :-1] + wide[:-1, 1:] + wide[1:, 1:]) // 4).astype(np.uint8)
    weight = np.ones((32, 32))
    assert sharpness(blurred, weight[:-1, :-1]) < 0.7 * sharpness(picture, weight)
    assert sharpness(np.full((32, 32, 3), 7, np.uint8), weight) == 0
    assert np.isnan(sharpness(picture, weight * 0))


def test_the_copy_cat_returns_a_photo_it_was_trained_on() -> None:
    people = album(somebody("a", 180, 90), somebody("b", 178, 92, 4), somebody("c", 60, 200), somebody("d", 60, 200, 4))
    trained = [np.asarray([1]), np.asarray([2, 3])]
    output = NearestPhoto(trained).render(people, [EvaluationPair(0, 0, "p", "repose")], 128)
    assert np.array_equal(output.poses[0], people[1].iuv)
    dark = NearestPhoto(trained).render(people, [EvaluationPair(2, 3, "p", "repose")], 128)
    assert np.array_equal(dark.poses[0], people[3].iuv)  # of the right person the photo in the target pose


def test_the_mean_is_the_same_whoever_is_asked_for() -> None:
    people = album(somebody("a", 200, 100), somebody("b", 100, 100))
    mean = MeanPhoto(people, [np.asarray([0]), np.asarray([1])])
    pairs = [EvaluationPair(0, 1, "p", "repose"), EvaluationPair(1, 0, "q", "repose")]
    one, other = mean.render(people, pairs, 128).images
    assert np.array_equal(one, other)
    assert abs(int(one[15, 30, 0]) - int(people[0].photo[15, 30, 0]) // 2 - int(people[1].photo[15, 30, 0]) // 2) <= 2


def test_the_mirrored_head_warp_mirrors_heads_and_leaves_the_rest_at_the_mean() -> None:
    half, whole = somebody("a", 180, 90, columns=slice(0, 32)), somebody("b", 180, 90)
    pair = EvaluationPair(0, 1, "p", "repose")
    image = MirroredHeadWarp().render(album(half, whole), [pair], 0).images[0].astype(int)
    mean = half.texture[half.seen].mean()
    assert abs(image[8:22, 34:42].mean() - 195) < 20  # the head's other half, brightness 180 to 210
    assert np.abs(image[30:56, 38:46] - mean).max() <= 1  # the shirt's other half: nothing but the mean
    assert np.abs(image[30:56, 18:28] - whole.photo[30:56, 18:28]).max() <= 30  # what was seen, where it was


def test_more_photos_show_more_and_never_the_answer() -> None:
    people = album(somebody("a", 180, 90, columns=slice(0, 30)), somebody("b", 180, 90, columns=slice(30, 64)),
                   somebody("c", 180, 90))
    pair, members = EvaluationPair(0, 2, "p", "repose"), [np.arange(3)]
    assert [SeveralSources(count, members, None).sources(pair) for count in (1, 2, 4)] == [[0], [0, 1], [0, 1]]
    one, two = (SeveralSources(count, members, None).render(people, [pair], 0) for count in (1, 2))
    assert isinstance(two, Rendered)
    assert np.abs(two.images.astype(int) - truth(people, [pair], 0).images).mean() <= np.abs(
        one.images.astype(int) - truth(people, [pair], 0).images).mean()


def test_a_curve_knows_when_a_distance_was_reached() -> None:
    curve = Curve([(1, 2.0, 0.5), (2, 4.0, 0.3), (3, 6.0, 0.35)])
    assert curve.seconds_to(0.4) == 4.0 and curve.seconds_to(0.5) == 2.0 and curve.seconds_to(0.1) is None
    assert curve.seconds == 6.0 and Curve().seconds == 0.0


def test_a_curve_outlives_an_interruption(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    curve = Curve.open(path, "this training")
    curve.add(2, 3.0, 0.5)
    curve.add(4, 6.0, 0.4)
    again = Curve.open(path, "this training")  # goes on from a checkpoint after step 2
    assert again.points == curve.points and again.before(4) == [(2, 3.0, 0.5)]
    again.add(4, 5.0, 0.45)
    assert Curve.open(path, "this training").points == [(2, 3.0, 0.5), (4, 5.0, 0.45)]
    assert Curve.open(path, "another training").points == []
    path.write_text("{")
    assert Curve.open(path, "this training").points == []


def test_the_page_says_what_was_found_and_what_was_not(tmp_path: Any) -> None:
    names = ("identity_recovered", "face_similarity", "head_psnr", "head_box_psnr", "unseen_l1", "off_body_l1",
             "sharpness", "perceptual", "ssim",
             *(f"{one.name}/{name}" for one in BASELINES
               for name in ("head_gain", "head_box_gain", "unseen_ratio", "off_body_ratio")))
    row = Row("texture_warp", {name: Metric(0.5, 0.25, 0.75, 9, "identity") for name in names}
              | {"unseen_l1": missing("nothing to measure")})
    curves = {"paper": Curve(), "warp": Curve([(1, 3.0, 0.084), (2, 12.0, 0.08)])}
    findings = Findings(
        preset("demo"), 30, 4, {"transfer": [row, dataclasses.replace(row, name="warp")]}, {"transfer": 9}, curves, 0.1,
        [dataclasses.replace(row, name="model_2")], 5, "builtin-judge",
        {"paper": tmp_path, "warp": tmp_path}, PairSet([], [], 0, {}))  # fmt: skip
    text = page.markdown(findings)
    assert "| texture warp | 0.50 [0.25, 0.75] |" in text and "| – |" in text
    assert "| warp | 3 | 3 | not reached | 0.080 | 12 |" in text and "| paper | not reached |" in text
    assert text.splitlines()[2].endswith(": 0.50 [0.25, 0.75] with `warp`.**")
    assert "`paper` and `warp`: 600 steps" in text and "a GAN from" not in text
    later = dataclasses.replace(findings, settings=preset("demo").with_changes(["train.gan_start=0.5"]),
                                models={"warp": tmp_path})
    assert "`warp`: 600 steps of 8 pairs, width 16, a GAN from 50% of them on" in page.markdown(later)
    assert "--preset demo --generator warp`" in page.markdown(later) and "--preset demo`" in text
    assert "Several photos of the person (5 pairs)" in text and "`builtin-judge`" in text


def test_people_and_identities_go_together(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="go together"):
        made_people(tmp_path, None, tmp_path, preset("smoke"))
    assert made_people(tmp_path, tmp_path / "i", tmp_path, preset("smoke")) == (tmp_path, tmp_path / "i")
