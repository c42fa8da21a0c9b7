"""Where MediaPipe's body points lie on the resting template, and how thick people are compared with it.

Measured once, on the maps of real people and of synthetic ones: the landmarks' shoulders, hips and ankles are not
exactly the template's joints, and its limbs are slimmer than those of most people in their clothes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from components.core.body.template import ANKLE, ELBOW, KNEE, WRIST
from components.core.fitting.fitted import Floats


def _point(x: float, y: float, z: float) -> Floats:
    return np.array([x, y, z], np.float32)


@dataclass(frozen=True)
class Conventions:
    """Anchors are places of the left half of the resting template, metres; girths are relative to the template's."""

    shoulder: Floats = field(default_factory=lambda: _point(0.163, 1.362, -0.02))
    elbow: Floats = field(default_factory=lambda: ELBOW)
    wrist: Floats = field(default_factory=lambda: WRIST)
    hip: Floats = field(default_factory=lambda: _point(0.093, 0.88, 0.0))
    knee: Floats = field(default_factory=lambda: _point(KNEE[0], 0.505, KNEE[2]))
    ankle: Floats = field(default_factory=lambda: _point(ANKLE[0], 0.07, ANKLE[2]))
    heel: Floats = field(default_factory=lambda: _point(0.120, 0.03, -0.03))
    toe: Floats = field(default_factory=lambda: _point(0.142, 0.02, 0.145))
    metres: float = 1.02
    """World metres of the landmarks for a metre of the template."""
    depth: float = 0.88
    """Depth of the world landmarks over their width and height."""
    girths: dict[str, float] = field(default_factory=lambda: {
        "pelvis": 1.06, "spine": 1.06, "chest": 0.85, "neck": 1.0, "head": 1.0, "upper_arm": 0.98, "lower_arm": 1.1,
        "hand": 1.08, "upper_leg": 1.18, "lower_leg": 1.05, "foot": 1.3})
    """Of typical people in their clothes."""
    upper_twist: float = 0.2
    lower_twist: float = 0.05
    """How far upper and lower arms are turned about their length, thumb outward, radians."""
    threshold: int = 140
    """Where the mask (0..255) ends."""
    margin: float = 0.003
    """How much wider than the body it is on each side, metres: clothes, and its own softness."""
    spread: float = 0.17
    """Standard deviation of the logarithm of people's thickness, over the typical one."""
    sideways: float = 0.22
    """Standard deviation of how far off the landmarks' line a limb's middle is, in half widths."""
    noise: float = 0.12
    odd: float = 0.2
    """Standard deviation of the logarithm of one section of the mask, and from where on a section is an odd one."""


CONVENTIONS = Conventions()
