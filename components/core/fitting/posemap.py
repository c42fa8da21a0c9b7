"""The pose map that a fitted body makes: parts and places of the surface that is nearest, where the person is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from components.core.body.charts import body_chart
from components.core.body.meshes import Ints
from components.core.body.rasteriser import rasterise
from components.core.body.template import ARM_AXIS, BONE, JOINTS, NECK_BASE, SHOULDER
from components.core.fitting.charts import detected
from components.core.fitting.fitted import Fitted, Floats
from components.core.fitting.head import HeadMap, head_map
from components.core.fitting.surface import posed_points, surface
from components.core.landmarks.found import Landmarks
from components.core.pictures.images import Pixels
from components.core.pictures.iuv import resize_iuv

Chart = Callable[[NDArray[np.uint8], Floats, Floats], tuple[Floats, Floats]]

_WORKING = 448
_EDGE = 127
_SPILL = 0.003
"""How far the map may go beyond the mask, in heights of the person: sleeves end there, and the mask is soft."""
_FILL = 0.006
"""How far parts go on beyond the fitted body to the mask's edge, in heights of the person."""
_NECK_WIDTH, _UP_NECK, _SLOWING = 0.085, 0.07, 0.035
_SHOULDER_STEP = 0.016
_TORSO = (1, 2)
_AROUND = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class View:
    """The piece of the photo that is drawn: `box` (x0, y0, x1, y1) in it, and the `size` (height, width) drawn at."""

    box: tuple[int, int, int, int]
    size: tuple[int, int]

    def on_screen(self, points: Floats) -> Floats:
        """Points [N, 3] of the photo in pixels of the piece."""
        x0, y0, x1, y1 = self.box
        scale = np.array([self.size[1] / (x1 - x0), self.size[0] / (y1 - y0), self.size[0] / (y1 - y0)], np.float32)
        return np.asarray((points - np.array([x0, y0, 0], np.float32)) * scale, np.float32)


def pose_map(fitted: Fitted, landmarks: Landmarks, size: tuple[int, int]) -> Pixels:
    """I (0..24), U and V (0..255) of the body, uint8 [H, W, 3] for a photo of `size` (height, width).

    The body is drawn at most 448 pixels high and enlarged part by part; the head is laid over it at full size.
    """
    iuv = np.zeros((*size, 3), np.uint8)
    posed = posed_points(fitted.rest, fitted.matrix, fitted.offset)
    view = _view(posed, landmarks.mask, size)
    if view is None:
        return iuv
    x0, y0, x1, y1 = view.box
    whole = (y1 - y0, x1 - x0)
    planes, depth = drawn(view.on_screen(posed), view.size, detected)
    mask = landmarks.mask[y0:y1, x0:x1]
    tall = float(np.ptp(posed[:, 1]))
    small = cv2.resize(mask, view.size[::-1], interpolation=cv2.INTER_AREA) > _EDGE
    _fill(planes, small, _FILL * tall * view.size[0] / (y1 - y0))
    crop = _enlarged(planes, whole)
    crop[~_widened(mask > _EDGE, _SPILL * tall)] = 0
    iuv[y0:y1, x0:x1] = crop
    head = head_map(landmarks, size, landmarks.mask)
    if head.part.size:
        neck = BONE["neck"]
        base = float((fitted.matrix[neck] @ JOINTS[neck] + fitted.offset[neck])[2])
        unit = (y1 - y0) / view.size[0]
        far = np.full(size, np.inf, np.float32)
        far[y0:y1, x0:x1] = cv2.resize(depth, whole[::-1], interpolation=cv2.INTER_NEAREST) * unit
        _lay_head(iuv, far, head, base)
    return iuv


def _view(posed: Floats, mask: Pixels, size: tuple[int, int]) -> View | None:
    """The body's box, inside the picture and around the mask; None where nothing of the body is there."""
    low = np.floor(posed[:, :2].min(0)).astype(int) - 2
    high = np.ceil(posed[:, :2].max(0)).astype(int) + 2
    x0, y0 = (int(max(v, 0)) for v in low)
    x1, y1 = (int(min(v, limit)) for v, limit in zip(high, size[::-1], strict=True))
    if x0 >= x1 or y0 >= y1 or not (mask[y0:y1, x0:x1] > _EDGE).any():
        return None
    shrink = min(1.0, _WORKING / max(y1 - y0, x1 - x0))
    return View((x0, y0, x1, y1), (max(1, round((y1 - y0) * shrink)), max(1, round((x1 - x0) * shrink))))


def _widened(mask: NDArray[np.bool_], pixels: float) -> NDArray[np.bool_]:
    """`mask` and what is at most so many pixels from it."""
    reach = round(pixels)
    if reach < 1:
        return mask
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), around) > 0)


def _fill(iuv: Pixels, mask: NDArray[np.bool_], reach: float) -> None:
    """Go on with the nearest part, in place, where the mask reaches at most so many pixels beyond the body."""
    empty = (iuv[..., 0] == 0).astype(np.uint8)
    if not empty.all():
        distance, nearest = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
        edge = mask & (distance > 0) & (distance <= reach)
        from_pixel = np.zeros(int(nearest.max()) + 1, np.intp)
        from_pixel[nearest[empty == 0]] = np.flatnonzero(empty == 0)
        iuv[edge] = iuv.reshape(-1, 3)[from_pixel[nearest[edge]]]


def body_in_our_charts(fitted: Fitted, landmarks: Landmarks, size: tuple[int, int]) -> tuple[Pixels, View] | None:
    """What `pose_map` draws of the body, small and uncorrected, and the piece of the photo that it is."""
    posed = posed_points(fitted.rest, fitted.matrix, fitted.offset)
    view = _view(posed, landmarks.mask, size)
    return None if view is None else (drawn(view.on_screen(posed), view.size, _ours)[0], view)


def _ours(part: NDArray[np.uint8], u: Floats, v: Floats) -> tuple[Floats, Floats]:
    return u, v


def _enlarged(iuv: Pixels, size: tuple[int, int]) -> Pixels:
    """The pose map [h, w, 3] at a larger `size` (height, width), the steps of its parts' borders smoothed."""
    large = resize_iuv(iuv, size)
    factor = size[0] / iuv.shape[0]
    if factor <= 1:
        return large
    # A median of labels is a label that is there.
    part = np.asarray(cv2.medianBlur(np.ascontiguousarray(large[..., 0]), 2 * round(factor) + 1), np.uint8)
    rows, columns = np.nonzero(part != large[..., 0])
    wanted = part[rows, columns]
    large[rows, columns] = 0
    y, x = ((place * (small / whole)).astype(np.intp)
            for place, small, whole in zip((rows, columns), iuv.shape, size, strict=False))
    open_still = wanted > 0
    for step_y, step_x in _AROUND:
        at = np.clip(y + step_y, 0, iuv.shape[0] - 1), np.clip(x + step_x, 0, iuv.shape[1] - 1)
        found = open_still & (iuv[at][:, 0] == wanted)
        large[rows[found], columns[found]] = iuv[at[0][found], at[1][found]]
        open_still &= ~found
    return large


def _between(points: Floats, corners: Ints, weight: Floats) -> Floats:
    """[N, 3] places in triangles, `corners` [N, 3] of `points`, by their barycentric `weight` [N, 3]."""
    place = points.take(corners[:, 0], axis=0) * weight[:, :1]
    for k in (1, 2):
        place += points.take(corners[:, k], axis=0) * weight[:, k : k + 1]
    return np.asarray(place, np.float32)


def drawn(screen: Floats, size: tuple[int, int], chart: Chart) -> tuple[Pixels, Floats]:
    """Pose map [h, w, 3] and depth [h, w] of the body without its head, vertices at `screen` [V, 3]."""
    figure = surface()
    height, width = size
    # The rasteriser drops what is nearer than 5 cm to a camera; this one has no place.
    nearest = float(screen[:, 2].min()) - 1
    screen = screen - np.array([0, 0, nearest], np.float32)
    fragments = rasterise(screen, figure.triangles, height, width, np.zeros(len(figure.triangles), np.bool_))
    seen = fragments.nearest(height * width)
    hit = np.nonzero(seen >= 0)[0]
    triangle, weight = fragments.triangle[seen[hit]], fragments.weight[seen[hit]]
    place = _between(figure.points, figure.triangles[triangle], weight)
    # The neck is the head's. What is wider of it at its base is the torso's, which goes on up it ever more slowly.
    up = place[:, 1] - NECK_BASE
    neck = (up > 0) & (np.abs(place[:, 0]) < _NECK_WIDTH)
    on_torso = ~neck | (up < _UP_NECK)
    place[neck, 1] = NECK_BASE + _SLOWING * (1 - np.exp(-up[neck] / _SLOWING))
    hit, place, seen_from = hit[on_torso], place[on_torso], fragments.depth[seen[hit[on_torso]]]
    part, u, v = body_chart(_with_shoulders(place), neck_from=NECK_BASE + _UP_NECK)
    u, v = chart(part, u, v)
    iuv, depth = np.zeros((height * width, 3), np.uint8), np.full(height * width, np.inf, np.float32)
    iuv[hit] = np.stack([part, np.rint(u * 255), np.rint(v * 255)], 1).astype(np.uint8)
    depth[hit] = seen_from + nearest
    return iuv.reshape(height, width, 3), depth.reshape(height, width)


def _with_shoulders(place: Floats) -> Floats:
    """The places [N, 3] of the template that `place` counts as: around the shoulder a little nearer to the body.

    Stretched over a broad chest the template's shoulders reach further out than people's do.
    """
    out = place.copy()
    off = ((np.abs(place[:, 0]) - SHOULDER[0]) / 0.06) ** 2 + ((place[:, 1] - SHOULDER[1] + 0.03) / 0.07) ** 2
    step = _SHOULDER_STEP * np.exp(-off)
    out[:, 0] -= np.sign(place[:, 0]) * step * ARM_AXIS[0]
    out[:, 1] -= step * ARM_AXIS[1]
    return out


def _lay_head(iuv: Pixels, depth: Floats, head: HeadMap, base: float) -> None:
    """The head over the body's map, in place: before the torso always, before limbs where it is nearer.

    `depth` [H, W] is the body's, `base` that of the neck's base on the same scale, from which the head counts its own.
    """
    where = slice(head.y, head.y + head.part.shape[0]), slice(head.x, head.x + head.part.shape[1])
    below = iuv[where]
    over = (head.part > 0) & (np.isin(below[..., 0], (0, *_TORSO)) | (head.depth + base < depth[where]))
    piece = np.stack([head.part, np.rint(head.u * 255), np.rint(head.v * 255)], 2).astype(np.uint8)
    below[over] = piece[over]


def free_map(fitted: Fitted, landmarks: Landmarks, size: tuple[int, int]) -> tuple[Pixels, Floats]:
    """The pose map [H, W, 3] of a body that no photo bounds, and its depth [H, W] (inf where nobody is), at full size.

    Of `landmarks` the head's are used, in a picture of `size` (height, width).
    """
    screen = posed_points(fitted.rest, fitted.matrix, fitted.offset)
    iuv, depth = drawn(screen, size, detected)
    head = head_map(landmarks, size, np.full(size, 255, np.uint8))
    if head.part.size:
        neck = BONE["neck"]
        base = float((fitted.matrix[neck] @ JOINTS[neck] + fitted.offset[neck])[2])
        before = iuv.copy()
        _lay_head(iuv, depth, head, base)
        where = slice(head.y, head.y + head.part.shape[0]), slice(head.x, head.x + head.part.shape[1])
        over = (iuv[where] != before[where]).any(2)
        depth[where][over] = (head.depth + base)[over]
    _close_collar(iuv, depth, screen, head.neck_line)
    return iuv, depth


def _close_collar(iuv: Pixels, depth: Floats, screen: Floats, neck_line: Floats) -> None:
    """Give what is between the torso and a neck that begins above it, at `neck_line` [N, 2], to the torso, in place."""
    silhouette = np.zeros(iuv.shape[:2], np.uint8)
    for corners in np.rint(screen[surface().triangles][..., :2]).astype(np.int32):
        cv2.fillConvexPoly(silhouette, corners, 255)
    hole = (cv2.erode(silhouette, np.ones((3, 3), np.uint8)) > 0) & (iuv[..., 0] == 0)
    (left, top), right = neck_line.min(0), neck_line[:, 0].max()
    # Beside the neck the shoulders slope down.
    beside = np.maximum(np.abs(np.arange(iuv.shape[1]) - (left + right) / 2) - (right - left) / 2, 0)
    hole &= np.arange(iuv.shape[0])[:, None] >= top + 0.3 * beside
    torso = np.isin(iuv[..., 0], _TORSO)
    if hole.any() and torso.any():
        _, label = cv2.distanceTransformWithLabels((~torso).astype(np.uint8), cv2.DIST_L2, 3,
                                                   labelType=cv2.DIST_LABEL_PIXEL)
        from_pixel = np.zeros(int(label.max()) + 1, np.intp)
        from_pixel[label[torso]] = np.flatnonzero(torso)
        nearest = from_pixel[label[hole]]
        iuv[hole], depth[hole] = iuv.reshape(-1, 3)[nearest], depth.ravel()[nearest]
