"""Networks on LiteRT: what is wrong is said in one line."""

import sys
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DataError, MachineError
from components.core.landmarks import runtime, ssd
from components.core.landmarks.body import sharpened
from components.core.landmarks.runtime import Network
from components.core.landmarks.ssd import BODIES, FACES, anchors, decoded, suppressed


def test_without_litert_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MachineError, match=r"ai-edge-litert is not installed.*photoshoot\[landmarks\]"):
        Network(tmp_path / "any.tflite")


def test_a_file_that_is_no_network_is_named(tmp_path: Path):
    pytest.importorskip("ai_edge_litert")
    torn = tmp_path / "torn.tflite"
    torn.write_bytes(b"TFL3 is not enough")
    with pytest.raises(DataError, match=r"torn\.tflite.*no network") as caught:
        Network(torn)
    assert "\n" not in str(caught.value)


def test_networks_are_loaded_once(networks):
    assert runtime.network("facemesh") is runtime.network("facemesh")
    assert runtime.network("facemesh").size == 192


def test_a_network_sees_the_range_it_was_trained_on(networks):
    net = runtime.network("face-short-range")
    white = np.full((128, 128, 3), 255, np.uint8)
    assert not np.allclose(net(white, low=-1.0)[0], net(white * 0, low=-1.0)[0])
    assert np.allclose(net(white, low=-1.0)[0], net(white, low=0.0)[0], atol=1e-4), "255 is 1 either way"


@pytest.mark.parametrize(("detector", "number"), [(BODIES, 2254), (FACES, 896)])
def test_anchors_are_as_many_as_the_networks_answers(detector, number):
    middles = anchors(detector.size, detector.strides, detector.per_place)
    assert middles.shape == (number, 2)
    assert middles.min() > 0 and middles.max() < 1
    assert np.allclose(middles[:2], 0.5 * 8 / detector.size), "two at the first place, in the middle of its cell"
    assert len(np.unique(middles, axis=0)) == sum((detector.size // stride) ** 2 for stride in set(detector.strides))


def test_a_box_is_where_its_anchor_and_offsets_say():
    raw, logits = np.zeros((896, 16), np.float32), np.full((896, 1), -9, np.float32)
    raw[100, :6], logits[100] = (12.8, -6.4, 32, 64, 0, 25.6), 2.0
    found, scores = decoded(FACES, raw, logits, 0.5)
    middle = anchors(FACES.size, FACES.strides, FACES.per_place)[100]
    assert np.allclose(found[0, 0], middle + np.array([0.1 - 0.125, -0.05 - 0.25]))
    assert np.allclose(found[0, 1], middle + np.array([0.1 + 0.125, -0.05 + 0.25]))
    assert np.allclose(found[0, 2], middle + np.array([0, 0.2]))
    assert scores == pytest.approx([1 / (1 + np.exp(-2))])
    assert decoded(FACES, raw, logits, 0.9)[0].shape == (0, 8, 2)


def test_overlapping_boxes_become_their_weighted_mean_with_the_best_score():
    boxes = np.array([[[0.1, 0.1], [0.3, 0.3]], [[0.12, 0.1], [0.32, 0.3]], [[0.7, 0.7], [0.9, 0.9]]], np.float32)
    merged, scores = suppressed(boxes, np.array([0.9, 0.6, 0.8], np.float32))
    assert scores == pytest.approx([0.9, 0.8])
    assert merged[0, 0, 0] == pytest.approx((0.9 * 0.1 + 0.6 * 0.12) / 1.5)
    assert np.allclose(merged[1], boxes[2])
    assert suppressed(boxes[:0], np.zeros(0, np.float32))[0].shape == (0, 2, 2)


def test_points_move_to_certain_heat_nearby_only():
    heat = np.full((64, 64, 3), -9, np.float32)
    heat[20, 33, 0] = 9.0  # near
    heat[50, 50, 1] = 9.0  # far
    heat[20, 33, 2] = -0.5  # not certain
    places = np.tile(np.array([[0.5, 0.3]], np.float32), (3, 1))
    moved = sharpened(places, heat)
    assert np.allclose(moved[0], (33 / 64, 20 / 64), atol=0.005)
    assert np.array_equal(moved[1:], places[1:])
    outside = np.array([[1.2, -0.4]] * 3, np.float32)
    assert np.array_equal(sharpened(outside, heat), outside)


def test_a_detection_scales_with_the_photo():
    one = ssd.Detection(np.arange(4, dtype=np.float32), np.ones((4, 2), np.float32), 0.7).times(3.0)
    assert one.box.tolist() == [0, 3, 6, 9] and (one.points == 3).all() and one.score == 0.7
