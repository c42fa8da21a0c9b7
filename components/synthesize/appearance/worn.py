"""Things that are worn and stand off the body: skirts, coat tails, glasses, bags, scarves.

They are in the photo and the matte, never in the pose map.
"""

from __future__ import annotations

import numpy as np

from components.core.body import exact
from components.core.body.head import CENTRE
from components.core.body.meshes import Floats, Mesh, ellipsoid, grid_triangles, smoothstep, tube
from components.core.body.template import BONE, BONES, skin_weights, torso_section
from components.synthesize.appearance.clothes import Outfit
from components.synthesize.appearance.face import Face
from components.synthesize.appearance.hair import Piece


def _hanging(points: Floats) -> Floats:
    """Weights of cloth that hangs from the hips: the pelvis above, more and more the nearer leg below."""
    weights = np.zeros((len(points), len(BONES)), np.float32)
    spine = smoothstep(0.97, 1.10, points[:, 1])
    legs = 0.62 * smoothstep(0.95, 0.55, points[:, 1])
    left = smoothstep(-0.12, 0.12, points[:, 0])
    weights[:, BONE["spine"]] = spine
    weights[:, BONE["pelvis"]] = (1 - spine) * (1 - legs)
    weights[:, BONE["upper_leg_l"]] = (1 - spine) * legs * left
    weights[:, BONE["upper_leg_r"]] = (1 - spine) * legs * (1 - left)
    return weights


def skirt(outfit: Outfit, end: float, off: float, flare: float, gap: float = 0.0) -> Piece:
    """Cloth around hips and legs down to height `end`; `gap` radians stay open in front (a coat's tails)."""
    top = 1.06
    if gap == 0.0:  # a skirt begins where what is worn over it ends
        top = min(
            [1.03, *([] if outfit.is_dress else [outfit.hem]), *([] if outfit.coat is None else [outfit.coat_end])]
        )
        top = max(top, 0.86)
    turn, y = np.meshgrid(np.linspace(gap, 2 * np.pi - gap, 72), np.linspace(end, top, 26))
    rx, rz, cz = torso_section(np.maximum(y, 0.90).astype(np.float32).ravel())
    rx, rz, cz = (a.reshape(y.shape) for a in (rx, rz, cz))
    fall = np.clip(0.93 - y, 0, None)
    out = off + 0.006 * smoothstep(1.03, 0.95, y) + (0.012 + flare) * fall / 0.3
    pleats = 1 + 0.16 * flare * fall / 0.3 * exact.sin(turn * 14 + outfit.top.phase * 6)
    points = np.stack([exact.sin(turn) * (rx + out) * pleats, y, cz + exact.cos(turn) * (rz + out) * pleats], -1)
    flat = points.reshape(-1, 3).astype(np.float32)
    signed = np.where(turn > np.pi, turn - 2 * np.pi, turn) * 0.14
    coordinates = np.stack([signed, -y, fall], -1).reshape(-1, 3).astype(np.float32)
    return Piece(Mesh(flat, grid_triangles(*y.shape)), _hanging(flat), coordinates)


def glasses(face: Face, head: Mesh) -> Piece:
    """Two rims, a bridge and temples, resting on the nose in front of the eyes."""
    local = head.points - CENTRE
    band = (np.abs(local[:, 1]) < 0.02) & (local[:, 2] > 0)
    reach = float(local[band & (np.abs(local[:, 0]) < 0.05), 2].max()) - 0.004
    half = float(np.abs(local[np.abs(local[:, 1]) < 0.03, 0]).max()) - 0.002
    turn = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    wide, tall, square = {"round": (0.024, 0.024, 2.0), "square": (0.027, 0.020, 4.5), "wide": (0.029, 0.022, 2.8)}[
        face.glasses
    ]
    cx = 0.033 * face.shape.width
    c, s = exact.cos(turn), exact.sin(turn)
    bulge = (np.abs(c) ** square + np.abs(s) ** square) ** (-1 / square)
    parts = []
    for sign in (-1.0, 1.0):
        x, y = sign * cx + wide * c * bulge, -0.003 + tall * s * bulge
        rim = np.stack([x, y, reach - 6.0 * (np.abs(x) - 0.012).clip(0) ** 2], 1)
        parts.append(tube(rim.astype(np.float32), 0.0026, closed=True))
        temple = np.array(
            [
                (sign * (cx + wide), 0.004, reach - 6.0 * (cx + wide - 0.012) ** 2),
                (sign * (half + 0.002), 0.006, 0.045),
                (sign * half, 0.004, -0.005),
            ]
        )
        parts.append(tube(temple.astype(np.float32), 0.0022))
    bridge = np.array([(-cx + wide, 0.002, reach), (0, 0.006, reach + 0.003), (cx - wide, 0.002, reach)], np.float32)
    parts.append(tube(bridge, 0.0024))
    mesh = _merge(parts)
    weights = np.zeros((len(mesh.points), len(BONES)), np.float32)
    weights[:, BONE["head"]] = 1.0
    return Piece(Mesh(mesh.points + CENTRE, mesh.triangles), weights, np.zeros_like(mesh.points))


def bag(outfit: Outfit) -> Piece:
    """A shoulder bag: a strap across the torso and a pouch at the right hip."""
    s = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = -0.03 + 0.155 * exact.cos(s)
    y = 1.175 + 0.245 * exact.cos(s)
    rx, rz, cz = torso_section(y.astype(np.float32))
    depth = rz * np.sqrt(np.clip(1 - (x / np.maximum(rx, 0.16)) ** 2, 0.0, 1)) + 0.028
    path = np.stack([x, y, cz + np.sign(exact.sin(s)) * depth * np.minimum(1, np.abs(exact.sin(s)) * 3)], 1).astype(
        np.float32
    )
    pouch = ellipsoid((-0.215, 0.88, 0.03), (0.040, 0.085, 0.105))
    mesh = _merge([tube(path, 0.009, closed=True), pouch])
    trunk = skin_weights(mesh.points)
    trunk[:, 5:] = 0.0
    trunk[mesh.points[:, 1] < 0.95, :] = 0.0
    trunk[mesh.points[:, 1] < 0.95, BONE["pelvis"]] = 1.0
    return Piece(mesh, trunk / np.maximum(trunk.sum(1, keepdims=True), 1e-6), mesh.points)


def scarf() -> Piece:
    """A thick loop around the neck."""
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    height = 1.425 - 0.022 * exact.cos(turn) + 0.006 * exact.sin(turn * 3)
    path = np.stack([0.078 * exact.sin(turn), height, -0.018 + 0.082 * exact.cos(turn)], 1)
    mesh = tube(path.astype(np.float32), 0.030, sides=10, closed=True)
    weights = np.zeros((len(mesh.points), len(BONES)), np.float32)
    weights[:, BONE["chest"]] = 1.0
    around = exact.arctan2(mesh.points[:, 0], mesh.points[:, 2]) * 0.1
    return Piece(mesh, weights, np.stack([around, -mesh.points[:, 1], mesh.points[:, 2]], 1).astype(np.float32))


def _merge(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(m.points) for m in meshes)])
    points = np.concatenate([m.points for m in meshes])
    return Mesh(
        points, np.concatenate([m.triangles + int(s) for m, s in zip(meshes, starts, strict=False)]).astype(np.int32)
    )
