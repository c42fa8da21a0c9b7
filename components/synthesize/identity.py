"""Who somebody is: build, face, hair and wardrobe, drawn from (seed, index) and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats, smoothstep
from components.core.body.template import ARM_AXIS, BONE, BONES
from components.synthesize.appearance.clothes import Outfit, sample_outfit
from components.synthesize.appearance.face import Face, sample_face
from components.synthesize.appearance.hair import Hair, sample_hair


@dataclass(frozen=True)
class Build:
    """`stretch` [17, 3, 3] of each bone's skin, and flesh in metres added along the surface's normal."""

    stretch: Floats
    bust: float
    belly: float
    seat: float


@dataclass(frozen=True)
class Person:
    """One identity."""

    index: int
    build: Build
    face: Face
    hair: Hair
    outfits: tuple[Outfit, ...]


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Random numbers that belong to one purpose of one seed (any integer), whoever else draws."""
    return np.random.default_rng([seed % 2**64, *purpose])


def sample_person(seed: int, index: int, outfits: int) -> Person:
    """Identity number `index` of the population `seed`, with a wardrobe of `outfits`."""
    rng = stream(seed, index, 1)
    feminine = float(np.clip(rng.choice([0.12, 0.88]) + rng.normal(0, 0.12), 0, 1))
    face = sample_face(rng, feminine)
    hair = sample_hair(rng, feminine, dark_skin=float(face.skin.sum()) < 1.5)
    build = _sample_build(rng, feminine)
    wardrobe = tuple(sample_outfit(stream(seed, index, 2, number), feminine) for number in range(outfits))
    return Person(index, build, face, hair, wardrobe)


def _sample_build(rng: np.random.Generator, feminine: float) -> Build:
    u = rng.uniform
    heavy = float(np.clip(rng.normal(0, 1), -1.8, 2.2))
    girth = 1 + 0.07 * heavy
    shoulders = girth**0.5 * (1.08 - 0.12 * feminine) * u(0.95, 1.05)
    waist = girth * (1.05 - 0.08 * feminine) * u(0.96, 1.04)
    hips = girth * (0.97 + 0.08 * feminine) * u(0.96, 1.06)
    trunk = u(0.96, 1.05)
    stretch = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    stretch[BONE["pelvis"]] = np.diag([hips, 1, hips * u(0.95, 1.05)])
    stretch[BONE["spine"]] = np.diag([waist, trunk, waist * u(0.95, 1.1)])
    stretch[BONE["chest"]] = np.diag([shoulders, trunk, girth * u(0.95, 1.05)])
    neck = girth**0.4 * (1.06 - 0.16 * feminine)
    stretch[BONE["neck"]] = np.diag([neck, u(0.60, 0.84), neck])
    stretch[BONE["head"]] = np.eye(3) * u(1.10, 1.22)
    limb, leg_length, arm_length = girth * (1.05 - 0.12 * feminine), u(0.94, 1.06), u(0.95, 1.05)
    for side, sign in (("l", 1.0), ("r", -1.0)):
        axis = ARM_AXIS * np.array([sign, 1, 1], np.float32)
        lengthwise = np.outer(axis, axis)
        for bone in ("upper_arm", "lower_arm"):
            stretch[BONE[f"{bone}_{side}"]] = limb * np.eye(3) + (arm_length - limb) * lengthwise
        stretch[BONE[f"hand_{side}"]] = np.eye(3) * u(0.95, 1.05) * (1.06 - 0.1 * feminine)
        stretch[BONE[f"upper_leg_{side}"]] = np.diag([girth, leg_length, girth])
        stretch[BONE[f"lower_leg_{side}"]] = np.diag([limb, leg_length, limb])
    # Both hands alike.
    stretch[BONE["hand_r"]] = stretch[BONE["hand_l"]]
    bust = max(0.0, feminine - 0.35) * u(0.025, 0.075)
    return Build(stretch.astype(np.float32), bust, max(0.0, 0.018 * heavy + u(-0.01, 0.012)), 0.012 + 0.02 * feminine)


def flesh(build: Build, rest: Floats) -> Floats:
    """Metres that bust, belly and seat add along the normal at resting points [N, 3]."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    front, back = smoothstep(0.01, 0.07, z), smoothstep(-0.01, -0.07, z)
    bust = build.bust * exact.exp(-(((x - 0.068) / 0.045) ** 2) - ((y - 1.235) / 0.05) ** 2) * front
    belly = build.belly * exact.exp(-((x / 0.11) ** 2) - ((y - 1.03) / 0.085) ** 2) * front
    seat = build.seat * exact.exp(-(((x - 0.07) / 0.06) ** 2) - ((y - 0.88) / 0.07) ** 2) * back
    return np.asarray(bust + belly + seat, np.float32)
