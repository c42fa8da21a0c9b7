"""Where MediaPipe's body points lie on the resting template, and how thick people are compared with it.

Measured once, on the maps of real people and of synthetic ones: the landmarks' shoulders, hips and ankles are not
exactly the template's joints, and its limbs are slimmer than those of most people in their clothes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from components.core.body.template import ANKLE, ARM_AXIS, ELBOW, HIP, KNEE, SHOULDER, WRIST
from components.core.fitting.fitted import Floats


def _point(x: float, y: float, z: float) -> Floats:
    return np.array([x, y, z], np.float32)


@dataclass(frozen=True)
class Conventions:
    """Anchors are places of the left half of the resting template, metres; girths are relative to the template's."""

    shoulder: Floats = field(default_factory=lambda: SHOULDER)
    elbow: Floats = field(default_factory=lambda: ELBOW)
    wrist: Floats = field(default_factory=lambda: WRIST)
    knuckle: Floats = field(default_factory=lambda: WRIST + np.float32(0.09) * ARM_AXIS)
    hip: Floats = field(default_factory=lambda: HIP)
    knee: Floats = field(default_factory=lambda: KNEE)
    ankle: Floats = field(default_factory=lambda: ANKLE)
    heel: Floats = field(default_factory=lambda: _point(0.120, 0.03, -0.075))
    toe: Floats = field(default_factory=lambda: _point(0.142, 0.02, 0.150))
    metres: float = 1.0
    """World metres of the landmarks for a metre of the template."""
    girths: dict[str, float] = field(default_factory=lambda: {
        "pelvis": 1.1, "spine": 1.2, "chest": 1.0, "neck": 1.0, "head": 1.0, "upper_arm": 1.0, "lower_arm": 1.0,
        "hand": 1.2, "upper_leg": 1.05, "lower_leg": 1.0, "foot": 1.0})
    threshold: int = 140
    """Where the mask (0..255) ends."""
    margin: float = 0.003
    """How much wider than the body it is on each side, metres: clothes, and its own softness."""
    spread: float = 0.15
    """Standard deviation of the logarithm of people's thickness, over the typical one."""
    sideways: float = 0.12
    """Standard deviation of how far off the landmarks' line a limb's middle is, in half widths."""
    noise: float = 0.12
    odd: float = 0.2
    """Standard deviation of the logarithm of one section of the mask, and from where on a section is an odd one."""


CONVENTIONS = Conventions()
