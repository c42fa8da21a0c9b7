"""Cloth: colours and patterns as functions of a place on the body in metres."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats

PATTERNS = ("plain", "bands", "pinstripe", "checks", "dots", "zigzag", "blotches", "diamonds", "fade", "knit", "block")
_SHARES = np.array([0.26, 0.13, 0.08, 0.11, 0.10, 0.06, 0.07, 0.05, 0.04, 0.05, 0.05])


@dataclass(frozen=True)
class Fabric:
    """A pattern by name, its two RGB colours, the `size` of its repeat in metres and where it starts."""

    pattern: str
    colour: Floats
    second: Floats
    size: float
    phase: float


def sample_colour(rng: np.random.Generator) -> Floats:
    """A colour people wear: mostly quiet, sometimes loud."""
    kind = rng.random()
    hue = rng.random()
    if kind < 0.22:
        rgb = [rng.choice([0.10, 0.16, 0.35, 0.62, 0.90, 0.95])] * 3
    elif kind < 0.55:
        rgb = list(colorsys.hsv_to_rgb(hue, rng.uniform(0.55, 0.9), rng.uniform(0.55, 0.95)))
    elif kind < 0.8:
        rgb = list(colorsys.hsv_to_rgb(hue, rng.uniform(0.2, 0.45), rng.uniform(0.75, 0.95)))
    else:
        rgb = list(colorsys.hsv_to_rgb(hue, rng.uniform(0.4, 0.8), rng.uniform(0.2, 0.45)))
    return np.array(rgb, np.float32)


def sample_fabric(rng: np.random.Generator, plain: float = 0.0) -> Fabric:
    """A fabric; `plain` is the extra chance of no pattern."""
    colour = sample_colour(rng)
    second = sample_colour(rng)
    while np.abs(second - colour).sum() < 0.6:
        second = sample_colour(rng)
    pattern = "plain" if rng.random() < plain else PATTERNS[rng.choice(len(PATTERNS), p=_SHARES)]
    return Fabric(pattern, colour, second, rng.uniform(0.028, 0.075), rng.uniform(0, 1))


def denim(rng: np.random.Generator) -> Fabric:
    """Jeans, from washed out to black."""
    blue = np.array(
        [(0.36, 0.48, 0.66), (0.20, 0.29, 0.46), (0.12, 0.15, 0.24), (0.58, 0.68, 0.80), (0.10, 0.10, 0.11)]
    )
    colour = blue[rng.integers(len(blue))].astype(np.float32)
    return Fabric("denim", colour, np.minimum(colour * 1.35 + 0.04, 1).astype(np.float32), 0.05, rng.uniform(0, 1))


def paint_fabric(fabric: Fabric, across: Floats, down: Floats) -> Floats:
    """Colours [N, 3] at `across` and `down` metres."""
    x, y = across / fabric.size + fabric.phase, down / fabric.size + fabric.phase
    amount = _amount(fabric.pattern, x, y, across, down).astype(np.float32)
    return np.asarray(fabric.colour + amount[:, None] * (fabric.second - fabric.colour), np.float32)


def _soft(wave: Floats, level: float = 0.0, width: float = 0.3) -> Floats:
    return np.asarray(np.clip(0.5 + (wave - level) / width, 0, 1), np.float32)


def _amount(pattern: str, x: Floats, y: Floats, across: Floats, down: Floats) -> Floats:
    """How much of the second colour shows: 0..1."""
    tau = 2 * np.pi
    if pattern == "bands":
        return _soft(exact.sin(tau * y * 0.5))
    if pattern == "pinstripe":
        return _soft(exact.cos(tau * x), 0.75)
    if pattern == "checks":
        return np.asarray(0.5 * _soft(exact.sin(tau * x * 0.5)) + 0.5 * _soft(exact.sin(tau * y * 0.5)), np.float32)
    if pattern == "dots":
        shift = 0.5 * np.mod(np.floor(y), 2)
        return _soft(0.30 - exact.hypot(np.mod(x + shift, 1) - 0.5, np.mod(y, 1) - 0.5), 0.0, 0.12)
    if pattern == "zigzag":
        return _soft(exact.sin(tau * (0.6 * y + 0.35 * np.abs(np.mod(x, 1) - 0.5) * 2)), 0.2)
    if pattern == "blotches":
        wave = exact.sin(tau * 0.31 * x + 1.9 * exact.sin(tau * 0.23 * y)) + exact.sin(
            tau * 0.37 * y + 1.7 * exact.sin(tau * 0.29 * x + 1)
        )
        return _soft(wave, 0.45)
    if pattern == "diamonds":
        return _soft(exact.cos(tau * 0.4 * x) + exact.cos(tau * 0.28 * y), 0.35, 0.4)
    if pattern == "fade":
        return np.asarray(np.clip((down + 1.35) / 0.45, 0, 1), np.float32)
    if pattern == "knit":
        return np.asarray(0.22 * (0.5 + 0.5 * exact.sin(tau * x * 2.2) * exact.sin(tau * y * 2.6)), np.float32)
    if pattern == "block":
        return _soft(-1.21 - down, 0.0, 0.006)
    if pattern == "denim":
        worn = exact.exp(-(((down + 0.68) / 0.16) ** 2)) * exact.exp(-((across / 0.06) ** 2))
        return np.asarray(0.7 * worn + 0.12 * exact.sin(tau * x * 3.1) * exact.sin(tau * y * 2.7), np.float32)
    return np.zeros_like(x)
