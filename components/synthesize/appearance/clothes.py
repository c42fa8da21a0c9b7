"""Outfits: which cloth covers which part of the body, how thick it is, and what hangs off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.charts import limb_turn
from components.core.body.meshes import Floats, length, smoothstep
from components.core.body.template import (  # fmt: skip
    ANKLE,
    ARM_AXIS,
    CROTCH,
    HIP_CREASE,
    KNEE,
    SHOULDER,
    WRIST,
    torso_section,
)
from components.synthesize.appearance.fabric import Fabric, denim, paint_fabric, sample_colour, sample_fabric

ARM = float(exact.product(WRIST - SHOULDER, ARM_AXIS))


@dataclass(frozen=True)
class Outfit:
    """Lengths are metres on the resting template: sleeves from the shoulder, hems and legs as heights."""

    top: Fabric
    neckline: str
    neck_depth: float
    sleeve: float
    hem: float
    thick: float
    badge: str
    badge_colour: Floats
    bottom: Fabric
    leg_end: float
    waist: float
    leg_thick: float
    belt: Floats | None
    skirt_end: float | None
    skirt_flare: float
    is_dress: bool
    coat: Fabric | None
    coat_open: float
    coat_end: float
    shoes: Floats
    shoe_top: float
    bag: Floats | None
    scarf: Fabric | None


def sample_outfit(rng: np.random.Generator, feminine: float) -> Outfit:
    """Something to wear."""
    u = rng.uniform
    skirted = rng.random() < 0.55 * feminine
    is_dress = skirted and rng.random() < 0.5
    tank = rng.random() < 0.08 + 0.15 * feminine
    sleeve = 0.0 if tank else [u(0.10, 0.17), u(0.20, 0.32), u(0.44, ARM)][rng.choice(3, p=[0.42, 0.13, 0.45])]
    coated = rng.random() < 0.28
    long_coat = coated and rng.random() < 0.45
    leg_end = [u(0.09, 0.13), u(0.22, 0.35), u(0.52, 0.68)][rng.choice(3, p=[0.68, 0.14, 0.18])]
    top = sample_fabric(rng)
    bottom = denim(rng) if rng.random() < 0.45 else sample_fabric(rng, plain=0.6)
    skirt_end = u(0.48, 0.76) if skirted else None
    return Outfit(
        top=top, neckline=["crew", "vee", "scoop", "shirt", "high"][rng.choice(5, p=[0.3, 0.2, 0.14, 0.24, 0.12])],
        neck_depth=u(0.05, 0.12), sleeve=sleeve, hem=0.86 if is_dress else u(0.88, 1.02), thick=u(0.004, 0.016),
        badge=["none", "disc", "bar", "star", "ring", "heart"][rng.choice(6, p=[0.5, 0.12, 0.12, 0.1, 0.08, 0.08])],
        badge_colour=sample_colour(rng), bottom=top if is_dress else bottom,
        leg_end=0.8 if skirted else leg_end, waist=1.04 if skirted else u(0.96, 1.03),
        leg_thick=u(0.002, 0.022),
        belt=sample_colour(rng) if rng.random() < 0.3 else None, skirt_end=skirt_end, skirt_flare=u(0.02, 0.13),
        is_dress=is_dress, coat=sample_fabric(rng, plain=0.6) if coated else None, coat_open=u(0.025, 0.07),
        coat_end=u(0.45, 0.72) if long_coat else u(0.84, 0.96), shoes=sample_colour(rng), shoe_top=u(0.07, 0.16),
        bag=sample_colour(rng) if rng.random() < 0.12 else None,
        scarf=sample_fabric(rng) if rng.random() < 0.08 else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Coordinates of resting body points [N] that clothes are cut by, metres."""

    x: Floats
    side: Floats
    y: Floats
    front: Floats
    reach: Floats
    arm: Floats
    across: Floats
    down: Floats


def place(rest: Floats) -> Place:
    """Cutting coordinates of resting points [N, 3]. `across`, `down` run on over torso and legs, and along arms."""
    p = rest.copy()
    p[:, 0] = np.abs(p[:, 0])
    reach = exact.product(p - SHOULDER, ARM_AXIS)
    off = p - SHOULDER - reach[:, None] * ARM_AXIS
    arm = (reach > -0.005) & (length(off) < np.where(reach < 0.1, 0.078, 0.1))
    rx, rz, cz = torso_section(p[:, 1])
    turn = exact.arctan2(p[:, 0] / rx, (p[:, 2] - cz) / rz)  # 0 in front, pi/2 at the side, pi behind
    sign = np.where(rest[:, 0] < 0, -1.0, 1.0)
    arm_across = limb_turn(p, SHOULDER, WRIST) * 0.045
    leg_turn = exact.arctan2(p[:, 0] - 0.105, p[:, 2]) * 0.075
    across = np.where(arm, arm_across, np.where(p[:, 1] < CROTCH, leg_turn, sign * turn * 0.14))
    down = np.where(arm, reach - 1.38, -p[:, 1])
    pack = [a.astype(np.float32) for a in (rest[:, 0], p[:, 0], p[:, 1], p[:, 2] - cz, reach, arm, across, down)]
    return Place(*pack)


def _cut(distance: Floats, width: float = 0.005) -> Floats:
    """1 inside a cut (positive distance, metres), 0 outside."""
    return np.asarray(np.clip(0.5 + distance / width, 0, 1), np.float32)


def _neck_edge(outfit: Outfit, at: Place) -> Floats:
    """How far below the neckline a place is, metres."""
    depth, x = outfit.neck_depth, at.side
    in_front = smoothstep(-0.01, 0.02, at.front)
    drop = {
        "crew": 0.012 + 0 * x, "high": -0.075 + 0 * x, "shirt": 0.055 * np.clip(1 - x / 0.028, 0, 1) - 0.012,
        "vee": 0.01 + 1.15 * depth * np.clip(1 - x / 0.075, 0, 1),
        "scoop": depth * np.sqrt(np.clip(1 - (x / 0.095) ** 2, 0, 1)),
    }[outfit.neckline]  # fmt: skip
    back = {"high": -0.075, "shirt": -0.02}.get(outfit.neckline, -0.005)
    shoulder = 1.1 * np.clip(x - 0.068, 0, 0.06)  # cloth climbs over the shoulders beside the neck
    return np.asarray(1.405 + shoulder - (drop * in_front + back * (1 - in_front)) - at.y, np.float32)


def top_cover(outfit: Outfit, at: Place) -> Floats:
    """How much of the top covers each place: 0..1."""
    body = np.minimum(at.y - outfit.hem, _neck_edge(outfit, at))
    if outfit.sleeve == 0.0:
        body = np.minimum(body, 0.128 - at.side + 0.55 * np.clip(1.30 - at.y, -0.03, 0.3))
        return _cut(np.where(at.arm > 0, -1.0, body))
    return _cut(np.where(at.arm > 0, outfit.sleeve - at.reach, body))


def _coat_cover(outfit: Outfit, at: Place) -> Floats:
    opening = outfit.coat_open + 0.06 * np.clip((at.y - 1.1) / 0.3, 0, 1)
    open_front = np.where(at.front > 0, at.side - opening, 1.0)
    body = np.minimum(
        np.minimum(at.y - max(outfit.coat_end, 0.80), open_front),
        1.415 + 1.1 * np.clip(at.side - 0.068, 0, 0.06) - at.y,
    )
    return _cut(np.where(at.arm > 0, ARM - 0.01 - at.reach, body))


def _leg_cover(outfit: Outfit, at: Place) -> Floats:
    return _cut(np.where(at.arm > 0, -1.0, np.minimum(at.y - outfit.leg_end, outfit.waist - at.y)))


def cloth_thickness(outfit: Outfit, rest: Floats) -> Floats:
    """How far cloth stands off the skin of resting points [N, 3], metres."""
    at = place(rest)
    legs = _leg_cover(outfit, at) * (0.003 + outfit.leg_thick * smoothstep(0.85, 0.5, at.y))
    folds = 1 + 0.25 * exact.sin(at.y * 70 + 9 * at.x) * exact.sin(at.across * 60)
    top = top_cover(outfit, at) * (0.004 + outfit.thick * folds)
    out = np.maximum(legs, top)
    if outfit.coat is not None:
        out = np.maximum(out, out + _coat_cover(outfit, at) * 0.012)
    shoes = 0.006 * _cut(outfit.shoe_top - at.y)
    return np.asarray(np.maximum(out, shoes), np.float32)


def paint_clothes(outfit: Outfit, skin: Floats, rest: Floats) -> Floats:
    """Colours [N, 3] of resting body points: skin where nothing covers it."""
    at = place(rest)
    rgb = np.broadcast_to(skin, (len(rest), 3)).astype(np.float32)
    _paint_hands(rgb, skin, at)
    _lay(rgb, paint_fabric(outfit.bottom, at.across, at.down), _leg_cover(outfit, at))
    _trim_trousers(rgb, outfit, at)
    cover = top_cover(outfit, at)
    _lay(rgb, paint_fabric(outfit.top, at.across, at.down), cover)
    _trim_top(rgb, outfit, at, cover)
    if outfit.coat is not None:
        cover = _coat_cover(outfit, at)
        _lay(rgb, paint_fabric(outfit.coat, at.across, at.down), cover)
        lapel = (
            cover
            * _cut(outfit.coat_open + 0.075 * np.clip((at.y - 1.1) / 0.3, 0, 1) + 0.012 - at.side)
            * (at.front > 0)
        )
        _lay(rgb, outfit.coat.colour * np.float32(0.72), lapel * (at.arm == 0))
        _lay(rgb, outfit.coat.colour * np.float32(0.78), cover * _cut(at.reach - ARM + 0.03) * at.arm)
    _lay(rgb, outfit.shoes, _cut(outfit.shoe_top - at.y) * (at.arm == 0))
    _lay(rgb, np.array([0.93, 0.92, 0.9], np.float32), _cut(0.016 - at.y) * (at.arm == 0))
    return rgb


def _lay(rgb: Floats, colour: Floats, cover: Floats) -> None:
    """Lay cloth over what is there, in place."""
    rgb += cover[:, None] * (colour - rgb)


def _paint_hands(rgb: Floats, skin: Floats, at: Place) -> None:
    past = at.reach - ARM
    gaps = np.abs(np.mod(at.front / 0.017 + 0.5, 1) - 0.5) * 0.017
    _lay(rgb, skin * np.float32(0.72), 0.7 * _cut(0.0016 - gaps, 0.0016) * _cut(past - 0.085) * at.arm)
    _lay(rgb, skin * np.float32(0.8), 0.25 * _cut(0.01 - np.abs(at.y - KNEE[1] - 0.01), 0.02) * (at.arm == 0))


def _trim_trousers(rgb: Floats, outfit: Outfit, at: Place) -> None:
    legs = _leg_cover(outfit, at)
    dark = outfit.bottom.colour * np.float32(0.68)
    seam = _cut(0.0022 - np.abs(at.side - 0.168 * (at.y > 0.8) - 0.15 * (at.y <= 0.8)), 0.003)
    fly = _cut(0.0025 - at.side, 0.003) * _cut(at.y - CROTCH) * (at.front > 0)
    pocket = _cut(0.003 - np.abs(at.y - HIP_CREASE - 0.02 - 0.4 * (0.12 - at.side)), 0.003) * _cut(at.side - 0.085)
    _lay(rgb, dark, 0.7 * legs * np.maximum(np.maximum(seam * (at.front > 0), fly), pocket))
    if outfit.belt is not None and not outfit.is_dress:
        band = legs * _cut(at.y - outfit.waist + 0.035)
        _lay(rgb, outfit.belt, band)
        _lay(rgb, np.array([0.8, 0.72, 0.45], np.float32), band * _cut(0.017 - at.side) * (at.front > 0))
    _lay(rgb, dark, 0.6 * legs * _cut(outfit.leg_end + 0.012 - at.y) * (outfit.leg_end > ANKLE[1]))


def _trim_top(rgb: Floats, outfit: Outfit, at: Place, cover: Floats) -> None:
    """Collar, placket, hems and what is printed on the chest."""
    front, torso = at.front > 0, at.arm == 0
    edge = _neck_edge(outfit, at)
    trim = outfit.top.second if outfit.top.pattern != "plain" else outfit.top.colour * np.float32(0.74)
    if outfit.neckline == "shirt":
        pale = np.minimum(outfit.top.colour * np.float32(1.12) + np.float32(0.06), 1)
        collar = _cut(0.042 + 0.3 * np.clip(0.05 - at.side, 0, 0.05) - edge) * _cut(0.115 - at.side)
        _lay(rgb, pale, cover * collar * torso)
        rim = _cut(0.003 - np.abs(0.042 + 0.3 * np.clip(0.05 - at.side, 0, 0.05) - edge), 0.003) * _cut(0.115 - at.side)
        _lay(rgb, outfit.top.colour * np.float32(0.6), 0.8 * cover * rim * torso)
        _lay(
            rgb,
            outfit.top.colour * np.float32(0.7),
            0.7 * cover * _cut(0.0022 - np.abs(at.x - 0.014), 0.003) * front * torso,
        )
        button = exact.hypot(at.x, np.mod(at.y, 0.075) - 0.037)
        _lay(rgb, np.array([0.96, 0.95, 0.9], np.float32), cover * _cut(0.0075 - button) * front * torso)
    else:
        _lay(rgb, trim, 0.85 * cover * _cut(0.014 - edge) * torso)
    _lay(rgb, trim, 0.6 * cover * torso * _cut(outfit.hem + 0.014 - at.y) * (not outfit.is_dress))
    if outfit.sleeve:
        _lay(rgb, trim, 0.75 * cover * at.arm * _cut(at.reach - outfit.sleeve + 0.016))
    if outfit.neckline != "shirt":
        _lay(rgb, outfit.badge_colour, cover * torso * front * _badge(outfit.badge, at.x, at.y - 1.235))


def _badge(kind: str, x: Floats, y: Floats) -> Floats:
    """A print on the chest around the origin, metres."""
    r = exact.hypot(x, y)
    if kind == "disc":
        return _cut(0.052 - r)
    if kind == "ring":
        return _cut(0.014 - np.abs(r - 0.045))
    if kind == "bar":
        return np.maximum(
            _cut(np.minimum(0.085 - np.abs(x), 0.012 - np.abs(y))),
            _cut(np.minimum(0.05 - np.abs(x), 0.010 - np.abs(y + 0.034))),
        )
    if kind == "star":
        return _cut(0.042 * (1 + 0.38 * exact.cos(5 * exact.arctan2(x, y))) - r)
    if kind == "heart":
        lobes = exact.hypot(np.abs(x) - 0.022, y - 0.014)
        return np.maximum(
            _cut(0.028 - lobes),
            _cut(np.minimum(0.052 - np.abs(x) - (0.010 - y) * 1.0, 0.02 - y)) * (np.abs(x) < 0.046) * (y > -0.045),
        )
    return np.zeros_like(x)
