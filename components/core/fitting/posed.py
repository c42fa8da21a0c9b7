"""Bones in closed form: the affine map of each, from the template's anchors to the landmarks' places.

Axes of a picture: x right, y down, z away from the camera, all in pixels; of the template: x to the person's left, y
up, z forward, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body.template import ARM_AXIS, BONE, BONES
from components.core.fitting.conventions import Conventions
from components.core.fitting.fitted import Floats
from components.core.fitting.vectors import across, carried, cross, frame, turned, unit
from components.core.landmarks import numbering as at

_MIRROR = np.array([-1, 1, 1], np.float32)
_FORWARD = np.array([0, 0, 1], np.float32)
_DOWN = np.array([0, -1, 0], np.float32)


@dataclass(frozen=True)
class Build:
    """`scale` pixels for a metre of the template; `girths` [17] of bones over the template's."""

    scale: float
    girths: Floats

    def girth(self, bone: str) -> float:
        """Pixels of thickness for a metre of the template's."""
        return self.scale * float(self.girths[BONE[bone]])


@dataclass
class BoneMaps:
    """What each bone does to places of the template: `matrix` [17, 3, 3] and `offset` [17, 3]."""

    matrix: Floats
    offset: Floats

    def put(self, bone: str, matrix: Floats, rest: Floats, place: Floats) -> None:
        """The map of a bone: `matrix`, and `rest` comes to lie at `place`."""
        index = BONE[bone]
        self.matrix[index] = matrix
        self.offset[index] = place - matrix @ rest

    def place(self, bone: str, rest: Floats) -> Floats:
        """Where a bone takes a place of the template."""
        index = BONE[bone]
        return np.asarray(self.matrix[index] @ rest + self.offset[index], np.float32)


def bone_maps(points: Floats, build: Build, rules: Conventions) -> BoneMaps:
    """The maps of all bones from landmarks [33, 3]. Neck and head follow the chest: the head has a fit of its own."""
    maps = BoneMaps(np.zeros((len(BONES), 3, 3), np.float32), np.zeros((len(BONES), 3), np.float32))
    _put_trunk(maps, points, build, rules)
    for bone in ("neck", "head"):
        maps.matrix[BONE[bone]], maps.offset[BONE[bone]] = maps.matrix[BONE["chest"]], maps.offset[BONE["chest"]]
    for side in (0, 1):
        _put_arm(maps, points, build, rules, side)
        _put_leg(maps, points, build, rules, side)
    return maps


def _put_trunk(maps: BoneMaps, points: Floats, build: Build, rules: Conventions) -> None:
    middle = points[list(at.HIPS)].mean(0)
    up = points[list(at.SHOULDERS)].mean(0) - middle
    shoulders, hips = (points[pair[0]] - points[pair[1]] for pair in (at.SHOULDERS, at.HIPS))
    rest_hips, rest_shoulders = rules.hip * (0, 1, 1), rules.shoulder * (0, 1, 1)
    tall = up / (rules.shoulder[1] - rules.hip[1])
    for bone, width in (("pelvis", hips), ("spine", hips + shoulders), ("chest", shoulders)):
        sideways = unit(across(width, unit(up)))
        girth = build.girth(bone)
        ahead = cross(sideways, unit(up)) * girth
        wide = shoulders / (2 * rules.shoulder[0]) if bone == "chest" else sideways * girth
        rest, place = (rest_hips, middle) if bone == "pelvis" else (rest_shoulders, middle + up)
        maps.put(bone, np.stack([wide, tall, ahead], 1), rest, place)


def _stretched(rest: tuple[Floats, Floats], posed: tuple[Floats, Floats], girth: float, length: float) -> Floats:
    """[3, 3] that turns the resting (axis, side) to the posed pair, `length` along the axis and `girth` across it."""
    return np.asarray(frame(*posed) @ np.diag([length, girth, girth]) @ frame(*rest).T, np.float32)


def _put_bone(maps: BoneMaps, bone: str, rest: tuple[Floats, Floats, Floats], posed: tuple[Floats, Floats, Floats],
              girth: float) -> None:
    """A limb's bone from (start, end, side) at rest to (start, end, side) in the picture."""
    start, end, side = posed
    length = float(np.linalg.norm(end - start) / np.linalg.norm(rest[1] - rest[0]))
    matrix = _stretched((rest[1] - rest[0], rest[2]), (end - start, side), girth, length)
    maps.put(bone, matrix, rest[0], start)


def _put_arm(maps: BoneMaps, points: Floats, build: Build, rules: Conventions, side: int) -> None:
    name, mirror = ("l", _MIRROR**2) if side == 0 else ("r", _MIRROR)
    shoulder, elbow, wrist = (points[pair[side]] for pair in (at.SHOULDERS, at.ELBOWS, at.WRISTS))
    rest = [anchor * mirror for anchor in (rules.shoulder, rules.elbow, rules.wrist)]
    axis = ARM_AXIS * mirror
    hinge = cross(axis, _FORWARD)
    upper, lower = unit(elbow - shoulder), unit(wrist - elbow)
    chest = turned(maps.matrix[BONE["chest"]])
    # Bent, the elbow tells how the arm is turned about its length; straight, the chest does.
    easy = carried(chest @ hinge, chest @ axis, upper)
    upper_hinge = unit(cross(upper, lower) + 0.25 * easy)
    lower_hinge = carried(upper_hinge, upper, lower)
    sign = 1 if side == 0 else -1
    upper_hinge = unit(upper_hinge + sign * rules.upper_twist * cross(upper, upper_hinge))
    lower_hinge = unit(lower_hinge + sign * rules.lower_twist * cross(lower, lower_hinge))
    index, pinky = points[at.INDICES[side]], points[at.PINKIES[side]]
    hand = unit((index + pinky) / 2 - wrist)
    # The thumb's side of the hand lies forward at rest.
    hand_hinge = unit(unit(cross(hand, index - pinky)) + 0.1 * carried(lower_hinge, lower, hand))
    _put_bone(maps, f"upper_arm_{name}", (rest[0], rest[1], hinge), (shoulder, elbow, upper_hinge),
              build.girth(f"upper_arm_{name}"))
    _put_bone(maps, f"lower_arm_{name}", (rest[1], rest[2], hinge), (elbow, wrist, lower_hinge),
              build.girth(f"lower_arm_{name}"))
    size = build.girth(f"hand_{name}")
    maps.put(f"hand_{name}", _stretched((axis, hinge), (hand, hand_hinge), size, size), rest[2], wrist)


def _put_leg(maps: BoneMaps, points: Floats, build: Build, rules: Conventions, side: int) -> None:
    name, mirror = ("l", _MIRROR**2) if side == 0 else ("r", _MIRROR)
    hip, knee, ankle, heel, toe = (points[pair[side]] for pair in (at.HIPS, at.KNEES, at.ANKLES, at.HEELS, at.TOES))
    rest = [anchor * mirror for anchor in (rules.hip, rules.knee, rules.ankle, rules.heel, rules.toe)]
    upper, lower, foot = unit(knee - hip), unit(ankle - knee), unit(toe - heel)
    pelvis = turned(maps.matrix[BONE["pelvis"]])
    # Where the knee bends, the lower leg goes back; the rest is told by pelvis and foot.
    ahead = unit(carried(pelvis @ _FORWARD, pelvis @ _DOWN, upper) - across(lower, upper))
    low_ahead = carried(ahead, upper, lower)
    _put_bone(maps, f"upper_leg_{name}", (rest[0], rest[1], _FORWARD), (hip, knee, ahead),
              build.girth(f"upper_leg_{name}"))
    _put_bone(maps, f"lower_leg_{name}", (rest[1], rest[2], _FORWARD), (knee, ankle, low_ahead),
              build.girth(f"lower_leg_{name}"))
    size = build.girth(f"foot_{name}")
    length = float(np.linalg.norm(toe - heel) / np.linalg.norm(rest[4] - rest[3]))
    length = float(np.clip(length, 0.7 * size, 1.4 * size))
    matrix = _stretched((rest[4] - rest[3], rest[2] - rest[3]), (foot, ankle - heel), size, length)
    maps.put(f"foot_{name}", matrix, rest[2], ankle)
