"""InceptionResnetV1 for faces, with the names of facenet-pytorch's published weights, so that its files load.

Source of the architecture: Szegedy et al., arXiv 1602.07261 (Inception-ResNet-v1, figures 10 to 14), in the variant of
David Sandberg's facenet; of the parameters' names and sizes: the file 20180402-114759-vggface2.pt (MIT licence), whose
network maps 160 px faces to 512 numbers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import DataError
from components.core.stores.known_weights import known_weights

SIZE = 160
"""Side of the faces in pixels that it was trained on."""
DIM = 512
_CLASSES = 8631
"""People in VGGFace2: the published file holds their classifier, which is not used here."""


class InceptionResnetV1(nn.Module):
    """Faces [B, 3, 160, 160] RGB in [-1, 1] -> descriptors [B, 512], not of length one. 23.5 M parameters."""

    size = SIZE
    dim = DIM

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = _Convolution(3, 32, 3, stride=2)
        self.conv2d_2a = _Convolution(32, 32, 3)
        self.conv2d_2b = _Convolution(32, 64, 3, padding=1)
        self.conv2d_3b = _Convolution(64, 80, 1)
        self.conv2d_4a = _Convolution(80, 192, 3)
        self.conv2d_4b = _Convolution(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _Mixed(
            _Convolution(256, 384, 3, stride=2),
            nn.Sequential(_Convolution(256, 192, 1), _Convolution(192, 192, 3, padding=1),
                          _Convolution(192, 256, 3, stride=2)))
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _Mixed(
            nn.Sequential(_Convolution(896, 256, 1), _Convolution(256, 384, 3, stride=2)),
            nn.Sequential(_Convolution(896, 256, 1), _Convolution(256, 256, 3, stride=2)),
            nn.Sequential(_Convolution(896, 256, 1), _Convolution(256, 256, 3, padding=1),
                          _Convolution(256, 256, 3, stride=2)))
        self.repeat_3 = nn.Sequential(*(_block8(0.2) for _ in range(5)))
        self.block8 = _block8(1.0, last=True)
        self.last_linear = nn.Linear(1792, DIM, bias=False)
        self.last_bn = nn.BatchNorm1d(DIM, eps=0.001)

    def forward(self, faces: Tensor) -> Tensor:
        # Published weights expect (value - 127.5) / 128 of pixels in 0..255.
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(faces * (127.5 / 128))))
        x = self.conv2d_3b(functional.max_pool2d(x, 3, stride=2))
        x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(x)))
        x = self.repeat_2(self.mixed_6a(x))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        descriptors: Tensor = self.last_bn(self.last_linear(x.mean(dim=(2, 3))))
        return descriptors


class _Convolution(nn.Module):
    """Convolution without bias, batch normalisation, relu."""

    def __init__(self, channels: int, width: int, kernel: int | tuple[int, int], *, stride: int = 1,
                 padding: int | tuple[int, int] = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Residual(nn.Module):
    """x + scale * conv2d(branches side by side), then relu (unless it is the last)."""

    def __init__(self, channels: int, inner: int, scale: float, branches: list[nn.Module], last: bool = False) -> None:
        super().__init__()
        self.scale, self.last, self.count = scale, last, len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)
        self.conv2d = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.cat([self.get_submodule(f"branch{number}")(x) for number in range(self.count)], dim=1)
        y: Tensor = x + self.scale * self.conv2d(inner)
        return y if self.last else functional.relu(y)


class _Mixed(nn.Module):
    """Branches that halve the sides, and a max pool, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)

    def forward(self, x: Tensor) -> Tensor:
        halved = [self.get_submodule(f"branch{number}")(x) for number in range(self.count)]
        return torch.cat([*halved, functional.max_pool2d(x, 3, stride=2)], dim=1)


def _block35() -> _Residual:
    return _Residual(256, 96, 0.17, [
        _Convolution(256, 32, 1),
        nn.Sequential(_Convolution(256, 32, 1), _Convolution(32, 32, 3, padding=1)),
        nn.Sequential(_Convolution(256, 32, 1), _Convolution(32, 32, 3, padding=1),
                      _Convolution(32, 32, 3, padding=1)),
    ])


def _block17() -> _Residual:
    return _Residual(896, 256, 0.1, [
        _Convolution(896, 128, 1),
        nn.Sequential(_Convolution(896, 128, 1), _Convolution(128, 128, (1, 7), padding=(0, 3)),
                      _Convolution(128, 128, (7, 1), padding=(3, 0))),
    ])


def _block8(scale: float, *, last: bool = False) -> _Residual:
    return _Residual(1792, 384, scale, [
        _Convolution(1792, 192, 1),
        nn.Sequential(_Convolution(1792, 192, 1), _Convolution(192, 192, (1, 3), padding=(0, 1)),
                      _Convolution(192, 192, (3, 1), padding=(1, 0))),
    ], last)


def load_vggface2(path: Path | None = None) -> InceptionResnetV1:
    """The network with the weights published as vggface2, or with those of the file `path`, which is not checked.

    Raises what `known_weights` raises, and `DataError` for a file of another layout. The file is read as plain
    tensors (no code in it is run).
    """
    file = path or known_weights("vggface2")
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        for name in ("logits.weight", "logits.bias"):
            tensors.pop(name, None)
        network = InceptionResnetV1()
        network.load_state_dict(tensors)
    except Exception as error:  # torch.load raises what it likes: UnpicklingError, RuntimeError, EOFError, ...
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"not the weights of an InceptionResnetV1 ({reason})", path=file,
                        remedy="bring 20180402-114759-vggface2.pt as facenet-pytorch publishes it") from None
    return network.eval()
