"""Hair: painted on the scalp inside the pose map's head charts, and volume outside it.

Every style is a hairline, a thickness of the cap that lies on the skull, and pieces that hang or stand off it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.body import exact
from components.core.body.head import CENTRE, directions
from components.core.body.meshes import Floats, Ints, Mesh, ellipsoid, grid_triangles, length, smoothstep
from components.core.body.template import BONE, BONES, torso_section

_COLOURS = np.array(
    [(0.07, 0.06, 0.06), (0.16, 0.10, 0.07), (0.28, 0.17, 0.10), (0.42, 0.26, 0.14), (0.66, 0.48, 0.26),
     (0.84, 0.70, 0.45), (0.55, 0.22, 0.09), (0.62, 0.61, 0.60), (0.88, 0.87, 0.85),
     (0.35, 0.16, 0.36), (0.18, 0.33, 0.42)],
)  # fmt: skip
_STYLES = {
    "bald": (0.3, 0.0), "buzz": (1.0, 0.15), "short": (1.4, 0.3), "side": (1.4, 0.3), "quiff": (1.1, 0.2),
    "curly": (0.8, 0.7), "afro": (0.5, 0.7), "bob": (0.1, 1.3), "long": (0.2, 1.6), "wavy": (0.15, 1.4),
    "ponytail": (0.1, 1.2), "bun": (0.15, 1.1), "topknot": (0.2, 0.6), "braids": (0.02, 0.8), "receding": (0.7, 0.0),
}  # fmt: skip


@dataclass(frozen=True)
class Hair:
    """Style by name, RGB `colour`, `line` (forehead, degrees), `part` (azimuth of the parting), `length` metres."""

    style: str
    colour: Floats
    line: float
    part: float
    length: float
    volume: float
    fringe: float
    phase: float


@dataclass(frozen=True)
class Piece:
    """Something worn: a mesh at rest, its bone weights [V, 17], and `coordinates` [V, 3] that it is painted by.

    For hair these are azimuth and elevation in degrees, and how far down a hanging strand the place is.
    """

    mesh: Mesh
    weights: Floats
    coordinates: Floats


def sample_hair(rng: np.random.Generator, feminine: float, dark_skin: bool) -> Hair:
    """A hair style and colour."""
    names = list(_STYLES)
    chance = np.array([m * (1 - feminine) + f * feminine for m, f in _STYLES.values()])
    share = np.array([0.34, 0.26, 0.14, 0.04, 0.03, 0.02, 0.02, 0.06, 0.05, 0.02, 0.02])
    if not dark_skin:
        share = np.array([0.12, 0.15, 0.16, 0.15, 0.11, 0.10, 0.09, 0.05, 0.03, 0.02, 0.02])
    return Hair(
        style=names[rng.choice(len(names), p=chance / chance.sum())],
        colour=np.clip(_COLOURS[rng.choice(len(_COLOURS), p=share)] * rng.uniform(0.88, 1.12), 0, 1),
        line=rng.uniform(38, 52), part=rng.choice([-1, 1]) * rng.uniform(0, 32), length=rng.uniform(0.20, 0.46),
        volume=rng.uniform(0.7, 1.3), fringe=float(rng.random() < 0.3),
        phase=rng.uniform(0, 6.28),
    )  # fmt: skip


def hairline(hair: Hair, azimuth: Floats) -> Floats:
    """Lowest elevation with hair, degrees, at `azimuth` degrees."""
    m = np.abs(azimuth)
    brow = hair.line
    if hair.style == "receding":
        brow = 62.0
    if hair.style == "bald":
        brow = 140.0
    temples = [brow, brow - 1 - 3 * (hair.style in ("short", "side", "buzz")), brow - 8, 12, -6, -10, -24, -34, -36]
    line = np.interp(m, [0, 22, 36, 52, 66, 78, 100, 120, 180], temples)
    if hair.style == "receding":
        line = np.interp(m, [0, 45, 66, 78, 100, 120, 180], [66, 62, 12, -6, -22, -34, -36])
    if hair.fringe and hair.style in ("bob", "long", "wavy", "bun", "ponytail", "braids", "topknot"):
        bangs = 17 + 3.5 * exact.sin(azimuth * 0.35 + hair.phase)
        line = np.minimum(line, np.where(m < 50, bangs + hair.part * azimuth * 0.004, line))
    return np.asarray(line, np.float32)


def scalp(hair: Hair, azimuth: Floats, elevation: Floats) -> Floats:
    """How much hair covers a place on the head (degrees): 0..1, [N]."""
    line = hairline(hair, azimuth)
    ragged = 1.2 * exact.sin(azimuth * 1.9 + hair.phase) + 0.9 * exact.sin(azimuth * 0.83)
    cover = np.clip(0.5 + (elevation - line - ragged) / 3.0, 0, 1)
    ear = ((np.abs(azimuth) - 92) / 12) ** 2 + ((elevation + 6) / 17) ** 2
    cover = cover * np.clip((ear - 0.8) * 4, 0, 1)
    return np.asarray(cover * (0.72 if hair.style == "buzz" else 1.0), np.float32)


def paint_hair(hair: Hair, azimuth: Floats, elevation: Floats, strand: Floats) -> Floats:
    """Strands [N, 3]: they run down the head from the parting, or in curls; `strand` varies along hanging hair."""
    if hair.style in ("afro", "curly"):
        tone = exact.sin(azimuth * 0.55 + 2.2 * exact.sin(elevation * 0.21)) * exact.sin(
            elevation * 0.6 + 1.7 * exact.sin(azimuth * 0.19)
        )
        shade = 0.92 + 0.26 * tone
    else:
        wave = (6.0 if hair.style == "wavy" else 2.0) * exact.sin(strand * 34 + hair.phase)
        lane = azimuth + 0.35 * elevation * np.sign(azimuth - hair.part) + wave
        tone = exact.sin(lane * 0.61 + hair.phase) + 0.7 * exact.sin(lane * 1.43) + 0.45 * exact.sin(lane * 2.9 + 1.0)
        shade = 0.93 + 0.11 * tone
        if hair.style not in ("buzz", "bald", "receding"):
            gap = (
                exact.exp(-(((azimuth - hair.part * (1 + elevation * 0.004)) / 2.6) ** 2))
                * (elevation > 25)
                * (elevation < 86)
            )
            shade = shade - 0.32 * gap
    sheen = 0.16 * exact.exp(-(((elevation - 46) / 10) ** 2)) + 0.05 * exact.sin(strand * 18 + 1.0)
    lit = hair.colour * shade[:, None] + sheen[:, None] * (0.25 + hair.colour)
    return np.asarray(np.clip(lit, 0, 1), np.float32)


def _thickness(hair: Hair, a: Floats, e: Floats) -> Floats:
    """Metres between the skull and the cap's surface at azimuth `a`, elevation `e` (degrees)."""
    top, front = smoothstep(15, 70, e), smoothstep(75, 25, np.abs(a))
    base = {
        "buzz": 0.002, "short": 0.008, "side": 0.010, "quiff": 0.008, "curly": 0.022, "afro": 0.062, "bob": 0.016,
        "long": 0.013, "wavy": 0.018, "ponytail": 0.008, "bun": 0.008, "topknot": 0.005, "braids": 0.009,
        "receding": 0.005,
    }[hair.style] * hair.volume  # fmt: skip
    t = np.full_like(a, base)
    if hair.style in ("short", "side", "quiff"):
        t = t * (0.45 + 1.0 * top)
    if hair.style == "side":
        t = t + 0.014 * hair.volume * top * smoothstep(-30, 25, (a - hair.part) * -np.sign(hair.part))
    if hair.style == "quiff":
        t = t + 0.036 * hair.volume * front * smoothstep(34, 56, e) * smoothstep(100, 62, e)
    if hair.style in ("curly", "afro"):
        lumps = exact.sin(a * 0.16 + 1.4 * exact.sin(e * 0.11) + hair.phase) * exact.sin(e * 0.19 + exact.sin(a * 0.09))
        t = t * (1 + 0.22 * lumps)
    if hair.style in ("bob", "long", "wavy"):
        t = t + 0.012 * hair.volume * smoothstep(30, -10, e) * smoothstep(40, 70, np.abs(a))
    return np.asarray(t, np.float32)


def _pieces_of_head(points: Floats, triangles: Ints, coordinates: Floats) -> Piece:
    weights = np.zeros((len(points), len(BONES)), np.float32)
    weights[:, BONE["head"]] = 1.0
    return Piece(Mesh(points.astype(np.float32), triangles), weights, coordinates.astype(np.float32))


def hair_pieces(hair: Hair, head: Mesh, clearance: float) -> list[Piece]:
    """The meshes of a style around a person's `head`; locks stay `clearance` metres in front of the bare chest."""
    if hair.style == "bald":
        return []
    azimuth, elevation, _ = directions()
    a, e = np.rad2deg(azimuth), np.rad2deg(elevation)
    cover = scalp(hair, a, e)
    ray = head.points - CENTRE
    radius = length(ray)
    # Inside the hairline the cap rises steeply from the skin; outside it hides just below.
    inward = e - hairline(hair, a)
    ramp = smoothstep(-3.0, 20.0 if hair.style in ("short", "side", "buzz", "bun", "ponytail") else 8.0, inward)
    lift = np.where(cover > 0.02, np.sqrt(ramp) * _thickness(hair, a, e) + 0.0015, -0.006)
    points = CENTRE + ray * (1 + lift / radius)[:, None]
    keep = (cover[head.triangles] > 0.05).any(1)
    pieces = [_pieces_of_head(points, head.triangles[keep], np.stack([a, e, np.zeros_like(a)], 1))]
    if hair.style in ("bob", "long", "wavy"):
        pieces.append(_curtain(hair, clearance))
    if hair.style in ("bun", "topknot"):
        at = (0.0, 0.085, -0.125) if hair.style == "bun" else (0.0, 0.158, -0.03)
        size = 0.042 * hair.volume
        pieces.append(_ball(at, (size, size * 0.9, size * 0.9)))
    if hair.style == "ponytail":
        pieces.append(_tail(hair, (0.0, 0.06, -0.115), 0.030 * hair.volume, 0.12))
    if hair.style == "braids":
        pieces += [_tail(hair, (side * 0.070, -0.028, -0.040), 0.021, -0.045, side * 0.035) for side in (-1.0, 1.0)]
    return pieces


def _ball(at: tuple[float, float, float], radii: tuple[float, float, float]) -> Piece:
    centre = (at[0] + float(CENTRE[0]), at[1] + float(CENTRE[1]), at[2] + float(CENTRE[2]))
    mesh = ellipsoid(centre, radii)
    off = (mesh.points - np.asarray(centre)) / max(radii)
    turn = np.rad2deg(exact.arctan2(off[:, 0], off[:, 1]))
    return _pieces_of_head(mesh.points, mesh.triangles, np.stack([turn, 20 + 60 * off[:, 1], off[:, 2] * 0.1], 1))


def _falling(points: Floats) -> Floats:
    """Weights of hanging hair: it follows the head above the chin and the chest below the shoulders."""
    weights = np.zeros((len(points), len(BONES)), np.float32)
    held = smoothstep(1.38, 1.56, points[:, 1])
    weights[:, BONE["head"]], weights[:, BONE["chest"]] = held, 1 - held
    return weights


def _curtain(hair: Hair, clearance: float) -> Piece:
    """Hair that hangs around the back and sides, open at the face; long hair lies on shoulders and chest."""
    length = 0.13 + 0.05 * hair.volume if hair.style == "bob" else hair.length + 0.10
    a = np.linspace(62, 298, 60, dtype=np.float32)
    s = np.linspace(1, 0, 26, dtype=np.float32)
    turn, down = np.meshgrid(np.deg2rad(a), s)
    ragged = 1 + 0.05 * exact.sin(turn * 9 + hair.phase) + 0.03 * exact.sin(turn * 23)
    y = CENTRE[1] + 0.05 - (length + 0.05) * down * ragged
    wide = np.interp(y, [1.10, 1.30, 1.42, 1.50, 1.60, 1.70], [0.125, 0.128, 0.122, 0.108, 0.102, 0.098])
    wide = wide * (0.94 + 0.06 * hair.volume) + 0.010 * (hair.style == "wavy") * exact.sin(y * 48 + turn * 2)
    behind = np.interp(y, [1.10, 1.30, 1.40, 1.48, 1.60, 1.70], [0.105, 0.118, 0.115, 0.105, 0.122, 0.118])
    behind = behind + clearance * smoothstep(1.47, 1.40, y)
    x = exact.sin(turn) * wide
    z = exact.cos(turn) * np.where(exact.cos(turn) < 0, behind, 0.075)
    # What reaches the front falls over the collarbone: in front of the torso, not through it.
    rx, rz, cz = torso_section(y.astype(np.float32).ravel())
    surface = (cz + rz * np.sqrt(np.clip(1 - (x.ravel() / np.maximum(rx, 0.11)) ** 2, 0.0, 1))).reshape(x.shape)
    over = smoothstep(1.47, 1.36, y) * smoothstep(-0.5, -0.05, exact.cos(turn))
    x = x * (1 - 0.28 * over)
    z = np.where(over > 0, z + over * np.maximum(np.maximum(surface, 0.035) + clearance - z, 0), z)
    points = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    degrees = np.rad2deg(turn).ravel()
    coordinates = np.stack([np.where(degrees > 180, degrees - 360, degrees), 20 - 30 * down.ravel(), down.ravel()], 1)
    return Piece(Mesh(points, grid_triangles(len(s), len(a))), _falling(points), coordinates.astype(np.float32))


def _tail(hair: Hair, root: tuple[float, float, float], thick: float, back: float, out: float = 0.0) -> Piece:
    """A ponytail or braid: a tapering tube from `root` (metres from the head's middle) down."""
    s = np.linspace(1, 0, 24, dtype=np.float32)[:, None]
    turn = np.linspace(0, 2 * np.pi, 14, dtype=np.float32)[None]
    length = hair.length + 0.06
    plait = 1 + 0.16 * (hair.style == "braids") * exact.cos(s * length * 190)
    radius = thick * plait * np.minimum(np.sqrt(s * 8 + 0.12), 1.0) * np.sqrt(np.clip(1.06 - s, 0.02, 1))
    drop = s * length - 0.035 * exact.sin(np.clip(s * 6, 0, np.pi)) * (back > 0)
    x = CENTRE[0] + root[0] + out * exact.sin(s * 2.2) + radius * exact.sin(turn)
    z = CENTRE[2] + root[2] - back * exact.sin(np.clip(s * 3.2, 0, np.pi / 2)) * 0.45 + radius * exact.cos(turn)
    y = CENTRE[1] + root[1] - drop + 0 * turn
    points = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    coordinates = np.stack([np.rad2deg(turn - np.pi) + 0 * s, 20 - 40 * s + 0 * turn, 1.5 * s + 0 * turn], -1).reshape(
        -1, 3
    )
    return Piece(Mesh(points, grid_triangles(len(s), turn.shape[1])), _falling(points), coordinates.astype(np.float32))
