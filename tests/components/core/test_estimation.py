"""People of plain photos: how sure, what is noted, and who is not taken without a word."""

from __future__ import annotations

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from networks import needs_weights

from components.core.errors import InputError
from components.core.estimation.confidence import confidence_of, either_way, other_faces
from components.core.estimation.estimate import Estimate, best_estimate, estimate_people
from components.core.estimation.hands import hidden_hands
from components.core.landmarks.found import Landmarks
from components.core.settings import PreprocessSettings
from components.core.stores.published import GROUPS
from components.synthesize.figure import build_figure
from components.synthesize.identity import sample_person, stream
from components.synthesize.render import render_photo, sample_shot

LEAST = PreprocessSettings().min_confidence


def standing(facing: bool = True, face: bool = True) -> Landmarks:
    """Somebody in a photo of 100 x 200, seen from the front or from behind, arms down."""
    body = np.zeros((33, 3), np.float32)
    body[:11, :2] = (50, 25)
    for left, y, apart in ((11, 50, 15), (13, 75, 17), (15, 100, 18), (17, 103, 18), (19, 104, 18), (21, 102, 18),
                           (23, 100, 9), (25, 140, 9), (27, 180, 9), (29, 185, 9), (31, 186, 9)):
        for point, side in ((left, 1), (left + 1, -1)):
            body[point, :2] = (50 + apart * (side if facing else -side), y)
    mask = np.zeros((200, 100), np.uint8)
    mask[10:190, 30:70] = 255
    return Landmarks(body, np.ones(33, np.float32), np.ones(33, np.float32), body / 100,
                     np.zeros((468, 3), np.float32) if face else None, None, None, mask, 1.0)


def a_map(rows: slice = slice(10, 190)) -> np.ndarray:
    iuv = np.zeros((200, 100, 3), np.uint8)
    iuv[rows, 30:70] = (2, 100, 100)
    iuv[rows.start:40, 30:70, 0] = 23
    return iuv


_CLOTH, _SKIN = (30, 40, 90), (200, 150, 120)


def photo_with_a_hand(colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, Landmarks]:
    """A photo of 400 x 300, its map with a head and a left hand of 60 x 40 px that is filled with a colour."""
    photo, iuv = np.full((400, 300, 3), 120, np.uint8), np.zeros((400, 300, 3), np.uint8)
    iuv[50:90, 150:180], photo[50:90, 150:180] = (24, 40, 130), _SKIN
    iuv[250:310, 200:240], photo[250:310, 200:240] = (4, 128, 128), colour
    landmarks = standing()
    landmarks.body[15, :2], landmarks.body[[17, 19], :2] = (220, 250), (220, 290)
    return photo, iuv, landmarks


def test_a_hand_in_a_pocket_is_taken_out_of_the_map() -> None:
    photo, iuv, landmarks = photo_with_a_hand(_CLOTH)
    photo[250:260, 200:240] = _SKIN  # the wrist
    hidden = hidden_hands(photo, iuv, landmarks)
    assert hidden[265:310, 200:240].all() and not hidden[252:257, 203:237].any() and not hidden[..., :200].any()


def test_hands_that_are_found_or_look_like_skin_or_are_too_small_to_tell_stay() -> None:
    photo, iuv, landmarks = photo_with_a_hand(_CLOTH)
    gloved = replace(landmarks, left_hand=np.zeros((21, 3), np.float32))
    small = replace(landmarks, body=landmarks.body.copy())
    small.body[[17, 19], :2] = (220, 260)
    assert not hidden_hands(photo, iuv, gloved).any() and not hidden_hands(photo, iuv, small).any()
    faceless = iuv.copy()
    faceless[50:90] = 0
    assert not hidden_hands(photo, faceless, landmarks).any()
    in_shade = np.multiply(_SKIN, 0.6).astype(int)
    assert not hidden_hands(*photo_with_a_hand((in_shade[0], in_shade[1], in_shade[2]))).any()


def test_the_score_falls_with_what_is_not_seen_and_where_map_and_outline_part() -> None:
    sure = confidence_of(standing(), a_map())
    assert (sure.score, sure.agreement, sure.notes) == (1.0, 1.0, ())
    half = confidence_of(standing(), a_map(slice(10, 100)))
    assert half.agreement == 0.5 and half.score == 0.5
    hidden = standing()
    hidden.visibility[:] = 0
    assert confidence_of(hidden, a_map()).score == 0.5
    assert confidence_of(standing(), np.zeros_like(a_map())).score == 0


def test_what_is_missing_is_noted_in_plain_words() -> None:
    def notes(landmarks: Landmarks, iuv: np.ndarray | None = None) -> tuple[str, ...]:
        return confidence_of(landmarks, a_map() if iuv is None else iuv).notes

    assert notes(standing(face=False)) == ("the face is turned away or covered",)
    assert notes(standing(facing=False, face=False)) == ("seen from behind, or the face is covered",)
    cut = standing()
    cut.body[25:, 1] += 100
    assert notes(cut) == ("the legs are cut off: fine for portraits",)
    hidden = standing()
    hidden.visibility[13:17] = 0.1
    assert notes(hidden) == ("the arms are hidden",)
    above = standing(face=False)
    above.body[:11, 1] -= 40
    assert notes(above) == ("the head is cut off",)
    assert notes(standing(), np.where(a_map() == 23, 0, a_map())) == ("no head is in the picture",)


def test_a_hand_at_the_head_of_somebody_turned_away_could_be_a_covered_face() -> None:
    behind = standing(facing=False, face=False)
    assert not either_way(behind)
    behind.body[[16, 18, 20, 22], :2] = (45, 28)
    assert either_way(behind)
    told = Estimate(a_map(), behind, confidence_of(behind, a_map()), 0.0).doubt(LEAST)
    assert told == "a hand is before the head: a covered face, or the back of a head"
    behind.visibility[15:23] = 0.1  # not seen: in front of a body that is seen from behind
    assert not either_way(behind)
    front = standing(face=False)
    front.body[[16, 18, 20, 22], :2] = (45, 28)
    assert not either_way(front)
    # Upside down left and right change places, and front is still front.
    turned = standing(face=False)
    turned.body[:, :2] = (100, 200) - turned.body[:, :2]
    turned.body[[16, 18, 20, 22], :2] = (50, 170)
    assert not either_way(turned)


def test_faces_on_a_body_that_are_not_its_own_are_counted() -> None:
    def box(x: float, y: float, side: float = 10) -> np.ndarray:
        return np.array([x - side, y - side, x + side, y + side], np.float32)

    assert other_faces(standing(), [box(50, 25)]) == 0
    assert other_faces(standing(), [box(50, 25), box(50, 90)]) == 1
    assert other_faces(standing(), [box(10, 90)]) == 0, "beside the person"


def test_who_overlaps_or_is_not_sure_is_not_taken_and_the_reason_is_told() -> None:
    landmarks, iuv = standing(face=False), a_map()
    sure = Estimate(iuv, landmarks, confidence_of(landmarks, iuv), 0.0)
    assert sure.doubt(LEAST) is None
    assert replace(sure, overlapped=0.5).doubt(LEAST) == "two people overlap"
    unsure = replace(sure, confidence=replace(sure.confidence, score=0.2))
    assert unsure.doubt(0.45) == "the pose is not sure enough (0.20 of 0.45: the face is turned away or covered)"
    assert unsure.doubt(0.1) is None


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    needs_weights(*GROUPS["landmarks"])
    pytest.importorskip("ai_edge_litert")
    figure = build_figure(sample_person(42, 0, 1), 0)
    return render_photo(figure, sample_shot(figure, stream(42, 0, 9), 384, back=False)).rgb


def test_bad_photos_are_right_or_left_out_and_nobody_is_taken_silently(photo: np.ndarray,
                                                                       caplog: pytest.LogCaptureFixture) -> None:
    (good,) = estimate_people(photo)
    assert good.doubt(LEAST) is None and good.confidence.score > 0.7
    inside = good.iuv[..., 0] > 0

    def agrees(iuv: np.ndarray) -> float:
        return float((inside & (iuv[..., 0] > 0)).sum() / (inside | (iuv[..., 0] > 0)).sum())

    noise = np.random.default_rng(0).normal(0, 9, photo.shape)
    streak = np.zeros((41, 41), np.float32)
    streak[20] = 1 / 41
    spoilt = {"night": np.clip(photo * 0.15 + noise, 0, 255).astype(np.uint8),
              "motion": np.asarray(cv2.filter2D(photo, -1, streak)),
              "small": cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
              "upside down": np.ascontiguousarray(np.rot90(photo, 2))}
    for kind, harmed in spoilt.items():
        for one in estimate_people(harmed):
            back = np.rot90(one.iuv, 2) if kind == "upside down" else one.iuv
            back = cv2.resize(back, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            assert one.doubt(LEAST) or agrees(back) > 0.7, kind
    for empty in (np.full((200, 160, 3), 120, np.uint8), np.clip(noise * 10 + 128, 0, 255).astype(np.uint8)):
        with pytest.raises(InputError, match="nobody is found in the photo"):
            best_estimate(empty, LEAST)
    two = np.hstack([photo, cv2.resize(photo, None, fx=0.8, fy=1.0)])
    with caplog.at_level(logging.WARNING):
        best_estimate(two, LEAST)
    assert "2 people are found in the photo: the largest is taken" in caplog.text


def test_what_is_hidden_gives_no_colours_and_stays_in_the_map() -> None:
    photo, iuv, landmarks = photo_with_a_hand(_CLOTH)
    hidden = hidden_hands(photo, iuv, landmarks)
    found = Estimate(iuv, landmarks, confidence_of(landmarks, iuv[:200, :100]), 0.0, hidden)
    assert (found.iuv[265:310, 200:240, 0] == 4).all() and not found.seen_iuv[265:310, 200:240].any()
    assert np.array_equal(found.seen_iuv[~hidden], iuv[~hidden])
    assert replace(found, hidden=None).seen_iuv is found.iuv
