"""Faces aligned by the pose map, and the networks that say whose they are.

`head.py` finds the face; here it is cut out of a batch of images, differentiably, and embedded.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import SettingsError
from components.core.head import (
    MIN_HEAD,
    View,
    face_chip,
    face_points,
    face_seen,
    face_to_image,
    head_box,
    supersampling,
    view,
)

__all__ = ["MIN_HEAD", "FaceEmbedder", "View", "align", "face_chip", "face_points", "face_seen", "head_box",
           "load_embedder", "view"]


def align(images: Tensor, iuv: Tensor, size: int, *, min_head: int = MIN_HEAD) -> tuple[Tensor, Tensor]:
    """Turn, scale and cut out faces so that eyes, nose and mouth lie in their canonical places.

    `images` [B, 3, H, W] float and their pose maps `iuv` [B, 3, H, W] uint8 -> faces [B, 3, size, size] and
    valid [B] bool. Not valid, and all zero: the face is not seen, or the head is under `min_head` pixels high.
    The similarity transform is the least-squares one from `face_points`; sampling is bilinear, after averaging where
    the face shrinks, and differentiable with respect to `images`.
    """
    maps = iuv.detach().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    transforms = [face_to_image(one, size, min_head) for one in maps]
    valid = torch.tensor([transform is not None for transform in transforms], dtype=torch.bool, device=images.device)
    faces = images.new_zeros(len(transforms), 3, size, size)
    # Images that shrink by the same factor are sampled together.
    by_factor: dict[int, list[int]] = {}
    for index, transform in enumerate(transforms):
        if transform is not None:
            factor = supersampling(transform[0])
            by_factor.setdefault(factor, []).append(index)
    for factor, indices in by_factor.items():
        chosen = [transform for i in indices if (transform := transforms[i]) is not None]
        grid = _sampling_grid(chosen, size, factor, images.shape[-2:]).to(images)
        at = torch.tensor(indices, device=images.device)
        sampled = functional.grid_sample(images[at], grid, mode="bilinear", padding_mode="border", align_corners=False)
        faces = faces.index_copy(0, at, functional.avg_pool2d(sampled, factor) if factor > 1 else sampled)
    return faces, valid


class FaceEmbedder(nn.Module):
    """A face network behind one interface: aligned faces in, vectors of length one out, near for the same person.

    Attributes: `name`; `size`, side of the faces it takes; `dim`, length of its vectors; `same_person_distance`, the
    Euclidean distance between two of its vectors below which they are rather one person than two, where heads are at
    least `sharp_head` pixels high.
    """

    def __init__(self, name: str, network: nn.Module, *, size: int, dim: int, same_person_distance: float,
                 sharp_head: int = MIN_HEAD) -> None:
        super().__init__()
        self.name, self.size, self.dim = name, size, dim
        self.same_person_distance, self.sharp_head = same_person_distance, sharp_head
        self.network = network

    def same_person_at(self, head: float) -> float:
        """`same_person_distance` for heads `head` pixels high: blurred faces look alike, so each halving takes 10 %."""
        halvings = math.log2(self.sharp_head / max(head, 1.0))
        return self.same_person_distance * (1 - 0.1 * max(0.0, halvings))

    def forward(self, faces: Tensor) -> Tensor:
        """Aligned faces [B, 3, size, size] in [-1, 1] -> embeddings [B, dim] of Euclidean length 1."""
        return functional.normalize(self.raw(faces), dim=1)

    def raw(self, faces: Tensor) -> Tensor:
        """The network's own vectors [B, dim], before normalisation (dlib's published threshold 0.6 is about these)."""
        vectors: Tensor = self.network(faces)
        return vectors

    def embed(self, images: Tensor, iuv: Tensor, *, min_head: int = MIN_HEAD) -> tuple[Tensor, Tensor]:
        """Embeddings [B, dim] of the faces in images [B, 3, H, W] in [-1, 1], found by their pose maps, and valid [B].

        Rows that are not valid (see `align`) are zero and carry no gradient.
        """
        faces, valid = align(images, iuv, self.size, min_head=min_head)
        embeddings = images.new_zeros(len(images), self.dim)
        at = valid.nonzero().flatten()
        if len(at):
            embeddings = embeddings.index_copy(0, at, self(faces[at]))
        return embeddings, valid


def load_embedder(name: str, device: str | torch.device = "cpu") -> FaceEmbedder:
    """A face embedder by name, frozen, in eval mode.

    builtin: this project's network, trained on synthetic people; builtin-judge: another architecture trained on other
    synthetic people, for judging what was trained with the first; dlib: dlib's network, for real faces, with the
    weights of the installed package face-recognition-models. Raises `SettingsError` for another name, `MachineError`
    where dlib's weights are not installed.
    """
    if name not in _EMBEDDERS:
        raise SettingsError(f"unknown face embedder {name}", remedy=f"choose one of {', '.join(_EMBEDDERS)}")
    embedder = _EMBEDDERS[name]().to(device).eval()
    return embedder.requires_grad_(False)


def _builtin() -> FaceEmbedder:
    return _trained("builtin", "builtin-face")


def _builtin_judge() -> FaceEmbedder:
    return _trained("builtin-judge", "builtin-judge")


def _trained(name: str, weights: str) -> FaceEmbedder:
    from components.core.networks.builtin import FaceNet, JudgeNet
    from components.core.weights import load_network, weights_card

    # What nine of ten pairs of one person reach and at most one of a hundred pairs of two people does, as measured when
    # the network was trained. The stricter of the two: merging two people costs more than finding one twice.
    figures = weights_card(weights)["figures"]
    cosine = max(figures["cosine_same_p10"], figures["cosine_other_p99"])
    network = load_network(weights)
    assert isinstance(network, (FaceNet, JudgeNet))
    return FaceEmbedder(name, network, size=network.size, dim=network.dim,
                        same_person_distance=math.sqrt(2 - 2 * cosine))


def _dlib() -> FaceEmbedder:
    from components.core.networks.dlib_face import DIM, SIZE, load_dlib_face

    return FaceEmbedder("dlib", load_dlib_face(), size=SIZE, dim=DIM, same_person_distance=_DLIB_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD)


_EMBEDDERS = {"builtin": _builtin, "builtin-judge": _builtin_judge, "dlib": _dlib}
_DLIB_SHARP_HEAD, _DLIB_DISTANCE = 64, 0.375
"""The largest without a wrong merge, and a margin, on real full-body photos; 0.6 between vectors as they come is 0.42
between vectors of length one, which is right for sharp portraits and too much for small heads."""


def _sampling_grid(transforms: list[tuple[complex, complex]], size: int, factor: int, shape: torch.Size) -> Tensor:
    """Where to sample [n, size * factor, size * factor, 2], in grid_sample's coordinates for images of `shape`."""
    steps = (np.arange(size * factor) + 0.5) / factor - 0.5
    at = steps[None, :] + 1j * steps[:, None]
    height, width = shape
    spots = np.stack([turn * at + shift for turn, shift in transforms])
    grid = np.stack([(2 * spots.real + 1) / width - 1, (2 * spots.imag + 1) / height - 1], axis=-1)
    return torch.from_numpy(grid)
