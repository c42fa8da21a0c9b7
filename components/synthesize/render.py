"""One photo of one person: the picture, its exact pose map and its exact matte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.core.body import exact
from components.core.body.cameras import Camera
from components.core.body.charts import body_chart, head_chart
from components.core.body.meshes import Floats, normalise, vertex_normals
from components.core.body.rasteriser import Fragments, rasterise
from components.core.body.skinning import Pose, bone_transforms, skin
from components.core.body.template import JOINTS
from components.synthesize import figure as figures
from components.synthesize.appearance.clothes import paint_clothes
from components.synthesize.appearance.fabric import paint_fabric
from components.synthesize.appearance.face import paint_face
from components.synthesize.appearance.hair import paint_hair, scalp
from components.synthesize.figure import Figure
from components.synthesize.pose import sample_pose
from components.synthesize.scene import Light, background, sample_camera, sample_light, shade

Bytes = NDArray[np.uint8]
_FINER = 2
"""Samples per pixel along each axis."""


@dataclass(frozen=True)
class Rendering:
    """`rgb` [H, W, 3]; `iuv` [H, W, 3] with I 0..24 and U, V 0..255; `matte` [H, W] 0..255, all uint8.

    `head_box` is (left, top, right, bottom) in pixels around parts 23 and 24, None where no head is seen;
    `yaw` is the turn of the body in degrees (0 faces the camera, 180 the back); `own` [H, W, 4] is the person alone
    with the exact matte as alpha, not multiplied with it, and without noise.
    """

    rgb: Bytes
    iuv: Bytes
    matte: Bytes
    head_box: tuple[int, int, int, int] | None
    yaw: float
    back: bool
    own: Bytes


@dataclass(frozen=True)
class Shot:
    """Everything about a photo that is not the person. `backdrop` [H, W, 3] is RGB in 0..1."""

    pose: Pose
    camera: Camera
    light: Light
    backdrop: Floats
    back: bool
    seed: int


def sample_shot(figure: Figure, rng: np.random.Generator, height: int, back: bool) -> Shot:
    """A pose, a camera, a light and a place for a photo `height` pixels high (three quarters of that wide)."""
    width = width_of(height)
    pose = sample_pose(rng, back)
    matrix, offset = bone_transforms(pose, figure.person.build.stretch)
    joints = exact.product(matrix, JOINTS[..., None])[..., 0] + offset
    head = skin(figure.points[figure.head_vertices], figure.weights[figure.head_vertices], matrix, offset)
    top = head[int(head[:, 1].argmax())] + np.array([0, 0.03, 0], np.float32)
    camera = sample_camera(rng, joints.astype(np.float32), top, height, width)
    light = sample_light(rng)
    return Shot(pose, camera, light, background(rng, height, width), back, int(rng.integers(2**31)))


def width_of(height: int) -> int:
    """Photos are three quarters as wide as they are high."""
    return round(height * 0.75)


def render_photo(figure: Figure, shot: Shot) -> Rendering:
    """Take the photo."""
    height, width = shot.backdrop.shape[:2]
    fine_height, fine_width = height * _FINER, width * _FINER
    matrix, offset = bone_transforms(shot.pose, figure.person.build.stretch)
    posed = skin(figure.points, figure.weights, matrix, offset)
    screen = shot.camera.project(posed)
    screen[:, :2] *= _FINER
    fragments = rasterise(screen, figure.triangles, fine_height, fine_width, figure.two_sided)
    seen = fragments.nearest(fine_height * fine_width)
    mapped = fragments.nearest(fine_height * fine_width, figure.on_map[fragments.triangle])

    colour = _colours(figure, shot, posed, fragments, seen, fine_height, fine_width)
    covered = (seen >= 0).reshape(fine_height, fine_width)
    alpha = exact.halved(covered.astype(np.float32))
    foreground = exact.halved(colour)
    rgb = foreground + (1 - alpha)[..., None] * shot.backdrop * shot.light.gain
    if shot.light.noise:
        rgb = rgb + _grain(shot.seed, height, width) * (shot.light.noise / 255)
    sample = mapped.reshape(fine_height, fine_width)[1::_FINER, 1::_FINER].ravel()
    iuv = _pose_map(figure, fragments, sample).reshape(height, width, 3)
    return Rendering(
        rgb=_bytes(rgb),
        iuv=iuv,
        matte=np.maximum(_bytes(alpha), np.where(iuv[..., 0] > 0, 64, 0).astype(np.uint8)),
        head_box=_box(iuv[..., 0] >= 23),
        yaw=float(np.rad2deg(shot.pose.yaw)),
        back=shot.back,
        own=_bytes(np.concatenate([foreground / np.maximum(alpha, 0.25)[..., None], alpha[..., None]], 2)),
    )


def _bytes(x: Floats) -> Bytes:
    return np.asarray(np.clip(x * 255 + 0.5, 0, 255), np.uint8)


def _grain(seed: int, height: int, width: int) -> Floats:
    rng = np.random.default_rng(seed)
    return exact.blurred(rng.standard_normal((height, width, 3), np.float32), 0.6) * np.float32(2.0)


def _box(where: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    rows, columns = np.nonzero(where.any(1))[0], np.nonzero(where.any(0))[0]
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _interpolate(figure: Figure, fragments: Fragments, chosen: NDArray[np.int64], values: Floats) -> Floats:
    """`values` [V, K] of the vertices at the chosen fragments: [N, K]."""
    corner = figure.triangles.take(fragments.triangle.take(chosen), axis=0)
    weight = fragments.weight.take(chosen, axis=0)
    total = values.take(corner[:, 0], axis=0) * weight[:, :1]
    for k in (1, 2):
        total += values.take(corner[:, k], axis=0) * weight[:, k : k + 1]
    return np.asarray(total, np.float32)


def _pose_map(figure: Figure, fragments: Fragments, sample: NDArray[np.int64]) -> Bytes:
    """I, U, V [P, 3] of the nearest piece of body at each pixel; `sample` [P] is a fragment or -1."""
    iuv = np.zeros((len(sample), 3), np.uint8)
    hit = np.nonzero(sample >= 0)[0]
    at = _interpolate(figure, fragments, sample[hit], figure.coordinates)
    kind = figure.kind[fragments.triangle[sample[hit]]]
    for number in (figures.BODY, figures.HEAD):
        mine = kind == number
        if not mine.any():
            continue
        if number == figures.HEAD:
            part, u, v = head_chart(np.deg2rad(at[mine, 0]), np.deg2rad(at[mine, 1]))
        else:
            part, u, v = body_chart(at[mine])
        iuv[hit[mine]] = np.stack([part, np.rint(u * 255), np.rint(v * 255)], 1).astype(np.uint8)
    return iuv


def _colours(
    figure: Figure, shot: Shot, posed: Floats, fragments: Fragments, seen: NDArray[np.int64], height: int, width: int
) -> Floats:
    """Lit colours [height, width, 3] of what is nearest, black where there is nobody."""
    hit = np.nonzero(seen >= 0)[0]
    chosen = seen[hit]
    normals = exact.product(vertex_normals(posed, figure.triangles), shot.camera.rotation.T)
    values = _interpolate(figure, fragments, chosen, np.concatenate([figure.coordinates, normals], 1))
    at, normal = values[:, :3], values[:, 3:]
    normal = normalise(normal)
    kind = figure.kind[fragments.triangle[chosen]]
    # Both sides of thin sheets are lit as if they faced the camera.
    normal = np.where((normal[:, 2:] < 0) & (kind[:, None] >= figures.HAIR), -normal, normal)
    rgb = np.zeros((len(hit), 3), np.float32)
    for number in np.unique(kind):
        mine = kind == number
        rgb[mine] = _paint(figure, int(number), at[mine])
    depth = np.zeros(height * width, np.float32)
    depth[hit] = fragments.depth[chosen]
    closed = _enclosure(depth.reshape(height, width), shot.camera).ravel()[hit]
    lit = shade(shot.light, rgb, normal, closed) * shot.light.gain
    image = np.zeros((height * width, 3), np.float32)
    image[hit] = np.clip(lit, 0, 1)
    return image.reshape(height, width, 3)


def _paint(figure: Figure, number: int, at: Floats) -> Floats:
    """Unlit colours of places `at` [N, 3] on pieces of one kind."""
    person, outfit = figure.person, figure.person.outfits[figure.outfit]
    if number == figures.BODY:
        return paint_clothes(outfit, person.face.skin, at)
    if number == figures.HEAD:
        rgb = paint_face(person.face, person.hair.colour, at[:, 0], at[:, 1])
        cover = scalp(person.hair, at[:, 0], at[:, 1])[:, None]
        return np.asarray(rgb + cover * (paint_hair(person.hair, at[:, 0], at[:, 1], at[:, 2]) - rgb), np.float32)
    if number == figures.HAIR:
        return paint_hair(person.hair, at[:, 0], at[:, 1], at[:, 2])
    if number in (figures.SKIRT, figures.COAT, figures.SCARF):
        fabric = {figures.SKIRT: outfit.bottom, figures.COAT: outfit.coat, figures.SCARF: outfit.scarf}[number]
        assert fabric is not None
        return paint_fabric(fabric, at[:, 0], at[:, 1])
    plain = person.face.glasses_colour if number == figures.GLASSES else outfit.bag
    assert plain is not None
    return np.broadcast_to(plain, at.shape).astype(np.float32)


def _enclosure(depth: Floats, camera: Camera) -> Floats:
    """How much nearer the surroundings of a sample are than itself, 0..1: the dark of armpits, chins and folds."""
    small = np.ascontiguousarray(depth[::2, ::2])
    mask = (small > 0).astype(np.float32)
    total = np.zeros_like(small)
    for metres, share in ((0.030, 0.5), (0.085, 0.5)):
        sigma = max(0.6, metres * camera.focal / float(np.max(small, initial=1.0)))
        near = exact.blurred(small, sigma) / np.maximum(exact.blurred(mask, sigma), 1e-3)
        total += share * np.clip((small - near - 0.004) / (1.3 * metres), 0, 1)
    return exact.enlarged(total * mask, *depth.shape)
