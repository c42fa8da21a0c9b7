"""One pose as a small YAML file: where bones point, where the head looks, and how much of the body is in the picture.

Directions are (outward, up, forward) of the limb's own side, so that a right arm is written like a left one. They are
upright: a leaning trunk takes the shoulders along, but an arm that hangs still hangs. Arms go by the chest's heading,
legs by the hips'. Angles are degrees; left and right are the person's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.documents import MOST_YAML, Unreadable, read_bytes, yaml_value
from components.core.errors import InputError

TAGS = {
    "portrait": "head and chest fill the picture",
    "half-length": "down to the hips",
    "three-quarter": "down to the knees",
    "full-figure": "from head to toe",
    "business": "for a company's page or an application",
    "casual": "at ease",
    "fashion": "as in a catalogue",
    "standing": "on both feet",
    "seated": "on a chair or stool that is not painted",
    "walking": "in the middle of a step",
    "leaning": "the weight to one side, as against a wall",
    "arms-crossed": "arms crossed before the chest",
    "hands-in-pockets": "at least one hand in a pocket",
    "hand-on-hip": "at least one hand on the hip",
    "hands-clasped": "hands together before the body",
    "hand-at-face": "a hand at chin or cheek",
    "hand-raised": "a hand in the air",
    "frontal": "the body faces the camera",
    "turned": "the body is turned by 20 to 60 degrees",
    "profile": "the body is seen from the side",
    "back": "the back is seen",
    "over-the-shoulder": "the back is turned, the face looks at the camera",
    "own": "learned from a photo",
}
FRAMINGS = {"portrait": "portrait", "half": "half-length", "knees": "three-quarter", "full": "full-figure"}
"""How far down the picture goes, and the tag that says so."""

_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
Vector = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(_Part):
    """An arm by two directions (`upper`, `lower`), or by where its `wrist` is and to which side its `elbow` points."""

    upper: Vector | None = None
    lower: Vector | None = None
    wrist: Vector | None = None
    """A place of the resting template, metres (outward, up, forward): shoulders at .16, 1.36, -.02, hips at .09, .90,
    0. It moves along with the person's own trunk, so that a hand on the hip is on theirs."""
    elbow: Vector | None = None
    hand: Vector | None = None
    """Where the fingers point; without it they go on along the lower arm."""
    thumb: Vector | None = None
    """Where the thumb's side of the hand points; without it as the arm brings it along."""
    hidden: bool = False
    """Whether the hand is in a pocket: it goes into the body, which hides it."""

    @model_validator(mode="after")
    def _one_way(self) -> Arm:
        by_direction, by_place = (self.upper, self.lower), (self.wrist, self.elbow)
        if (None in by_direction) == (None in by_place) or (any(by_direction) and any(by_place)):
            raise ValueError("an arm has either upper and lower, or wrist and elbow")
        return self


class Leg(_Part):
    """A leg by three directions; the foot's is from heel to toe."""

    upper: Vector = (0.06, -1.0, 0.02)
    lower: Vector = (0.03, -1.0, -0.03)
    foot: Vector = (0.25, -0.12, 1.0)


class Trunk(_Part):
    """Angles in degrees."""

    lean: tuple[float, float] = (0.0, 0.0)
    """Forward, and to the left."""
    twist: float = Field(0.0, ge=-60, le=60)
    """How far the chest is turned to the left of the hips."""
    hips: float = Field(0.0, ge=-25, le=25)
    """How much lower the left hip is."""
    shoulders: float = Field(0.0, ge=-30, le=30)
    """How much lower the left shoulder is."""


class Pose(_Part):
    """A pose as it is kept in a file."""

    name: str = Field(pattern=_NAME, max_length=48)
    title: str = Field(max_length=100)
    tags: tuple[str, ...]
    framing: Literal["portrait", "half", "knees", "full"]
    turn: float = Field(0.0, ge=-180, le=180)
    """How far the hips are turned to the person's left; 0 faces the camera."""
    camera: float = Field(0.0, ge=-40, le=40)
    """How far from above the camera looks."""
    gaze: Literal["camera", "ahead"] = "camera"
    """Where the head is turned before `head` is added: to the camera as far as the neck allows, or with the chest."""
    head: Vector = (0.0, 0.0, 0.0)
    """Nod forward, turn to the left, tilt to the right."""
    trunk: Trunk = Trunk()
    left_arm: Arm
    right_arm: Arm
    left_leg: Leg = Leg()
    right_leg: Leg = Leg()
    mirrored_as: Annotated[str, Field(pattern=_NAME, max_length=48)] | None = None
    """The name under which the library offers the pose mirrored, too."""
    mirrored_title: str | None = None

    @model_validator(mode="after")
    def _known_tags(self) -> Pose:
        if unknown := sorted(set(self.tags) - set(TAGS)):
            raise ValueError(f"unknown tag {', '.join(unknown)}: there are {', '.join(TAGS)}")
        if FRAMINGS[self.framing] not in self.tags:
            raise ValueError(f"framing {self.framing} needs the tag {FRAMINGS[self.framing]}")
        return self

    def mirrored(self) -> Pose:
        """The same pose with left and right exchanged, under its `mirrored_as`, or its name with -mirrored."""
        trunk = self.trunk
        other = Trunk(lean=(trunk.lean[0], -trunk.lean[1]), twist=-trunk.twist, hips=-trunk.hips,
                      shoulders=-trunk.shoulders)
        nod, turn, tilt = self.head
        return self.model_copy(update={
            "name": self.mirrored_as or f"{self.name}-mirrored", "title": self.mirrored_title or self.title,
            "mirrored_as": self.name, "mirrored_title": self.title, "turn": -self.turn, "head": (nod, -turn, -tilt),
            "trunk": other, "left_arm": self.right_arm, "right_arm": self.left_arm, "left_leg": self.right_leg,
            "right_leg": self.left_leg})


def read_pose(path: Path) -> Pose:
    """A pose file. Raises `InputError`, naming it, for one that is not a pose."""
    try:
        return Pose.model_validate(yaml_value(read_bytes(path, MOST_YAML)))
    except (OSError, Unreadable) as error:
        reason = error if isinstance(error, Unreadable) else type(error).__name__
        raise InputError(f"the pose cannot be read ({reason})", path=path,
                         remedy="compare it with a file of components/core/data/poses") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "pose"
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}", path=path,
                         remedy="docs/poses.md describes the format") from None


def written(pose: Pose) -> str:
    """The pose as the text of its file: what is as by default is left out."""
    import yaml

    content = pose.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
