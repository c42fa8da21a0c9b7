"""Faces: what makes one person's differ from another's, and how it is painted on the head.

Places on the head are (azimuth, elevation) in degrees as in `head`; colours are RGB in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.head import HeadShape
from components.core.body.meshes import Floats, smoothstep

_SKINS = np.array(
    [(0.97, 0.83, 0.74), (0.93, 0.75, 0.62), (0.87, 0.67, 0.50), (0.76, 0.55, 0.39), (0.60, 0.41, 0.28),
     (0.45, 0.30, 0.21), (0.33, 0.22, 0.16)],
)  # fmt: skip
_IRISES = np.array(
    [(0.25, 0.15, 0.08), (0.40, 0.25, 0.12), (0.35, 0.42, 0.22), (0.30, 0.48, 0.66), (0.45, 0.53, 0.56),
     (0.22, 0.52, 0.42), (0.12, 0.09, 0.08)],
)  # fmt: skip


@dataclass(frozen=True)
class Face:
    """Sizes and places in degrees on the head, colours RGB, strengths 0..1."""

    shape: HeadShape
    skin: Floats
    iris: Floats
    eye_at: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    iris_size: float
    lid: float
    shadow: Floats | None
    brow_at: float
    brow_width: float
    brow_thick: float
    brow_arch: float
    brow_tilt: float
    mouth_at: float
    mouth_width: float
    lips: float
    smile: float
    lip_colour: Floats
    blush: float
    freckles: float
    mole: tuple[float, float] | None
    lines: float
    beard: str
    beard_strength: float
    glasses: str
    glasses_colour: Floats


def sample_face(rng: np.random.Generator, feminine: float) -> Face:
    """A face; `feminine` 0..1 leans its proportions, make-up and beard."""
    u = rng.uniform
    tone = u(0, len(_SKINS) - 1.001)
    skin = _SKINS[int(tone)] * (1 - tone % 1) + _SKINS[int(tone) + 1] * (tone % 1)
    skin = np.clip(skin * (1 + rng.normal(0, [0.01, 0.012, 0.035])), 0, 1)
    dark = tone > 3.2
    iris = _IRISES[
        rng.choice(len(_IRISES), p=[0.6, 0.15, 0, 0, 0, 0, 0.25] if dark else [0.22, 0.18, 0.14, 0.2, 0.1, 0.08, 0.08])
    ]
    made_up = rng.random() < 0.65 * feminine
    lips = skin * [0.86, 0.62, 0.62]
    if made_up:
        lips = np.array(
            [(0.72, 0.12, 0.18), (0.80, 0.30, 0.36), (0.55, 0.10, 0.22), (0.78, 0.40, 0.34)][rng.integers(4)]
        )
    shape = HeadShape(
        width=u(0.90, 1.10), jaw=u(0.80, 1.04) + 0.16 * (1 - feminine), chin=u(0.8, 1.3), cheek=u(0.8, 1.2),
        length=u(0.92, 1.10), nose_length=u(0.82, 1.2), nose_width=u(0.8, 1.4), ears=u(0.8, 1.25),
    )  # fmt: skip
    masculine = 1 - feminine
    beards = ["none", "stubble", "full", "goatee", "moustache", "sideburns"]
    chance = np.array([0.34, 0.2, 0.2, 0.1, 0.1, 0.06]) if feminine < 0.5 else np.array([1.0, 0, 0, 0, 0, 0])
    eyewear = ["none", "round", "square", "wide"][rng.choice(4, p=[0.70, 0.12, 0.10, 0.08])]
    frames = [(0.08, 0.08, 0.09), (0.42, 0.24, 0.12), (0.72, 0.58, 0.25), (0.62, 0.10, 0.14), (0.15, 0.25, 0.5)]
    shadow = np.array([(0.45, 0.3, 0.5), (0.3, 0.4, 0.55), (0.5, 0.32, 0.25)])[rng.integers(3)]
    return Face(
        shape=shape, skin=skin.astype(np.float32), iris=iris,
        eye_at=u(19.0, 24.0), eye_width=u(9.4, 12.6), eye_open=u(4.0, 7.4), eye_tilt=u(-0.12, 0.2),
        iris_size=u(4.5, 5.7), lid=u(0.9, 1.5) + (0.9 if made_up else 0.0), shadow=shadow if made_up else None,
        brow_at=u(12.0, 16.5), brow_width=u(10, 13.5), brow_thick=u(1.0, 2.2) + 0.9 * masculine,
        brow_arch=u(-0.5, 3.2), brow_tilt=u(-0.14, 0.14),
        mouth_at=u(-37.5, -34.0), mouth_width=u(13.0, 20.5), lips=u(2.1, 4.6), smile=u(-1.2, 3.2),
        lip_colour=np.asarray(lips, np.float32), blush=u(0.0, 0.5) + (0.3 if made_up else 0.0),
        freckles=u(0.4, 1.0) if tone < 2.5 and rng.random() < 0.25 else 0.0,
        mole=(u(-40, 40), u(-45, -22)) if rng.random() < 0.25 else None, lines=max(0.0, u(-1.0, 1.0)),
        beard=beards[rng.choice(6, p=chance)], beard_strength=u(0.75, 1.0),
        glasses=eyewear, glasses_colour=np.array(frames[rng.integers(len(frames))], np.float32),
    )  # fmt: skip


def _over(rgb: Floats, colour: Floats, alpha: Floats) -> None:
    """Paint `colour` over `rgb` in place."""
    rgb += alpha[:, None] * (colour - rgb)


def _edge(distance: Floats, soft: float = 0.9) -> Floats:
    """1 well inside (positive distance, degrees), 0 well outside."""
    return np.asarray(np.clip(0.5 + distance / soft, 0, 1), np.float32)


def _bump(x: Floats, width: float) -> Floats:
    return np.asarray(exact.exp(-((x / width) ** 2)), np.float32)


def paint_face(face: Face, hair: Floats, azimuth: Floats, elevation: Floats) -> Floats:
    """Skin with its features, without scalp hair: [N, 3]. `hair` is the colour of brows and beard."""
    rgb = np.broadcast_to(face.skin, (len(azimuth), 3)).astype(np.float32)
    front = np.nonzero((np.abs(azimuth) < 80) & (elevation < 34))[0]
    part = rgb[front]
    x, y = azimuth[front], elevation[front]
    _paint_skin(part, face, x, y)
    _paint_beard(part, face, hair, x, y)
    _paint_nose_and_mouth(part, face, x, y)
    _paint_eyes(part, face, hair, x, y)
    rgb[front] = part
    return rgb


def _paint_skin(rgb: Floats, face: Face, x: Floats, y: Floats) -> None:
    m = np.abs(x)
    warm = face.skin * np.array([1.02, 0.72, 0.68], np.float32)
    _over(rgb, warm, face.blush * _bump(m - 33, 11) * _bump(y + 20, 8))
    _over(rgb, warm, 0.22 * _bump(m, 7) * _bump(y + 19, 6))
    _over(rgb, face.skin * np.float32(0.74), 0.35 * _bump(m - face.eye_at, 10) * _bump(y + 1, 7))  # eye sockets
    if face.freckles:
        spots = exact.sin(x * 2.1 + 1.3 * exact.sin(y * 1.7)) * exact.sin(y * 2.3 + 1.1 * exact.sin(x * 1.9))
        _over(rgb, face.skin * np.array([0.80, 0.60, 0.48], np.float32),
              face.freckles * _edge(spots - 0.62, 0.3) * _bump(m - 17, 17) * _bump(y + 15, 9))  # fmt: skip
    if face.lines:
        fold = m - (12 + 0.35 * (-18 - y))
        _over(rgb, face.skin * np.float32(0.72), face.lines * 0.6 * _bump(fold, 1.4) * _bump(y + 27, 8))
        _over(rgb, face.skin * np.float32(0.75), face.lines * 0.5 * _bump(np.abs(y - 27) - 3, 0.9) * _bump(m, 20))
    if face.mole:
        spot = 1.5 - exact.hypot(x - face.mole[0], y - face.mole[1])
        _over(rgb, face.skin * np.float32(0.35), 0.9 * _edge(spot))


def _paint_beard(rgb: Floats, face: Face, hair: Floats, x: Floats, y: Floats) -> None:
    if face.beard == "none":
        return
    m = np.abs(x)
    mouth = 1 - _edge(1 - exact.hypot(x / (face.mouth_width + 1), (y - face.mouth_at) / (face.lips + 2.0)), 0.25)
    cheek_line = -30 + 0.013 * exact.power(np.clip(m - 8, 0, None), 1.8)
    full = _edge(cheek_line + 4 - y, 3.0) * smoothstep(74, 66, m)
    moustache = _edge(1 - exact.hypot(x / (face.mouth_width * 1.05), (y - face.mouth_at - 5.6) / 3.0), 0.3)
    goatee = _edge(1 - exact.hypot(x / 15, (y + 46) / 12), 0.3)
    side = _edge(9 - np.abs(m - 68), 3.0) * _edge(-y - 4, 3.0) * _edge(y + 36, 3.0)
    region = {
        "stubble": 0.42 * np.maximum(full, moustache), "full": np.maximum(full, moustache),
        "goatee": np.maximum(goatee, moustache), "moustache": moustache, "sideburns": side,
    }[face.beard]  # fmt: skip
    grain = 0.9 + 0.1 * exact.sin(x * 3.1 + 2 * exact.sin(y * 1.3)) * exact.sin(y * 2.7)
    _over(rgb, hair * np.float32(0.85), face.beard_strength * region * mouth * grain.astype(np.float32))


def _paint_nose_and_mouth(rgb: Floats, face: Face, x: Floats, y: Floats) -> None:
    m = np.abs(x)
    under = -19.0 * face.shape.nose_length - 4.6
    dark = face.skin * np.array([0.45, 0.30, 0.27], np.float32)
    nostril = 1 - exact.hypot((m - 4.6 * face.shape.nose_width) / 2.5, (y - under) / 1.3)
    _over(rgb, dark, 0.85 * _edge(nostril, 0.6))
    _over(
        rgb,
        face.skin * np.float32(0.70),
        0.6 * _bump(m - 8.0 * face.shape.nose_width, 1.3) * _bump(y - under - 2.5, 2.6),
    )
    _over(rgb, face.skin * np.float32(0.76), 0.5 * _bump(y - under + 1.2, 1.1) * _bump(m, 6))

    t = m / face.mouth_width
    middle = face.mouth_at + face.smile * (t * t - 0.25)
    taper = np.sqrt(np.clip(1 - t * t, 0, 1))
    upper = middle + face.lips * 0.85 * taper * (0.82 + 0.3 * _bump(m - 3.4, 2.6))
    lower = middle - face.lips * 1.25 * taper
    lips = _edge(np.minimum(upper - y, y - lower)) * (t < 1)
    _over(rgb, face.lip_colour, 0.92 * lips)
    _over(
        rgb,
        np.minimum(face.lip_colour * np.float32(1.25) + np.float32(0.05), 1),
        0.5 * lips * _bump(y - middle + 0.7 * face.lips, 1.2) * _bump(m, 6),
    )
    _over(
        rgb,
        face.lip_colour * np.float32(0.42),
        0.9 * _edge(0.55 + 0.5 * (t > 0.9) - np.abs(y - middle)) * _edge(1.06 - t, 0.1),
    )
    _over(rgb, face.skin * np.float32(0.72), 0.45 * _bump(y - lower + 2.2, 1.4) * _bump(m, 9))


def _paint_eyes(rgb: Floats, face: Face, hair: Floats, x: Floats, y: Floats) -> None:
    m = np.abs(x)
    out = m - face.eye_at
    up = y - face.eye_tilt * out
    t = out / face.eye_width
    arch = np.clip(1 - t * t, 0, 1)
    upper, lower = face.eye_open * exact.power(arch, 0.8), -0.72 * face.eye_open * arch
    inside = _edge(np.minimum(upper - up, up - lower)) * (np.abs(t) < 1)
    if face.shadow is not None:
        lid = _edge(upper + 4.2 * np.sqrt(arch) - up) * _edge(up - upper) * (np.abs(t) < 1.05)
        _over(rgb, 0.5 * face.skin + 0.5 * face.shadow.astype(np.float32), 0.75 * lid)
    _over(rgb, face.skin * np.float32(0.62), 0.6 * _edge(0.5 - np.abs(up - upper - 2.6 * arch)) * (np.abs(t) < 0.95))
    _over(rgb, np.array([0.95, 0.94, 0.92], np.float32), inside)
    centre = exact.hypot(out, up - 0.3)
    _over(rgb, face.iris * np.float32(0.45), inside * _edge(face.iris_size - centre))
    _over(
        rgb,
        np.minimum(face.iris * np.float32(1.25), 1).astype(np.float32),
        inside * _edge(face.iris_size - 0.8 - centre, 1.2),
    )
    _over(rgb, np.array([0.03, 0.03, 0.04], np.float32), inside * _edge(0.46 * face.iris_size - centre))
    _over(rgb, np.full(3, 0.35, np.float32), 0.35 * inside * _edge(up - upper + 1.6, 1.8))  # the lid's shadow
    glint = 1.25 - exact.hypot(x - np.sign(x) * face.eye_at + 1.5, up - 1.9)
    _over(rgb, np.ones(3, np.float32), inside * _edge(glint))
    lash = _edge(0.62 * face.lid - np.abs(up - upper - 0.2) + 0.25 * np.clip(t, 0, 1)) * _edge(1.06 - np.abs(t), 0.12)
    _over(rgb, np.minimum(hair * np.float32(0.35), 0.16), 0.95 * lash)
    _over(rgb, face.skin * np.float32(0.5), 0.5 * _edge(0.3 - np.abs(up - lower)) * (np.abs(t) < 0.95))

    s = (m - face.eye_at + 0.5) / face.brow_width
    line = face.brow_at + face.brow_arch * (1 - (s - 0.25) ** 2 * 1.6) + face.brow_tilt * (m - face.eye_at)
    thick = face.brow_thick * np.clip(1.05 - 0.75 * np.clip(s, -0.2, 1), 0.1, 1.1)
    brow = _edge(thick - np.abs(y - line), 1.1) * _edge(1 - np.abs(s), 0.15)
    _over(rgb, hair * np.float32(0.72), 0.9 * brow)
