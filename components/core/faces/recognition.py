"""Faces aligned by the pose map, and the networks that say whose they are.

`head.py` finds the face; here it is cut out of a batch of images, differentiably, and embedded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import SettingsError
from components.core.faces.head import (
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
from components.core.settings.data import NETWORK_FILES

__all__ = ["MIN_HEAD", "FaceEmbedder", "Strangers", "View", "align", "face_chip", "face_points", "face_seen",
           "head_box", "load_embedder", "view"]


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


@dataclass(frozen=True)
class Strangers:
    """Distances between photos of two people: their `mean` (vectors without relation: the root of 2), the `spread` at
    the near end, as a standard deviation, and the `share` of their variance that is between pairs of people."""

    mean: float
    spread: float
    share: float = 0.5


class FaceEmbedder(nn.Module):
    """A face network behind one interface: aligned faces in, vectors of length one out, near for the same person.

    Attributes: `name`; `size`, side of the faces it takes; `dim`, length of its vectors; `same_person_distance`, the
    Euclidean distance between two of its vectors below which they are rather one person than two, where heads are at
    least `sharp_head` pixels high; `strangers`, how far apart photos of two people are; `precision`, the
    finest in which it can run (it starts in single).
    """

    def __init__(self, name: str, network: nn.Module, *, size: int, dim: int, same_person_distance: float,
                 sharp_head: int = MIN_HEAD, strangers: Strangers | None = None,
                 precision: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.precision = precision
        self.name, self.size, self.dim = name, size, dim
        self.same_person_distance, self.sharp_head = same_person_distance, sharp_head
        self.strangers = strangers or Strangers(math.sqrt(2), (math.sqrt(2) - same_person_distance) / 4)
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
    """A face embedder by name or by the path of its network, frozen, in eval mode.

    builtin: this project's network, trained on synthetic people; builtin-judge: another architecture trained on other
    synthetic people, for judging what was trained with the first; builtin-both: the two side by side, which tells
    synthetic people apart better than either; dlib: dlib's network, for real faces, with the
    weights of the installed package face-recognition-models; vggface2: InceptionResnetV1, its weights fetched once and
    checked (`known_weights.py`); a path or gs:// address: an ONNX or TorchScript file (`embedders.py`).

    Raises `SettingsError` for another name, `MachineError` where weights are not there and cannot be fetched,
    `DataError` where a file is not what it should be.
    """
    if name in _EMBEDDERS:
        embedder = _EMBEDDERS[name]()
    elif name.endswith(NETWORK_FILES):
        from components.core.faces.embedders import embedder_from_file

        embedder = embedder_from_file(name, device)
    else:
        raise SettingsError(f"unknown face embedder {name}",
                            remedy=f"choose one of {', '.join(_EMBEDDERS)}, or the path of an ONNX or TorchScript file")
    return embedder.to(device).eval().requires_grad_(False)


def _builtin() -> FaceEmbedder:
    return _trained("builtin", "builtin-face", Strangers(1.40, 0.20, 1.0))


def _builtin_judge() -> FaceEmbedder:
    return _trained("builtin-judge", "builtin-judge", Strangers(1.35, 0.25, 1.0))


def _trained(name: str, weights: str, strangers: Strangers) -> FaceEmbedder:
    from components.core.networks.builtin import FaceNet, JudgeNet
    from components.core.networks.weights import load_network, weights_card

    # What nine of ten pairs of one person reach and at most one of a hundred pairs of two people does, as measured when
    # the network was trained. The stricter of the two, and a margin: merging two people costs more than finding one
    # twice, and many photos make many pairs.
    figures = weights_card(weights)["figures"]
    cosine = max(figures["cosine_same_p10"], figures["cosine_other_p99"])
    network = load_network(weights)
    assert isinstance(network, (FaceNet, JudgeNet))
    return FaceEmbedder(name, network, size=network.size, dim=network.dim,
                        same_person_distance=_MARGIN * math.sqrt(2 - 2 * cosine), strangers=strangers)


def _builtin_both() -> FaceEmbedder:
    from components.core.faces.head import CHIP

    both = _SideBySide(_builtin(), _builtin_judge())
    return FaceEmbedder("builtin-both", both, size=CHIP, dim=both.dim, same_person_distance=_BOTH_DISTANCE,
                        strangers=Strangers(1.38, 0.205, 1.0))


class _SideBySide(nn.Module):
    """Vectors of several embedders, each of length one, one after the other."""

    def __init__(self, *embedders: FaceEmbedder) -> None:
        super().__init__()
        self.embedders = nn.ModuleList(embedders)
        self.dim = sum(embedder.dim for embedder in embedders)

    def forward(self, faces: Tensor) -> Tensor:
        parts = []
        for embedder in self.embedders:
            assert isinstance(embedder, FaceEmbedder)
            shape = (embedder.size, embedder.size)
            parts.append(embedder(functional.interpolate(faces, shape, mode="bilinear", antialias=True)))
        return torch.cat(parts, dim=1)


def _dlib() -> FaceEmbedder:
    from components.core.networks.dlib_face import DIM, SIZE, load_dlib_face

    return FaceEmbedder("dlib", load_dlib_face(), size=SIZE, dim=DIM, same_person_distance=_DLIB_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD, strangers=Strangers(0.545, 0.05))


def _vggface2() -> FaceEmbedder:
    from components.core.networks.inception_resnet import DIM, SIZE, load_vggface2

    return FaceEmbedder("vggface2", load_vggface2(), size=SIZE, dim=DIM, same_person_distance=_VGGFACE2_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD)


_EMBEDDERS = {"builtin": _builtin, "builtin-judge": _builtin_judge, "builtin-both": _builtin_both,
              "dlib": _dlib, "vggface2": _vggface2}
_MARGIN = 0.85
_BOTH_DISTANCE = 0.68
"""Measured on two populations of 60 synthetic people (BCubed precision 0.98 on both, recall 0.91)."""
_DLIB_SHARP_HEAD, _DLIB_DISTANCE = 64, 0.375
"""For single photos, the middle of what is right on portraits and on full-body photos; 0.6 between vectors as they
come is 0.42 between vectors of length one, which is too much for two single photos. Distances stay the same down to
heads of 64 px, below which faces grow alike."""
_VGGFACE2_DISTANCE = 0.9
"""Cosine 0.6. Not measured here: cluster.same_person sets another."""


def _sampling_grid(transforms: list[tuple[complex, complex]], size: int, factor: int, shape: torch.Size) -> Tensor:
    """Where to sample [n, size * factor, size * factor, 2], in grid_sample's coordinates for images of `shape`."""
    steps = (np.arange(size * factor) + 0.5) / factor - 0.5
    at = steps[None, :] + 1j * steps[:, None]
    height, width = shape
    spots = np.stack([turn * at + shift for turn, shift in transforms])
    grid = np.stack([(2 * spots.real + 1) / width - 1, (2 * spots.imag + 1) / height - 1], axis=-1)
    return torch.from_numpy(grid)
