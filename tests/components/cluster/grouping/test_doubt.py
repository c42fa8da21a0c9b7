"""Faces as points in space, with a rule as of SFace: a person's photos some .75 apart, two people's 1.34."""

from __future__ import annotations

import numpy as np
import pytest

from components.cluster.covers import Control, bare, join_covered, plain_groups, try_covers
from components.cluster.faces.covered import COVERS, cover_of, with_cover
from components.cluster.grouping.assign import SET_ASIDE, Clusters
from components.cluster.grouping.doubt import doubtful, nearest_groups
from components.cluster.grouping.tree import Rule
from components.core.faces.head import CANONICAL_FACE, CHIP

RULE, SPREAD = Rule(1.0, 1.34, 0.6), 0.07


def people(count: int, photos: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors [count * photos, 128] of length one, whose they are, and the people's own directions."""
    rng = np.random.default_rng(seed)
    own = np.linalg.qr(rng.normal(size=(128, count)))[0].T
    labels = np.repeat(np.arange(count), photos)
    return towards(own[labels], 0.72, rng), labels, own


def towards(own: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Vectors of length one whose cosine with each of `own` is about the root of `share`."""
    noise = rng.normal(size=own.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = np.sqrt(share) * own + np.sqrt(1 - share) * noise
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def grouped(labels: np.ndarray) -> Clusters:
    return Clusters(labels, np.ones(len(labels), np.float32), int(labels.max()) + 1, 0.5)


def test_the_nearest_group_is_found_and_oneself_does_not_count() -> None:
    points, labels, _ = people(4, 3)
    labels[5] = SET_ASIDE
    near = nearest_groups(points, points, labels)
    for at in range(len(points)):
        means = {group: float(np.linalg.norm(points[labels == group] - points[at], axis=1).mean())
                 for group in range(4)}
        first, second, *_ = sorted(means.values())
        assert means[int(near.group[at])] == pytest.approx(first, abs=1e-5)
        assert (near.distance[at], near.next[at]) == (pytest.approx(first, abs=1e-5), pytest.approx(second, abs=1e-5))
    alone = nearest_groups(points[:1], points[:3], labels[:3], np.asarray([0]))
    assert alone.distance[0] == pytest.approx(np.linalg.norm(points[1:3] - points[0], axis=1).mean(), abs=1e-5)
    assert np.isinf(alone.next[0]) and alone.joins(RULE)[0]
    nobody = nearest_groups(points, points, np.full(len(points), SET_ASIDE))
    assert np.isinf(nobody.distance).all() and not nobody.joins(RULE).any()


def test_a_covered_face_joins_its_person_and_a_stranger_nobody() -> None:
    points, labels, own = people(8, 5)
    rng = np.random.default_rng(1)
    covered = towards(own[:7], 0.25, rng)  # too far for the rule, nearer than anybody else
    stranger = towards(np.eye(128, dtype=np.float32)[:3], 0.9, rng)
    every = np.concatenate([points, covered, stranger])
    kept = np.arange(len(every)) < len(points)
    clusters = grouped(labels)
    plain = plain_groups(points, clusters, RULE, SPREAD)
    assert (plain == labels).all()
    alone = nearest_groups(covered, points, plain)
    assert (alone.distance > RULE.limit(np.ones(7), np.full(7, 5.0))).mean() > 0.5
    found, told = join_covered(every, kept, clusters, plain, RULE, None)
    assert found.labels.tolist() == [*labels.tolist(), *range(7), -1, -1, -1] and found.k == 8
    assert (told.noticed, told.joined, told.set_aside) == (10, 7, 3)
    # Where the control took somebody for somebody else nobody covered is joined.
    distrusted, told = join_covered(every, kept, clusters, plain, RULE, Control(24, 24, 22, 1, 1))
    assert (distrusted.labels[~kept] == SET_ASIDE).all() and (told.joined, told.set_aside) == (0, 10)


def test_who_decides_the_groups() -> None:
    covers = np.asarray(["", "eyes", "mouth", ""])
    assert bare(covers, np.zeros(4, np.bool_)).tolist() == [True, False, False, True]
    assert bare(covers, np.asarray([False, True, False, False])).tolist() == [True, True, False, True]  # by hand
    assert bare(covers[1:3], np.zeros(2, np.bool_)).all()


def test_small_groups_near_another_are_doubtful_and_no_others() -> None:
    points, labels, own = people(10, 5)
    rng = np.random.default_rng(2)
    part = towards(own[:1], 0.32, rng)  # of the first person, taken for somebody else
    strangers = towards(np.eye(128, dtype=np.float32)[:4], 0.9, rng)
    every = np.concatenate([points, part, strangers])
    of = np.concatenate([labels, 10 + np.arange(5)])
    found = doubtful(every, of, RULE, SPREAD)
    assert set(found) == {10} and found[10][0] == 0 and 1.0 < found[10][1] < 1.21
    assert doubtful(points, labels, RULE, SPREAD) == {}  # five photos each
    assert plain_groups(every, grouped(of), RULE, SPREAD)[len(points)] == SET_ASIDE


def face() -> np.ndarray:
    """A drawn face: skin, bright eyes with pupils, dark lips."""
    import cv2

    chip = np.full((CHIP, CHIP, 3), (205, 165, 140), np.uint8)
    for x, y in (CANONICAL_FACE[:2] * CHIP).round().astype(int).tolist():
        cv2.ellipse(chip, (x, y), (11, 6), 0, 0, 360, (240, 240, 240), -1)
        cv2.circle(chip, (x, y), 4, (40, 30, 30), -1)
    (x0, y0), (x1, _) = (CANONICAL_FACE[3:] * CHIP).round().astype(int).tolist()
    cv2.ellipse(chip, ((x0 + x1) // 2, y0), ((x1 - x0) // 2, 6), 0, 0, 360, (150, 60, 60), -1)
    return chip


def test_a_cover_is_noticed_in_any_light() -> None:
    for light in (1.0, 0.6, 0.35):
        chip = np.round(face() * light).astype(np.uint8)
        assert cover_of(chip) is None
        for cover in COVERS:
            assert cover_of(with_cover(chip, cover)) == cover


def test_the_control_says_what_became_of_faces_with_covers_drawn_on() -> None:
    points, labels, own = people(6, 4)
    rng = np.random.default_rng(3)

    def control(whose: np.ndarray, among: np.ndarray) -> Control | None:
        return try_covers(points, labels, lambda _: face(),
                          lambda chips: towards(whose[: len(chips)], 0.45, rng), RULE, among)

    every = np.ones(len(points), np.bool_)
    # Twelve faces, one of each person in turn, two covers each.
    turn = own[np.repeat([*range(6), *range(6)], 2)]
    assert control(turn, every) == Control(24, 24, 24, 0, 0)
    wrong = control(np.roll(turn, 2, axis=0), every)
    assert wrong is not None and wrong.wrong == 24 and not wrong.behaved
    aside = control(np.tile(np.eye(128, dtype=np.float32)[0], (24, 1)), every)
    assert aside is not None and aside.aside == 24 and aside.behaved
    assert control(turn, ~every) is None
