"""A folder of photos with pose maps and identities, as the arrays that the small networks train on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from components.core.artifacts.photos import LABELS
from components.core.errors import InputError
from components.core.faces import recognition
from components.core.pictures.folder import PhotoFile, list_photos
from components.core.pictures.images import read_upright
from components.core.pictures.iuv import person_box, read_iuv
from components.core.pictures.labels import read_labels
from components.core.progress import track

FACE = 64
"""Side of the stored aligned faces; the networks take theirs from it by resampling."""
BODY = 128
"""Side of the stored person crops."""
_MARGIN = 0.08


@dataclass(frozen=True)
class Population:
    """Photos of people, cut for training. Identities and outfits are numbered from 0 without gaps.

    faces: uint8 [F, 3, 64, 64] aligned, of photos whose face is seen; face_identity: int64 [F].
    bodies: uint8 [N, 3, 128, 128] person crops; parts: uint8 [N, 128, 128] body part (0..24) of each pixel;
    body_identity: int64 [N]. refused: why photos that cannot be read were left out.
    """

    faces: Tensor
    face_identity: Tensor
    bodies: Tensor
    parts: Tensor
    body_identity: Tensor
    names: tuple[str, ...]
    refused: tuple[str, ...]

    def describe(self) -> str:
        """People and pictures in one phrase."""
        return (
            f"{len(self.names)} synthetic people ({self.names[0]} to {self.names[-1]}): "
            f"{len(self.faces)} faces, {len(self.bodies)} whole photos, {len(self.refused)} unreadable"
        )


def read_population(folder: Path, *, most_bodies: int | None = None, label: str = "reading") -> Population:
    """Read photos/, iuv/ and labels.csv of `folder`; keep at most `most_bodies` person crops, evenly spaced.

    Photos or pose maps that cannot be read are left out. Raises `InputError` where that is more than a tenth, for a
    folder without labels.csv, a labelled photo or pose map that is missing, and a population that shows no face.
    """
    rows = _labels(folder)
    names = tuple(sorted({identity for _, identity in rows}))
    number = {name: index for index, name in enumerate(names)}
    step = 1 if most_bodies is None else max(1, -(-len(rows) // most_bodies))
    seen, seen_who, bodies, parts, body_who, refused = [], [], [], [], [], []
    for index, (photo, identity) in enumerate(track(rows, label=label)):
        pose_map = _pose_map(photo)
        try:
            upright = read_upright(photo.path)
            image, iuv = upright.pixels, read_iuv(pose_map, upright.size, upright.orientation).planes
        except InputError as error:
            refused.append(error)
            continue
        face = _face(image, iuv)
        if face is not None:
            seen.append(face)
            seen_who.append(number[identity])
        if index % step == 0 and (body := _body(image, iuv)) is not None:
            bodies.append(body[0])
            parts.append(body[1])
            body_who.append(number[identity])
    if 10 * len(refused) > len(rows):
        raise refused[0]
    if not seen or not bodies:
        raise InputError("no photo shows a face", path=folder, remedy="photograph people from the front as well")
    return Population(
        faces=torch.stack(seen),
        face_identity=torch.tensor(seen_who),
        bodies=torch.stack(bodies),
        parts=torch.stack(parts),
        body_identity=torch.tensor(body_who),
        names=names,
        refused=tuple(map(str, refused)),
    )


def people_of(folder: Path) -> list[str]:
    """Sorted names of the people in a folder's labels.csv. Raises as `read_population`."""
    return sorted({identity for _, identity in _labels(folder)})


def _labels(folder: Path) -> list[tuple[PhotoFile, str]]:
    if not (folder / LABELS).exists():
        raise InputError(f"no {LABELS}", path=folder, remedy="make the folder with `photoshoot synthesize`")
    files = list_photos(folder)
    labels = read_labels(files.labels, [photo.name for photo in files.photos])
    return [(photo, labels[photo.name]) for photo in files.photos if photo.name in labels]


def _pose_map(photo: PhotoFile) -> Path:
    if not photo.iuv.is_file():
        raise InputError("the photo has no pose map", path=photo.path, remedy=f"bring {photo.iuv}")
    return photo.iuv


def _face(image: np.ndarray, iuv: np.ndarray) -> Tensor | None:
    """Aligned face [3, 64, 64] uint8, or None where it is not seen."""
    if not recognition.face_seen(iuv):
        return None
    aligned, valid = recognition.align(_to_unit(image), _planes(iuv), FACE)
    if not bool(valid[0]):
        return None
    return to_bytes(aligned[0])


def _body(image: np.ndarray, iuv: np.ndarray) -> tuple[Tensor, Tensor] | None:
    """Square person crop [3, 128, 128] and its body parts [128, 128], both uint8; None where nobody is."""
    box = person_box(iuv)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    half = max(x1 - x0, y1 - y0) * (0.5 + _MARGIN)
    columns, column_inside = _span((x0 + x1) / 2, half, image.shape[1])
    rows, row_inside = _span((y0 + y1) / 2, half, image.shape[0])
    crop = _to_unit(image[np.ix_(rows, columns)])
    small = F.interpolate(crop, (BODY, BODY), mode="bilinear", antialias=True, align_corners=False)[0]
    part = iuv[..., 0][np.ix_(rows, columns)] * (row_inside[:, None] & column_inside[None])
    labels = F.interpolate(torch.from_numpy(part)[None, None], (BODY, BODY), mode="nearest")[0, 0]
    return to_bytes(small), labels


def _span(centre: float, half: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel indices of centre - half .. centre + half, beyond the border its nearest pixel; and which are inside."""
    wanted = np.arange(round(centre - half), round(centre + half) + 1)
    held = wanted.clip(0, length - 1)
    return held, held == wanted


def _to_unit(image: np.ndarray) -> Tensor:
    return to_float(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])


def _planes(iuv: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(iuv)).permute(2, 0, 1)[None]


def pieces(tensor: Tensor, size: int) -> list[Tensor]:
    """Consecutive pieces of a tensor's first dimension, of `size` rows; the last may have fewer."""
    return [tensor[start : start + size] for start in range(0, len(tensor), size)]


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8, clamped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
