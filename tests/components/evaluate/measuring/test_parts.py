import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import needs_weights

from components.core.faces.head import CHIP, cut_face, similarity_to
from components.core.faces.yunet import faces_in
from components.core.networks.pretrained.features import BodyParts, part_agreement
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.pictures.images import read_photo
from components.core.settings import EvaluateSettings
from components.evaluate.measuring import quality
from components.evaluate.measuring.album import Album
from components.evaluate.measuring.facefind import Trial
from components.evaluate.measuring.finder import KINDS, NO_FACES, BuiltinFinder, YunetFinder, finder_for
from components.evaluate.measuring.intervals import Resampler
from components.evaluate.measuring.measure import Instruments, Measured, Reals, measure_reals
from components.evaluate.measuring.pairs import EvaluationPair
from components.evaluate.measuring.parts import PARTS, limb, part_errors


def test_a_part_answers_for_its_own_pixels_only(draw_head) -> None:
    pose = draw_head(height=60)
    truth = np.full((1, *pose.shape), 100, np.uint8)
    wrong = truth.copy()
    wrong[0][np.isin(pose[..., 0], PARTS["face"])] += 51
    face, hands, upper, lower = part_errors(wrong, truth, pose[None])[0]
    assert face == pytest.approx(0.2) and upper == 0
    assert np.isnan(hands) and np.isnan(lower)


def test_a_head_from_behind_is_no_face(draw_head) -> None:
    pose = draw_head(height=60, yaw=180, torso=1)
    errors = part_errors(np.zeros((1, *pose.shape), np.uint8), np.zeros((1, *pose.shape), np.uint8), pose[None])[0]
    assert np.isnan(errors[0]) and errors[2] == 0


def dressed(legs: tuple[int, int, int]) -> SimpleNamespace:
    texture = np.zeros((24, 8, 8, 3), np.uint8)
    texture[22:24] = (214, 160, 130)
    texture[22:24, :3] = (60, 40, 30)  # hair
    texture[10:14] = legs
    seen = np.ones((24, 8, 8), bool)
    return SimpleNamespace(texture=texture, seen=seen)


@pytest.mark.parametrize(("legs", "expected"), [((214, 160, 130), "bare"), ((140, 100, 80), "bare"),
                                                ((40, 60, 140), "covered"), ((30, 120, 40), "covered")])
def test_a_limb_of_the_skins_colour_is_bare(legs: tuple[int, int, int], expected: str) -> None:
    person = dressed(legs)
    assert limb(person, (11, 12, 13, 14)) == expected
    person.seen[10:14] = False
    assert limb(person, (11, 12, 13, 14)) == "unseen"


def test_agreement_counts_places_and_tells_left_from_right() -> None:
    wanted = torch.tensor([[[0, 2, 2, 9], [0, 13, 14, 3], [0, 0, 0, 0], [0, 0, 0, 0]]])
    assert part_agreement(wanted, wanted) == 1
    swapped = wanted.clone()
    swapped[wanted == 9] = 7  # the back of the same leg
    assert part_agreement(swapped, wanted) == 1
    swapped[wanted == 13], swapped[wanted == 14] = 14, 13
    assert part_agreement(swapped, wanted) == pytest.approx(4 / 6)
    assert part_agreement(torch.zeros_like(wanted), wanted) == 0


def test_the_reader_of_poses_knows_whose_pose_it_is(world) -> None:
    people = PeopleDataset.open(world.people)
    album, members = Album(people), Identities.open(world.identities).members(people, "test")
    instruments = Instruments(EvaluateSettings(), "synthetic")
    reals = measure_reals(album, members, instruments)
    photos = [album[int(index)] for index in reals.indices]
    pictures = torch.from_numpy(np.stack([photo.photo for photo in photos])).permute(0, 3, 1, 2).float() / 127.5 - 1
    others = torch.from_numpy(np.stack([photo.iuv[..., 0] for photo in photos[1:] + photos[:1]]))
    assert reals.pose.mean() > 0.5 > BodyParts().agreement(pictures, others).mean() + 0.1


def photos(found: int, count: int, prefix: str = "p", taken: int = 0) -> Reals:
    """Real photos of people with four each, of which the finder finds `found` faces and takes the non-faces of `taken`
    for faces; what it misses is spread over the people."""
    order = np.random.default_rng(count + found).permutation(count)
    scores = np.where(order < found, 1.0, -1.0)
    none = np.repeat(np.where(order < taken, 1.0, -1.0)[:, None], len(KINDS), axis=1)
    nothing = np.zeros((count, 2))
    return Reals(np.arange(count), [f"{prefix}{k // 4}" for k in range(count)], nothing, nothing,
                 np.ones(count, bool), np.ones(count), scores, none)


def outputs(scores: np.ndarray) -> Measured:
    count = len(scores)
    return Measured({}, np.zeros((count, 4)), np.zeros((count, 2)), np.zeros((count, 2)),
                    np.isfinite(scores), scores)


def test_faces_are_found_where_there_are_faces() -> None:
    held = photos(39, 40)
    trial = Trial((photos(158, 160, "t"), held), 0)
    pairs = [EvaluationPair((k + 1) % 40, k, f"p{k // 4}", "transfer") for k in range(40)]
    resampler = Resampler([pair.identity for pair in pairs], 100, 0)
    assert trial.reason == "" and trial.finds.low > 0.95 and trial.mistakes.high < 0.1
    found = trial.share(pairs, outputs(np.where(np.arange(40) < 30, 2.0, np.nan)), held, resampler)
    assert found.value == 0.75 and found.low < 0.7 and found.high > 0.8  # no face to look at is none found


@pytest.mark.parametrize(("finds", "taken", "count", "says"), [
    (33, 0, 40, "too few to tell"),  # 82 % of 40, as the field has it: neither good nor bad
    (36, 0, 40, "too few to tell"), (20, 0, 40, "cannot be relied on"),
    (600, 0, 800, "cannot be relied on"), (398, 200, 400, "cannot be relied on"), (398, 60, 400, "too few to tell"),
    (4, 0, 4, "too few to tell"), (396, 4, 400, "^$")])
def test_a_finder_is_believed_by_its_interval(finds: int, taken: int, count: int, says: str) -> None:
    held = photos(finds, count, taken=taken)
    trial = Trial((held,), 0)
    assert re.search(says, trial.reason)
    pair = EvaluationPair(1, 0, "p0", "transfer")
    metric = trial.share([pair], outputs(np.ones(1)), held, Resampler(["p0"], 100, 0))
    assert (metric.value is None) == bool(trial.reason) and metric.reason == trial.reason


def test_where_no_photo_shows_a_face_there_is_no_finder() -> None:
    blank = photos(4, 4)
    blank.face_score[:], blank.no_faces[:] = np.nan, np.nan
    assert "no photo shows a face" in Trial((blank,), 0).reason


def test_the_shipped_finder_tells_faces_from_what_is_made_of_them(world) -> None:
    people = PeopleDataset.open(world.people)
    album = Album(people)
    finder, looked = BuiltinFinder(), [album[k] for k in range(len(people))]
    pictures = quality.to_torch(np.stack([quality.over(one.photo, one.matte) for one in looked]))
    poses = np.stack([one.iuv for one in looked])
    scores, none = finder.scores(pictures, poses), finder.tried(pictures, poses)
    shown = np.isfinite(scores)
    assert shown.sum() >= 12 and none.shape == (len(looked), len(KINDS))
    assert np.array_equal(np.isfinite(none).all(axis=1), shown)
    assert (scores[shown] > 0).mean() >= 0.9 and (none[shown] > 0).mean() <= 0.1


def test_real_faces_are_found_by_yunet_and_what_is_made_of_them_is_not(shared_data: Path) -> None:
    needs_weights("yunet")
    paths = sorted((shared_data / "faces" / "lfw10x10").glob("*/*.jpg"))[2::3]
    if not paths:
        pytest.skip("no portraits beside the repository")
    finder = finder_for("photos")
    assert isinstance(finder, YunetFinder) and isinstance(finder_for("synthetic"), BuiltinFinder)
    side, seen = CHIP + 2 * finder.around, []
    for photo in map(read_photo, paths):
        turn, shift = similarity_to(faces_in(photo)[0].points, CHIP)
        seen.append(cut_face(photo, (turn, shift - turn * complex(finder.around, finder.around)), side))
    faces = quality.to_torch(np.stack(seen))
    assert (finder._scores(faces) > 0).mean() >= 0.9
    inner = slice(finder.around, -finder.around)
    for name in ("shuffled", "smeared", "upside down"):
        made = faces.clone()
        made[..., inner, inner] = NO_FACES[name](faces[..., inner, inner])
        assert (finder._scores(made) > 0).mean() <= 0.2, name  # measured: at most .17 of thirty
    assert (finder._scores(faces.flip(2, 3)) <= 0).all()  # the whole picture on its head
    assert (finder._scores(torch.zeros_like(faces[:1])) <= 0).all()
