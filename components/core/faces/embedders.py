"""Face networks from files: any ONNX or TorchScript network that maps faces to vectors.

A file ``net.onnx`` may have a card ``net.json`` beside it; every key may be left out:

- ``size`` (112): side of the square faces in pixels;
- ``mean``, ``std`` (127.5 each): three numbers or one, of pixels in 0..255; the network gets (pixel - mean) / std;
- ``channels`` ("RGB"): or "BGR";
- ``alignment`` ("arcface"): where eyes, nose and mouth lie; or "dlib", as this project's face chips;
- ``same_person`` (1.0): distance between vectors of length one below which two photos show one person;
- ``strangers`` (1.414): mean distance between photos of two people.

ONNX runs through onnxruntime on the CPU and has no gradient; TorchScript runs where the rest does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from components.core.digest import file_digest
from components.core.documents import MOST_JSON, json_object, read_bytes
from components.core.errors import DataError, InputError, MachineError
from components.core.faces.embedder import FaceEmbedder, Strangers
from components.core.faces.head import CANONICAL_FACE, CHIP
from components.core.stores.known_weights import file_at

_ARCFACE = np.asarray([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
                       (70.7299, 92.2041)]) / 112
"""Eyes, nose tip and mouth corners in a face of side 1: the alignment that ArcFace (arXiv 1801.07698) made usual."""
_SHARP_HEAD = 64


class Card(BaseModel):
    """What a network from a file wants; see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(112, ge=16, le=1024)
    mean: tuple[float, float, float] | float = 127.5
    std: tuple[float, float, float] | float = 127.5
    channels: Literal["RGB", "BGR"] = "RGB"
    alignment: Literal["arcface", "dlib"] = "arcface"
    same_person: float = Field(1.0, gt=0, le=2)
    strangers: float = Field(2**0.5, gt=0, le=2)


def embedder_from_file(address: str, device: str | torch.device = "cpu") -> FaceEmbedder:
    """The network in an ONNX or TorchScript file, by path or gs:// address, with its card.

    Raises `InputError` for a missing file, `DataError` for one that is no such network, whose card is wrong, or that
    does not map faces to one vector each, `MachineError` where onnxruntime is not installed.
    """
    path = file_at(address)
    card = _card(address)
    network = _Onnx(path) if path.suffix == ".onnx" else _torchscript(path, device)
    framed = _Framed(network, card)
    dim = _dimension(framed, path, device)
    name = f"{path.name}@{file_digest(path)[:12]}"
    spread = (card.strangers - card.same_person) / 4
    return FaceEmbedder(name, framed, size=CHIP, dim=dim, same_person_distance=card.same_person,
                        sharp_head=_SHARP_HEAD, strangers=Strangers(card.strangers, max(spread, 1e-3)),
                        precision=torch.float32)


class _Framed(nn.Module):
    """Faces as this project aligns them [B, 3, CHIP, CHIP] in [-1, 1] -> as the network wants them -> vectors."""

    theta: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        self.network, self.card = network, card
        self.register_buffer("theta", torch.tensor(_frame(card.alignment), dtype=torch.float32))
        for name, value in (("mean", card.mean), ("std", card.std)):
            three = value if isinstance(value, tuple) else (value,) * 3
            self.register_buffer(name, torch.tensor(three, dtype=torch.float32).reshape(1, 3, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:
        shape = [len(faces), 3, self.card.size, self.card.size]
        grid = functional.affine_grid(self.theta.expand(len(faces), 2, 3), shape, align_corners=False)
        pixels = (functional.grid_sample(faces, grid, padding_mode="border", align_corners=False) + 1) * 127.5
        if self.card.channels == "BGR":
            pixels = pixels.flip(1)
        vectors: Tensor = self.network((pixels - self.mean) / self.std)
        return vectors


class _Onnx(nn.Module):
    """An ONNX network through onnxruntime, on the CPU."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise MachineError("onnxruntime is not installed", remedy="pip install 'photoshoot[onnx]'") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base
            raise _no_network(path, "ONNX", error) from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise DataError(f"takes {len(inputs)} inputs, a face network takes one", path=path,
                            remedy="export the network that maps a face to a vector")
        self.input = inputs[0].name
        first = inputs[0].shape[0] if inputs[0].shape else None
        self.one_by_one = first == 1  # exported with a fixed batch

    def forward(self, faces: Tensor) -> Tensor:
        data = faces.detach().cpu().numpy()
        parts = [data[at : at + 1] for at in range(len(data))] if self.one_by_one else [data]
        vectors = np.concatenate([self.session.run(None, {self.input: part})[0] for part in parts])
        return torch.from_numpy(vectors).to(faces)


def _torchscript(path: Path, device: str | torch.device) -> nn.Module:
    try:
        network: nn.Module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise _no_network(path, "TorchScript", error) from None
    return network.eval()


def _card(address: str) -> Card:
    beside = str(Path(address).with_suffix(".json")) if "://" not in address else f"{address.rpartition('.')[0]}.json"
    try:
        path = file_at(beside)
    except InputError:
        return Card()
    try:
        return Card.model_validate(json_object(read_bytes(path, MOST_JSON)))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", path=beside,
                        remedy="see components/core/faces/embedders.py for the keys") from None
    except ValueError as error:
        raise DataError(f"not JSON ({error})", path=beside, remedy="correct or remove it") from None


def _frame(alignment: str) -> list[list[float]]:
    """For affine_grid: where in a face chip (coordinates -1..1) the network's face lies."""
    if alignment == "dlib":
        return [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    source, target = (2 * points[:, 0] - 1 + 1j * (2 * points[:, 1] - 1) for points in (_ARCFACE, CANONICAL_FACE))
    centred = source - source.mean()
    turn = complex((centred.conj() * (target - target.mean())).sum() / (np.abs(centred) ** 2).sum())
    shift = complex(target.mean() - turn * source.mean())
    return [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]


def _dimension(network: _Framed, path: Path, device: str | torch.device) -> int:
    """Length of the vectors, found by trying two grey faces."""
    try:
        with torch.inference_mode():
            vectors = network.to(device)(torch.zeros(2, 3, CHIP, CHIP, device=device))
    except Exception as error:
        raise _no_network(path, f"{network.card.size} px face", error) from None
    if not isinstance(vectors, Tensor) or vectors.ndim != 2 or len(vectors) != 2:
        shape = list(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise DataError(f"gives {shape} for two faces, not two vectors", path=path,
                        remedy="export the network that maps a face to a vector")
    return int(vectors.shape[1])


def _no_network(path: Path, kind: str, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
    return DataError(f"not a {kind} network that can be used ({reason})", path=path,
                     remedy="export it again; `size` in the JSON card beside it has to fit")
