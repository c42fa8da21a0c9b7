"""Face mesh and hands of a person whose body is found (graphs face_landmarks_from_pose, hand_landmarks_from_pose)."""

from __future__ import annotations

import numpy as np

from components.core.landmarks.found import Floats
from components.core.landmarks.geometry import Square, around, crop, pointing
from components.core.landmarks.runtime import network
from components.core.landmarks.ssd import FACES, detect
from components.core.pictures.images import Pixels

FACE, HAND, HAND_REGION = "facemesh", "hand-landmarks", "hand-recrop"
_LEFT_EYE, _RIGHT_EYE, _HEAD_POINTS = 2, 5, 11
LEFT_HAND, RIGHT_HAND = (15, 17, 19), (16, 18, 20)
"""Wrist, little finger and index finger among the body's points."""
_LEAST_FLAG, _LEAST_VISIBLE = 0.5, 0.1
_HAND_DEPTH, _LEAST_INSIDE = 0.4, 0.5


def find_face(photo: Pixels, body: Floats) -> Floats | None:
    """The face mesh [468, 3] of the person with these `body` points [33, 3], None where no face is seen."""
    near = around(body[:_HEAD_POINTS], _RIGHT_EYE, _LEFT_EYE).grown(3.0)
    faces = detect(photo, FACES, near)
    return mesh(photo, face_region(faces[0].points)) if faces else None


def face_region(points: Floats) -> Square:
    """Where the mesh looks for the face whose six points [6, 2] the detector found."""
    return around(points, 0, 1, down=-0.1).grown(2.0)


def mesh(photo: Pixels, square: Square) -> Floats | None:
    """The face mesh [468, 3] in pixels of the face in `square`; None where none is seen, or the photo ends in it."""
    net = network(FACE)
    raw, flag = net(crop(photo, square, net.size))
    if 1 / (1 + np.exp(-float(flag.reshape(())))) < _LEAST_FLAG:
        return None
    points = square.to_photo(raw.reshape(-1, 3) / np.float32(net.size))
    inside = ((points[:, :2] >= 0) & (points[:, :2] < photo.shape[1::-1])).all(1)
    return points if inside.mean() > _LEAST_INSIDE else None


def find_hand(photo: Pixels, body: Floats, visibility: Floats, which: tuple[int, int, int]) -> Floats | None:
    """The hand [21, 3] at the `body` points numbered `which`; None where none is seen."""
    if visibility[which[0]] < _LEAST_VISIBLE:
        return None
    square = hand_region(*body[list(which), :2])
    net = network(HAND_REGION)
    (ends,) = net(crop(photo, square, net.size))
    start, end = square.to_photo(ends.reshape(2, 2) / np.float32(net.size))
    square = pointing(start, end, -90.0).grown(1.0, down=-0.1)
    net = network(HAND)
    raw, flag, _, _ = net(crop(photo, square, net.size))
    if float(flag[0]) < _LEAST_FLAG:
        return None
    places = raw.reshape(-1, 3) / np.float32(net.size)
    places[:, 2] /= _HAND_DEPTH
    return square.to_photo(places)


def hand_region(wrist: Floats, little: Floats, index: Floats) -> Square:
    """A first guess at the hand's square from three body points [2]."""
    middle = np.asarray((2 * index + little) / 3, np.float32)
    length = 2 * float(np.hypot(*(middle - wrist)))
    turn = pointing(wrist, middle, 90.0).turn
    return Square(float(middle[0]), float(middle[1]), length, turn).grown(2.7, down=-0.1)
