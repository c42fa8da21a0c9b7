"""Photos: what the pose map, matte and picture promise, and that people can be told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.synthesize.detector import detect
from components.synthesize.folder import photos_of
from components.synthesize.identity import sample_person


@pytest.fixture(scope="module")
def album(studio: Any) -> list[tuple[str, dict[str, Any], Any]]:
    """Two photos of each of a dozen people."""
    settings = studio.settings(people=12, height=128)
    return [item for index in range(12) for item in photos_of(settings, index)]


def test_maps_and_mattes_keep_their_ranges(album: Any) -> None:
    for _, facts, photo in album:
        assert photo.rgb.shape == photo.iuv.shape == (128, 96, 3)
        assert photo.rgb.dtype == photo.iuv.dtype == photo.matte.dtype == np.uint8
        part = photo.iuv[..., 0]
        assert part.max() <= 24
        assert not photo.iuv[part == 0].any(), "background has U = V = 0"
        assert (photo.matte[part > 0] > 0).all(), "the matte covers the body"
        left, top, right, bottom = facts["head_box"]
        head = part >= 23
        assert head[top:bottom, left:right].sum() == head.sum() > 0


def test_matte_has_soft_edges_and_a_solid_inside(front: Any) -> None:
    soft = (front.matte > 0) & (front.matte < 255)
    assert 0.002 < soft.mean() < 0.08
    assert (front.matte == 255).mean() > 0.05


def test_hair_and_skirts_are_in_the_matte_but_not_on_the_map(studio: Any) -> None:
    person = next(p for p in (sample_person(0, i, 2) for i in range(60)) if p.hair.style == "afro")
    photo = studio.standing(studio.figure(person.index), 0.0)
    outside = (photo.matte == 255) & (photo.iuv[..., 0] == 0)
    assert outside.sum() > 100


def test_heads_are_large_enough_to_recognise(album: Any) -> None:
    heights = [(f["head_box"][3] - f["head_box"][1]) / 128 for _, f, _ in album]
    assert np.median(heights) >= 0.2


def test_bodies_turn_as_promised_front_and_back(album: Any) -> None:
    for _, facts, photo in album:
        area = np.bincount(photo.iuv[..., 0].ravel(), minlength=25)
        assert facts["back"] == (area[1] > area[2])
        assert abs(facts["yaw"]) <= 50 or 140 <= facts["yaw"] <= 220


def test_one_outfit_unwraps_to_one_texture(studio: Any) -> None:
    def difference(a: Any, b: Any) -> float:
        (left, seen_left), (right, seen_right) = studio.unwrap(a), studio.unwrap(b)
        both = seen_left & seen_right
        assert both.sum() > 500
        return float(np.median(np.abs(left - right)[both].mean(1)))

    one, other = studio.figure(3), studio.figure(7)
    same = difference(studio.standing(one, 0), studio.standing(one, 30))
    different = difference(studio.standing(one, 0), studio.standing(other, 0))
    assert same < 8
    assert different > 4 * same


def test_faces_tell_people_apart(studio: Any) -> None:
    """A turned head looks more like the same person's head-on texture than like anybody else's."""
    figures = [studio.figure(i) for i in range(10)]
    known = [studio.unwrap(studio.standing(f, 0, 384), 16) for f in figures]
    asked = [studio.unwrap(studio.standing(f, 22, 384), 16) for f in figures]
    right = 0
    for number, (texture, seen) in enumerate(asked):
        distance = []
        for other, there in known:
            both = (seen & there)[22:]
            distance.append(np.abs(texture[22:] - other[22:])[both].mean())
        right += int(np.argmin(distance) == number)
    assert right == len(figures)


def test_detector_noise_changes_the_map_a_little_and_nothing_else(front: Any) -> None:
    rng = np.random.default_rng(0)
    assert detect(front.iuv, rng, 0.0) is front.iuv
    poor = detect(front.iuv, np.random.default_rng(1), 1.0)
    same_part = poor[..., 0] == front.iuv[..., 0]
    assert 0.9 < same_part.mean() < 1.0
    assert not poor[poor[..., 0] == 0].any()
    on = same_part & (front.iuv[..., 0] > 0)
    assert 1 < np.abs(poor[on].astype(int) - front.iuv[on])[:, 1:].mean() < 20


def test_detector_noise_leaves_photos_alone(studio: Any) -> None:
    exact = next(iter(photos_of(studio.settings(), 0)))[2]
    noisy = next(iter(photos_of(studio.settings(pose_noise=1.0), 0)))[2]
    assert np.array_equal(exact.rgb, noisy.rgb) and np.array_equal(exact.matte, noisy.matte)
    assert not np.array_equal(exact.iuv, noisy.iuv)


def test_backgrounds_differ_between_photos_of_one_person(studio: Any) -> None:
    corners = {photo.rgb[:6, :6].tobytes() for _, _, photo in photos_of(studio.settings(photos_per_person=4), 1)}
    assert len(corners) == 4
