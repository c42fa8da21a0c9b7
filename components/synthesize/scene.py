"""Where a photo is taken: camera, light and the room behind. All drawn per photo, none of it tied to a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.cameras import Camera
from components.core.body.meshes import Floats, normalise
from components.synthesize.appearance.fabric import PATTERNS, Fabric, paint_fabric, sample_colour


@dataclass(frozen=True)
class Light:
    """`key` [3] points to the main light in camera axes; strengths multiply colours; `flat` switches shading off."""

    key: Floats
    strength: float
    ambient: float
    tint: Floats
    rim: float
    noise: float
    gain: float
    flat: bool = False


FLAT = Light(np.array([0, 0, 1], np.float32), 0.0, 1.0, np.ones(3, np.float32), 0.0, 0.0, 1.0, flat=True)
"""No shading and no noise: colours as they are painted."""


def sample_camera(rng: np.random.Generator, joints: Floats, head_top: Floats, height: int, width: int) -> Camera:
    """A camera that frames the person: head and torso most of the time, sometimes closer or the whole figure.

    `joints` [17, 3] and `head_top` [3] are where the posed figure is; `height` and `width` are in pixels.
    """
    distance, tilt = rng.uniform(2.6, 5.0), np.deg2rad(rng.normal(2.5, 4.0))
    crop = rng.choice(4, p=[0.16, 0.62, 0.13, 0.09])
    lowest = [rng.uniform(1.06, 1.18), rng.uniform(0.74, 0.98), rng.uniform(0.40, 0.66), -0.05][crop]
    bottom = np.array([joints[0, 0], joints[0, 1] + lowest - 0.93, joints[0, 2]], np.float32)
    target = (bottom + head_top) / 2
    c, s = exact.cos(tilt), exact.sin(tilt)
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)
    eye = target + distance * rotation[2]
    draft = Camera(rotation, eye.astype(np.float32), 1.0, (0.0, 0.0))
    top, low = draft.project(np.stack([head_top, bottom]))[:, 1]
    room = rng.uniform(0.03, 0.10)
    focal = height * (1 - room) / (low - top)
    middle = draft.project((joints[[0, 2, 4]].mean(0) * [1, 1, 1])[None].astype(np.float32))[0, 0]
    across = width * (0.5 + rng.normal(0, 0.035)) - focal * middle
    return Camera(rotation, eye.astype(np.float32), float(focal), (float(across), float(height * room - focal * top)))


def sample_light(rng: np.random.Generator) -> Light:
    """Mostly from above and one side; warm, neutral or cool."""
    side, up = np.deg2rad(rng.uniform(-65, 65)), np.deg2rad(rng.uniform(10, 55))
    key = np.array([exact.sin(side) * exact.cos(up), exact.sin(up), exact.cos(side) * exact.cos(up)], np.float32)
    warmth = rng.normal(0, 0.03)
    return Light(
        key=key, strength=rng.uniform(0.35, 0.62), ambient=rng.uniform(0.46, 0.62),
        tint=np.array([1 + warmth, 1, 1 - warmth], np.float32), rim=rng.uniform(0.0, 0.16),
        noise=rng.uniform(0.4, 2.2), gain=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)),
    )  # fmt: skip


def shade(light: Light, rgb: Floats, normal: Floats, closed: Floats) -> Floats:
    """Colours [N, 3] under `light`; `normal` [N, 3] in camera axes, `closed` [N] 0..1 how shut in the place is."""
    if light.flat:
        return rgb
    lambert = np.clip((exact.product(normal, light.key) + 0.28) / 1.28, 0, 1)
    sky = 0.82 + 0.18 * normal[:, 1]
    level = light.ambient * sky + light.strength * lambert
    half = normalise(light.key + np.array([0, 0, 1], np.float32))
    gloss = 0.07 * light.strength * exact.power(np.clip(exact.product(normal, half), 0, 1), 24)
    rim = light.rim * exact.power(np.clip(1 - np.abs(normal[:, 2]), 0, 1), 3)
    level = (level + 0.6 * rim) * (1 - 0.5 * closed)
    # Shadows keep a little of the colour's own warmth, which reads as light bouncing.
    lit = rgb * level[:, None] * light.tint + gloss[:, None]
    return np.asarray(lit * (1 + 0.10 * (rgb - rgb.mean(1, keepdims=True))), np.float32)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A picture of somewhere [H, W, 3], RGB in 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    makers = (_studio, _room, _blobs, _wallpaper, _outdoors, _tiles, _shelves)
    rgb = makers[rng.choice(len(makers), p=[0.24, 0.20, 0.16, 0.11, 0.13, 0.08, 0.08])](rng, x, y)
    if rng.random() < 0.35:
        rgb = _blur(rgb, height * rng.uniform(0.004, 0.02))
    return np.clip(rgb, 0, 1).astype(np.float32)


def _quiet(rng: np.random.Generator) -> Floats:
    """A wall's colour."""
    colour = sample_colour(rng)
    grey = np.full(3, rng.uniform(0.35, 0.95), np.float32)
    return np.asarray(grey + rng.uniform(0.1, 0.6) * (colour - grey), np.float32)


def _mix(a: Floats, b: Floats, t: Floats) -> Floats:
    return np.asarray(a + (b - a) * np.clip(t, 0, 1)[..., None], np.float32)


def _blur(rgb: Floats, sigma: float) -> Floats:
    return np.asarray(exact.blurred(rgb, sigma), np.float32)


def _studio(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    wall = _quiet(rng)
    spot = exact.hypot(x - rng.uniform(0.1, 0.65), y - rng.uniform(0.1, 0.7))
    return _mix(
        np.minimum(wall * np.float32(1.12), 1), wall * np.float32(rng.uniform(0.55, 0.9)), spot * rng.uniform(0.7, 1.4)
    )


def _room(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    rgb = _studio(rng, x, y)
    floor = rng.uniform(0.68, 0.92) + rng.normal(0, 0.03) * (x - 0.4)
    below = y > floor
    planks = 0.93 + 0.07 * np.sign(exact.sin((x - 0.375) / (y - floor + 0.12) * rng.uniform(14, 30)))
    rgb = np.where(below[..., None], _quiet(rng) * np.float32(0.8) * planks[..., None].astype(np.float32), rgb)
    rgb = np.where(((y < floor) & (y > floor - 0.022))[..., None], np.float32(0.9), rgb)
    for _ in range(rng.integers(0, 3)):
        left, top = rng.uniform(-0.1, 0.7), rng.uniform(-0.05, 0.35)
        wide, tall = rng.uniform(0.12, 0.35), rng.uniform(0.15, 0.4)
        inside = (x > left) & (x < left + wide) & (y > top) & (y < top + tall)
        pane = (x > left + 0.015) & (x < left + wide - 0.015) & (y > top + 0.015) & (y < top + tall - 0.015)
        rgb = np.where(inside[..., None], _quiet(rng), rgb)
        rgb = np.where(pane[..., None], _mix(_quiet(rng), sample_colour(rng), (y - top) / tall), rgb)
    return np.asarray(rgb, np.float32)


def _blobs(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    rgb = _mix(_quiet(rng) * np.float32(0.8), _quiet(rng), y)
    for _ in range(rng.integers(8, 22)):
        radius = rng.uniform(0.02, 0.13)
        disc = np.clip((radius - exact.hypot(x - rng.uniform(0, 0.75), y - rng.uniform(0, 1))) / 0.02, 0, 1)
        rgb = _mix(rgb, sample_colour(rng), disc * rng.uniform(0.2, 0.6))
    return rgb


def _wallpaper(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    colour = _quiet(rng)
    second = np.clip(colour + rng.uniform(-0.25, 0.25, 3), 0, 1).astype(np.float32)
    fabric = Fabric(PATTERNS[rng.integers(1, 8)], colour, second, rng.uniform(0.05, 0.16), rng.uniform(0, 1))
    flat = paint_fabric(fabric, x.ravel(), y.ravel()).reshape(*x.shape, 3)
    return np.asarray(flat * (1.05 - 0.2 * exact.hypot(x - 0.375, y - 0.4))[..., None], np.float32)


def _outdoors(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    sky = np.array([(0.55, 0.74, 0.93), (0.80, 0.84, 0.88), (0.95, 0.75, 0.58)])[rng.integers(3)].astype(np.float32)
    rgb = _mix(sky, np.array([0.96, 0.95, 0.92], np.float32), y * 1.4)
    for level in range(3):
        phase = rng.uniform(0, 6.28, 2)
        hills = 0.06 * exact.sin(x * rng.uniform(3, 7) + phase[0]) + 0.02 * exact.sin(x * 17 + phase[1])
        ridge = 0.38 + 0.17 * level + hills
        green = np.array([rng.uniform(0.25, 0.55), rng.uniform(0.42, 0.62), rng.uniform(0.2, 0.45)], np.float32)
        rgb = _mix(rgb, green * np.float32(1.15 - 0.18 * level), (y - ridge) / 0.012)
    return _blur(rgb, x.shape[0] * 0.012)


def _tiles(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    tall = rng.uniform(0.04, 0.09)
    row = np.floor(y / tall)
    column = np.floor(x / (2.2 * tall) + 0.5 * np.mod(row, 2))
    joint = (np.mod(y / tall, 1) < 0.09) | (np.mod(x / (2.2 * tall) + 0.5 * np.mod(row, 2), 1) < 0.04)
    tone = 0.9 + 0.1 * exact.sin(row * 12.9 + column * 78.2)
    rgb = _quiet(rng) * tone[..., None].astype(np.float32)
    return np.asarray(np.where(joint[..., None], rgb * 0 + _quiet(rng), rgb), np.float32)


def _shelves(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    rgb = np.broadcast_to(_quiet(rng) * np.float32(0.6), (*x.shape, 3)).astype(np.float32)
    tall = rng.uniform(0.16, 0.26)
    for row in range(int(1 / tall) + 1):
        at = rng.uniform(-0.05, 0.0)
        while at < 0.75:
            wide, high = rng.uniform(0.012, 0.05), tall * rng.uniform(0.55, 0.9)
            book = (x >= at) & (x < at + wide) & (y > (row + 0.94) * tall - high) & (y < (row + 0.94) * tall)
            rgb = np.where(book[..., None], sample_colour(rng) * np.float32(0.8), rgb)
            at += wide + 0.002
        rgb = np.where(
            ((y > (row + 0.94) * tall) & (y < (row + 1) * tall))[..., None],
            np.array([0.5, 0.38, 0.26], np.float32),
            rgb,
        )
    return _blur(rgb, x.shape[0] * 0.008)
