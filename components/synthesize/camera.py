"""What rooms and cameras do to photos: light from one side, tone, blur, noise, JPEG. Seeded, and off by default.

Every effect draws from a stream of its own purpose, so that switching one on changes nothing else about a photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from components.core.body import exact
from components.core.body.meshes import Floats
from components.core.settings import SynthesizeSettings
from components.synthesize.identity import stream
from components.synthesize.render import Bytes, Rendering
from components.synthesize.scene import Light, sample_light

BEST_JPEG = 95
_SIZE, _LIGHT, _TONE, _BLUR, _NOISE, _JPEG, _GRAIN = range(5, 12)
"""Purposes of streams; 1 to 4 are who, wardrobe, photo and pose noise."""
_EXPOSURE, _WARMTH, _TINT, _CONTRAST = 0.16, 0.09, 0.03, 0.12
"""Standard deviations of the logarithms at tone 1: photos of one person by several telephones spread about so."""
_MIDDLE = 0.45
"""The grey that contrast leaves as it is."""
_SOFTEST = 0.3
"""Blur of fewer pixels than this is none."""


@dataclass(frozen=True)
class Tone:
    """`gain` [3] multiplies RGB, then distances from a middle grey are multiplied by `contrast`."""

    gain: Floats
    contrast: float

    def __call__(self, rgb: Bytes) -> Bytes:
        """Change colours uint8 [..., 3]."""
        values = rgb.astype(np.float32) / np.float32(255) * self.gain
        return _bytes(np.float32(_MIDDLE) + (values - np.float32(_MIDDLE)) * np.float32(self.contrast))


@dataclass(frozen=True)
class Camera:
    """How photo `number` of identity `index` in `outfit` is taken."""

    settings: SynthesizeSettings
    index: int
    outfit: int
    number: int

    def height(self) -> int:
        """Of the photo in pixels."""
        least, most = self.settings.height, self.settings.camera.tallest
        if most <= least:
            return least
        return round(least * float(exact.power(most / least, self._rng(_SIZE).random())))

    def light(self, drawn: Light) -> Light:
        """The light of this photo, where `drawn` is what it has otherwise. Its noise stays."""
        asked = self.settings.camera
        rng = self._rng(_LIGHT, session=asked.one_light)
        shared, harsh = sample_light(rng), one_sided(rng)
        light = shared if asked.one_light else drawn
        light = harsh if rng.random() < asked.one_sided else light
        return replace(light, noise=drawn.noise)

    def tone(self) -> Tone | None:
        """Exposure, white balance and contrast; None for those of a camera that is never wrong."""
        much = self.settings.camera.tone
        if not much:
            return None
        draws = self._rng(_TONE, session=self.settings.camera.one_light).standard_normal(4) * much
        exposure, warmth, tint = draws[:3] * (_EXPOSURE, _WARMTH, _TINT)
        gain = exact.exp(np.array([exposure + warmth, exposure + tint, exposure - warmth]))
        return Tone(np.asarray(gain, np.float32), float(exact.exp(draws[3] * _CONTRAST)))

    def develop(self, photo: Rendering) -> Rendering:
        """`photo` with the tone, blur and noise of this camera; what the person looks like without the latter two."""
        rgb, own, asked = photo.rgb, photo.own, self.settings.camera
        if tone := self.tone():
            rgb, own = tone(rgb), np.concatenate([tone(own[..., :3]), own[..., 3:]], 2)
        sigma = self._rng(_BLUR).uniform(0, asked.blur) * rgb.shape[0]
        if sigma > _SOFTEST:
            rgb = _bytes(exact.blurred(rgb.astype(np.float32) / np.float32(255), float(sigma)))
        level = self._rng(_NOISE).uniform(0, asked.noise)
        if level > 0:
            rgb = _grainy(rgb, float(level), self._rng(_GRAIN))
        return replace(photo, rgb=rgb, own=own)

    def quality(self) -> int:
        """Of the JPEG file."""
        return int(self._rng(_JPEG).integers(self.settings.camera.jpeg, BEST_JPEG + 1))

    def _rng(self, purpose: int, session: bool = False) -> np.random.Generator:
        """Random numbers of this photo, or of all photos in its outfit."""
        which = (0, self.outfit) if session else (1, self.number)
        return stream(self.settings.seed, self.index, purpose, *which)


def one_sided(rng: np.random.Generator) -> Light:
    """A window or a lamp beside the person, and little light from anywhere else."""
    side = float(np.deg2rad(rng.uniform(55, 100) * rng.choice([-1, 1])))
    up = float(np.deg2rad(rng.uniform(0, 40)))
    warmth = float(rng.normal(0, 0.04))
    key = np.array([exact.sin(side) * exact.cos(up), exact.sin(up), exact.cos(side) * exact.cos(up)], np.float32)
    return Light(
        key=key, strength=rng.uniform(0.65, 0.95), ambient=rng.uniform(0.22, 0.38),
        tint=np.array([1 + warmth, 1, 1 - warmth], np.float32), rim=rng.uniform(0.0, 0.1), noise=0.0,
        gain=float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)),
    )  # fmt: skip


def _grainy(rgb: Bytes, level: float, rng: np.random.Generator) -> Bytes:
    """Noise of a sensor on uint8 [H, W, 3]: its variance grows with the light, and brightness has more than colour."""
    values = rgb.astype(np.float32)
    grey = values.mean(2, keepdims=True)
    spread = np.float32(level) * np.sqrt((grey + np.float32(12)) / np.float32(140))
    each = rng.standard_normal(values.shape, np.float32) * np.float32(0.6)
    common = rng.standard_normal(grey.shape, np.float32) * np.float32(0.8)
    return _bytes((values + spread * (each + common)) / np.float32(255))


def _bytes(x: Floats) -> Bytes:
    return np.asarray(np.clip(x * np.float32(255) + np.float32(0.5), 0, 255), np.uint8)
