"""The networks that say whose a face is, by name."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import SettingsError
from components.core.faces.alignment import align
from components.core.faces.embedder import FaceEmbedder, Strangers
from components.core.faces.head import MIN_HEAD, View, face_chip, face_points, face_seen, head_box, view
from components.core.settings.data import NETWORK_FILES

__all__ = ["MIN_HEAD", "FaceEmbedder", "Strangers", "View", "align", "face_chip", "face_points", "face_seen",
           "head_box", "load_embedder", "view"]


def load_embedder(name: str, device: str | torch.device = "cpu") -> FaceEmbedder:
    """A face embedder by name or by the path of its network, frozen, in eval mode.

    builtin: this project's network, trained on synthetic people; builtin-judge: another architecture trained on other
    synthetic people, for judging what was trained with the first; builtin-both: the two side by side, which tells
    synthetic people apart better than either; dlib: dlib's network, for real faces, with the
    weights of the installed package face-recognition-models; sface: OpenCV's SFace, for judging real faces, without
    gradient; vggface2: InceptionResnetV1, its weights fetched once and
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
    from components.core.networks.pretrained.builtin import FaceNet, JudgeNet
    from components.core.networks.pretrained.weights import load_network, weights_card

    # What nine of ten pairs of one person reach and at most one of a hundred pairs of two people does, as measured when
    # the network was trained. The stricter of the two, and a margin: merging two people costs more than finding one
    # twice, and many photos make many pairs.
    metrics = weights_card(weights)["metrics"]
    cosine = max(metrics["cosine_same_p10"], metrics["cosine_other_p99"])
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
    from components.core.networks.pretrained.dlib_face import DIM, SIZE, load_dlib_face

    return FaceEmbedder("dlib", load_dlib_face(), size=SIZE, dim=DIM, same_person_distance=_DLIB_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD, strangers=Strangers(0.545, 0.05))


def _sface() -> FaceEmbedder:
    from components.core.faces.sface import DIM, SIZE, SFace

    return FaceEmbedder("sface", SFace(), size=SIZE, dim=DIM, same_person_distance=_SFACE_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD, strangers=Strangers(1.34, 0.07, 0.6), precision=torch.float32)


def _vggface2() -> FaceEmbedder:
    from components.core.networks.pretrained.inception_resnet import DIM, SIZE, load_vggface2

    return FaceEmbedder("vggface2", load_vggface2(), size=SIZE, dim=DIM, same_person_distance=_VGGFACE2_DISTANCE,
                        sharp_head=_DLIB_SHARP_HEAD)


_EMBEDDERS = {"builtin": _builtin, "builtin-judge": _builtin_judge, "builtin-both": _builtin_both,
              "dlib": _dlib, "sface": _sface, "vggface2": _vggface2}
_MARGIN = 0.85
_BOTH_DISTANCE = 0.68
"""Measured on two populations of 60 synthetic people (BCubed precision 0.98 on both, recall 0.91)."""
_DLIB_SHARP_HEAD, _DLIB_DISTANCE = 64, 0.375
"""For single photos, the middle of what is right on portraits and on full-body photos; 0.6 between vectors as they
come is 0.42 between vectors of length one, which is too much for two single photos. Distances stay the same down to
heads of 64 px, below which faces grow alike."""
_SFACE_DISTANCE = 1.0
"""For single photos: a cosine of .5. The published threshold, .363 or 1.129, is where one of a thousand pairs of
strangers is taken for one person, which is too many where every photo is compared with every other."""
_VGGFACE2_DISTANCE = 0.9
"""Cosine 0.6. Not measured here: cluster.same_person sets another."""
