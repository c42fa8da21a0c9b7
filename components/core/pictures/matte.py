"""The matte: which pixels are the person, hair, skirt and bag included, which a pose map leaves out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.core.errors import InputError
from components.core.pictures.images import Pixels, open_image, stored_size, upright
from components.core.pictures.iuv import HEAD_PARTS

Mask = NDArray[np.bool_]

_UPPER_LEGS = (7, 8, 9, 10)
_WORKING_SIDE = 256
# Two iterations: four gain 0.001 of IoU on noisy pose maps, lose as much on exact ones, and take a third longer.
_ITERATIONS = 2
_SEED = 20210223


def read_matte(path: Path, size: tuple[int, int], max_megapixels: float, orientation: int = 1) -> Pixels:
    """A user's matte as uint8 [H, W], 255 = person: the alpha channel where there is one, else brightness.

    `size` is its upright photo's (height, width), `orientation` how EXIF turns that photo: a matte of the size of the
    photo as stored is turned as well. Raises `InputError` for a broken file or another size.
    """
    image = open_image(path, max_megapixels)
    found = (image.height, image.width)
    turned = upright(_alpha(image), orientation) if size != found == stored_size(size, orientation) else None
    if turned is None and found != size:
        raise InputError(f"the matte is {image.width} x {image.height} pixels, its photo is {size[1]} x {size[0]}",
                         path=path, remedy="make the matte from this very photo")
    return _alpha(image) if turned is None else turned


def _alpha(image: Image.Image) -> Pixels:
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA").getchannel("A"))
    if image.mode.startswith("I"):
        return (np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)
    return np.asarray(image.convert("L"))


def silhouette(iuv: Pixels) -> Pixels:
    """The pose map's own outline as a matte uint8 [H, W], 0 or 255."""
    return np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))


def working_side(native: int, resolution: int) -> int:
    """Side at which to run GrabCut on a crop of `native` pixels: its outline term shrinks what is thin in few pixels.

    IoU with exact mattes of synthetic people at resolution 128: 0.94 at 128, 0.97 at 256.
    """
    return max(resolution, min(_WORKING_SIDE, native))


def grabcut_matte(photo: Pixels, iuv: Pixels, beyond: Mask) -> Pixels:
    """Refine the pose map's silhouette to the person's outline with GrabCut (Rother, Kolmogorov, Blake 2004).

    `photo` uint8 [S, S, 3], `iuv` uint8 [S, S, 3], `beyond` bool [S, S] where the crop leaves the photo. Surely the
    person: the silhouette without its rim. Possibly: the rim and a band around it, wide at the head (hair) and the
    upper legs (skirts, coats). All else is background. Of the result only what hangs together with the
    silhouette is kept. Deterministic. Returns uint8 [S, S], soft over about a pixel at the outline.
    """
    body = iuv[..., 0] > 0
    seeds = _seeds(iuv, beyond)
    if not (seeds == cv2.GC_FGD).any() or not (seeds == cv2.GC_BGD).any():
        return silhouette(iuv)
    sure = seeds == cv2.GC_FGD
    cv2.setRNGSeed(_SEED)  # GrabCut starts from k-means: its result must not depend on what ran before
    cv2.grabCut(np.ascontiguousarray(photo[..., ::-1]), seeds, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)),
                _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    person = (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)
    person = _without_specks(_hanging_together(person, sure | (body & person)), body)
    soft = cv2.GaussianBlur(np.where(person, np.uint8(255), np.uint8(0)), (3, 3), 0)
    return np.where(beyond, np.uint8(0), np.asarray(soft, np.uint8))


def _seeds(iuv: Pixels, beyond: Mask) -> Pixels:
    labels = iuv[..., 0]
    body = labels > 0
    side = body.shape[0]
    inner = cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 3) > max(1.0, 0.01 * side)
    head = np.isin(labels, HEAD_PARTS)
    head_rows = np.flatnonzero(head.any(axis=1))
    head_height = float(head_rows[-1] - head_rows[0] + 1) if len(head_rows) else 0.0
    seeds = np.full(body.shape, cv2.GC_BGD, np.uint8)
    seeds[_within(body, max(2.0, 0.03 * side))] = cv2.GC_PR_BGD
    seeds[_within(np.isin(labels, _UPPER_LEGS), 0.09 * side)] = cv2.GC_PR_BGD
    seeds[_within(head, max(2.0, 0.4 * head_height))] = cv2.GC_PR_BGD
    seeds[body] = cv2.GC_PR_FGD
    seeds[inner] = cv2.GC_FGD
    seeds[beyond] = cv2.GC_BGD
    return seeds


def _within(mask: Mask, distance: float) -> Mask:
    """Pixels no farther than `distance` from the mask; none where the mask is empty."""
    if not mask.any():
        return np.zeros_like(mask)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= distance)


def _hanging_together(person: Mask, core: Mask) -> Mask:
    """The connected pieces of `person` that touch `core`."""
    _, pieces = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)
    touched = np.unique(pieces[core & person])
    return np.asarray(np.isin(pieces, touched[touched > 0]))


def _without_specks(person: Mask, body: Mask) -> Mask:
    """Close pinholes that lie inside the silhouette, smooth the outline with a 3 x 3 median."""
    _, holes, sizes, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    largest = 0.0005 * person.size
    small = [i for i in range(1, len(sizes)) if sizes[i, cv2.CC_STAT_AREA] <= max(4.0, largest)]
    filled = person | (np.isin(holes, small) & body)
    return np.asarray(cv2.medianBlur(filled.astype(np.uint8), 3) > 0)
