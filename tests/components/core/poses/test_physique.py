"""A pose in somebody's own proportions, and a pose learned back from what it shows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.fitting.fit import fit
from components.core.poses.drawing import figure
from components.core.poses.learn import learned
from components.core.poses.library import library
from components.core.poses.physique import (
    LENGTHS,
    Physique,
    joints_of,
    lengths_of,
    physique,
    template_lengths,
    template_physique,
)

POSES = library()


def somebody(**ratios: float) -> Physique:
    lengths = {name: length * ratios.get(name, 1.0) for name, length in template_lengths().items()}
    return replace(template_physique(), lengths=lengths)


ratio = st.floats(0.82, 1.22)


@settings(max_examples=25, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(LENGTHS, ratio)), st.sampled_from(sorted(POSES)))
def test_the_drawn_body_has_the_person_s_bones_whatever_the_pose(ratios: dict[str, float], name: str) -> None:
    body = somebody(**ratios)
    shown = figure(POSES[name], body, 256)
    for bone, lengths in lengths_of(joints_of(shown.fitted)).items():
        assert lengths / shown.fitted.scale == pytest.approx(body.lengths[bone], rel=0.01), bone


@pytest.mark.parametrize("name", ["full-frontal", "waving", "full-three-quarter-left", "walking-left"])
def test_a_body_is_measured_as_it_was_drawn(name: str) -> None:
    body = somebody(upper_leg=1.12, lower_leg=1.12, upper_arm=0.9, trunk=1.05)
    shown = figure(POSES[name], body, 400)
    seen = physique([(shown.landmarks, shown.fitted)])
    for bone in LENGTHS:  # the template counts a little
        assert np.log(seen.ratio(bone)) == pytest.approx(np.log(body.ratio(bone)) / 1.3, abs=0.02), bone


def test_what_no_photo_shows_is_the_template_s() -> None:
    shown = figure(POSES["full-frontal"], somebody(lower_leg=1.2, upper_arm=0.85), 300)
    hidden = replace(shown.fitted, confidence=np.full(17, 0.2, np.float32))
    assert physique([(shown.landmarks, hidden)]).lengths == pytest.approx(template_lengths())
    assert physique([]) is not None and physique([]).lengths == template_lengths()


def test_face_and_head_are_the_person_s_own() -> None:
    own = replace(template_physique(), face=template_physique().face * np.float32([1.08, 1.0, 1.0]), head=1.1)
    shown = figure(POSES["headshot-slight-left"], own, 300)
    seen = physique([(shown.landmarks, shown.fitted)])
    wide = [np.ptp(body.face[:, 0]) / np.ptp(body.face[:, 1]) for body in (own, seen, template_physique())]
    assert abs(wide[1] - wide[0]) < 0.25 * abs(wide[2] - wide[0])
    assert seen.head > 1.05


@pytest.mark.parametrize("name", ["waving", "walking-left", "full-three-quarter-left", "contrapposto-left"])
def test_a_pose_is_learned_from_what_it_shows(name: str) -> None:
    body, before = template_physique(), POSES[name]
    shown = figure(before, body, 400)
    after = learned("again", "again", shown.landmarks, shown.fitted, (400, 400))
    again = figure(after.model_copy(update={"framing": before.framing}), body, 400)
    first, second = (one.landmarks.body[11:33] / one.fitted.scale for one in (shown, again))
    assert np.abs(first - first.mean(0) - (second - second.mean(0))).max() < 0.05
    assert after.framing == before.framing and "own" in after.tags


def test_a_fit_of_the_landmarks_finds_the_pose_that_was_drawn() -> None:
    shown = figure(POSES["full-frontal"], template_physique(), 300)
    mask = (shown.drawn()[0][..., 0] > 0).astype(np.uint8) * 255
    found = fit(replace(shown.landmarks, mask=mask), (300, 300))
    measured, drawn = (lengths_of(joints_of(fitted)) for fitted in (found, shown.fitted))
    for bone in LENGTHS:
        assert measured[bone] == pytest.approx(drawn[bone], rel=0.08), bone
