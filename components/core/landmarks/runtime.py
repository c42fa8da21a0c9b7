"""A .tflite network as a function on LiteRT (the package ai-edge-litert)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.core.errors import DataError, MachineError
from components.core.landmarks.found import Floats
from components.core.pictures.images import Pixels
from components.core.stores.known_weights import known_weights

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_loaded = threading.local()


class Network:
    """A network of one picture. Not to be shared by threads: `network` gives each its own."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        """Raises `MachineError` where LiteRT is not installed, `DataError` for a file that it cannot run."""
        self._interpreter = _interpreter(file, threads)
        (entry,) = self._interpreter.get_input_details()
        self._entry: int = entry["index"]
        self._exits: list[int] = [out["index"] for out in self._interpreter.get_output_details()]
        self.size: int = int(entry["shape"][1])
        """Pictures are this wide."""

    def __call__(self, picture: Pixels, low: float = 0.0) -> list[Floats]:
        """The outputs for an RGB `picture` [size, size, 3], in the file's order, without the leading 1.

        The network sees 0..255 as `low`..1.
        """
        tensor = picture[None].astype(np.float32) * np.float32((1 - low) / 255) + np.float32(low)
        self._interpreter.set_tensor(self._entry, tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._exits]


def network(name: str) -> Network:
    """The network of `known_weights(name)` with one thread, loaded once in each thread of each process.

    Raises as `known_weights` and `Network` do.
    """
    mine: dict[str, Network] = _loaded.__dict__.setdefault("networks", {})
    if name not in mine:
        mine[name] = Network(known_weights(name))
    return mine[name]


def _interpreter(file: Path, threads: int) -> Interpreter:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MachineError("ai-edge-litert is not installed, which finds people in photos without pose maps",
                           remedy='pip install "photoshoot[landmarks]"') from None
    try:
        interpreter = Interpreter(str(file), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DataError(f"is no network that LiteRT can run ({' '.join(str(error).split())[:120]})", path=file,
                        remedy="remove the file; it is brought again at next use") from None
    return interpreter
