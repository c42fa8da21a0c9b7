from types import SimpleNamespace

import numpy as np
import pytest
import torch

from components.core.networks.features import BodyParts, part_agreement
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.settings import EvaluateSettings
from components.evaluate.album import Album
from components.evaluate.facefind import FaceFinder
from components.evaluate.intervals import Resampler
from components.evaluate.measure import Instruments, Measured, Reals, measure_reals
from components.evaluate.pairs import Case
from components.evaluate.parts import PARTS, limb, part_errors


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


def population(random: np.random.Generator, count: int, apart: float, prefix: str) -> Reals:
    faces = random.normal(size=(count, 16)) * 0.3
    none = random.normal(size=(3 * count, 16)) * 0.3
    faces[:, 0] += apart
    none[:, 0] -= apart
    return Reals(np.arange(count), [f"{prefix}{k // 4}" for k in range(count)], faces, faces, np.ones(count, bool),
                 np.ones(count), none)


def answered(faces: np.ndarray) -> Measured:
    nothing = np.zeros(len(faces))
    return Measured(*[nothing] * 6, np.zeros((len(faces), 4)), faces, faces, np.ones(len(faces), bool))


def test_faces_are_found_where_there_are_faces() -> None:
    random = np.random.default_rng(0)
    training, held = population(random, 60, 1.0, "t"), population(random, 40, 1.0, "p")
    finder = FaceFinder(training, held)
    cases = [Case((k + 1) % 40, k, f"p{k // 4}", "transfer") for k in range(40)]
    resampler = Resampler([case.identity for case in cases], 100, 0)
    assert finder.reason == "" and finder.finds > 0.95
    assert finder.share(cases, answered(held.faces), held, resampler).value > 0.95
    assert finder.share(cases, answered(held.no_faces[:40]), held, resampler).value < 0.05


def test_a_judge_that_cannot_tell_says_so_instead_of_a_number() -> None:
    random = np.random.default_rng(0)
    blind = FaceFinder(population(random, 60, 0.0, "t"), population(random, 40, 0.0, "p"))
    assert "cannot be relied on" in blind.reason
    few = FaceFinder(population(random, 10, 1.0, "t"), population(random, 40, 1.0, "p"))
    assert "10 training" in few.reason
    case = Case(1, 0, "p0", "transfer")
    held = population(random, 4, 1.0, "p")
    assert few.share([case], answered(held.faces[:1]), held, Resampler(["p0"], 100, 0)).value is None
