"""Checkpoints: whole or not there, checked before they are trusted, the newest few kept, written in the background.

A checkpoint is a pair of files in a folder or below a gs:// address, ``step-00000200.safetensors`` (networks and
optimiser moments) and ``step-00000200.json`` (format version, step, size and sha256 of the other, the curves up to
then), written in this order and each atomically. A checkpoint without its JSON, or that does not match it, is passed
over for the one before. Nothing in them can run: safetensors and JSON hold numbers and text only.

What is random in a step is a function of seed and step, and so are the batches and what comes every few steps. So the
step is all there is to keep of generators, samplers and schedules.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn

from components.core.documents import json_object
from components.core.errors import InputError, PhotoshootError
from components.core.stores.storage import address, is_remote, open_location
from components.core.tensors import tensor_bytes
from components.train.curves import Point

FORMAT = "photoshoot.checkpoint/2"
_PREFIX, _WEIGHTS, _NOTE = "step-", ".safetensors", ".json"
_FORMERLY = {"generator_optimiser": "adam", "discriminator_optimiser": "adam_judges"}  # in checkpoints of 0.1
_log = logging.getLogger(__name__)
Networks = Mapping[str, nn.Module]
Optimisers = Mapping[str, torch.optim.Optimizer]


class Saved(NamedTuple):
    """The content of a checkpoint."""

    step: int
    """Steps done."""
    tensors: dict[str, Tensor]
    """By network or optimiser: ``generator.gnet.bias``, ``adam.0.exp_avg``."""
    points: list[Point]
    """What was logged up to then."""


class Checkpoints:
    """The checkpoints of one training in one folder or below one gs:// address.

    Writing happens in a thread of its own. Leaving the ``with`` block waits for it.
    """

    def __init__(self, place: str | Path, keep: int) -> None:
        self.place, self._keep = address(place), keep
        self._location = open_location(place)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self.wait()
        except PhotoshootError as unwritten:
            if error is None:
                raise
            _log.warning("the last checkpoint was not written: %s", unwritten)
        finally:
            self._writer.shutdown()

    def save(self, step: int, networks: Networks, optimisers: Optimisers, points: Sequence[Point] = ()) -> None:
        """Copy the state after `step` steps and return; it is written meanwhile, and what is older than the newest
        `keep` removed. Waits when the checkpoint before is still being written.

        Raises `MachineError` for a checkpoint *before* this one that could not be written (a full disk, a service
        that does not answer); those that were there before are still there. `check` and `wait` raise it too.
        """
        self.wait()
        tensors = {name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
                   for name, value in state_tensors(networks, optimisers).items()}
        self._pending = self._writer.submit(self._write, step, tensors, list(points))

    def check(self) -> None:
        """Raise what went wrong with the writing since the last call; does not wait."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until what was saved is written, and raise what went wrong."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def load(self) -> Saved | None:
        """The newest checkpoint that is whole."""
        if not is_remote(self.place):
            for left in Path(self.place).glob(f".{_PREFIX}*.partial-*"):  # by a process that was killed
                left.unlink(missing_ok=True)
        for step in reversed(self.steps()):
            found = self._whole(step)
            if found is not None:
                return found
            _log.warning("%s/%s: damaged checkpoint, trying the one before", self.place, _names(step)[0])
        return None

    def last_good(self) -> str | None:
        """Path or address of the newest checkpoint that is whole, the one that is being written included."""
        with suppress(PhotoshootError):
            self.wait()
        found = self.load()
        return None if found is None else f"{self.place}/{_names(found.step)[0]}"

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint with a note, ascending."""
        notes = (name.removeprefix(_PREFIX).removesuffix(_NOTE) for name in self._location.list(_PREFIX)
                 if name.endswith(_NOTE))
        return sorted(int(step) for step in notes if step.isdecimal())

    def _write(self, step: int, tensors: dict[str, Tensor], points: list[Point]) -> None:
        weights, note = _names(step)
        data = tensor_bytes(tensors, {"format": FORMAT, "step": str(step)})
        record = {"format": FORMAT, "step": step, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
                  "points": points}
        self._location.write_bytes(weights, data)
        self._location.write_bytes(note, (json.dumps(record) + "\n").encode())
        for old in self.steps()[: -self._keep]:
            for name in reversed(_names(old)):
                self._location.remove(name)

    def _whole(self, step: int) -> Saved | None:
        weights, note = _names(step)
        try:
            record = json_object(self._location.read_bytes(note), finite=False)
            data = self._location.read_bytes(weights)
            if record["format"] != FORMAT or record["sha256"] != hashlib.sha256(data).hexdigest():
                return None
            return Saved(int(record["step"]), safetensors.load(data), list(record["points"]))
        except (InputError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def state_tensors(networks: Networks, optimisers: Optimisers) -> dict[str, Tensor]:
    """All that training changes, by name, not copied."""
    tensors = {f"{name}.{key}": value for name, network in networks.items()
               for key, value in network.state_dict().items()}
    for name, optimiser in optimisers.items():
        tensors |= {f"{name}.{key}": value for key, value in _moments(optimiser).items()}
    return tensors


def set_state(tensors: Mapping[str, Tensor], networks: Networks, optimisers: Optimisers) -> None:
    """Put what `state_tensors` gave back into networks and optimisers of the same kind."""
    for name, network in networks.items():
        network.load_state_dict(_under(tensors, name))
    for name, optimiser in optimisers.items():
        _set_moments(optimiser, _under(tensors, name) or _under(tensors, _FORMERLY.get(name, name)))


def _names(step: int) -> tuple[str, str]:
    return f"{_PREFIX}{step:08d}{_WEIGHTS}", f"{_PREFIX}{step:08d}{_NOTE}"


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat names: "<parameter's number>.<what>"."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {f"{number}.{what}": value if isinstance(value, Tensor) else torch.tensor(value)
            for number, values in state.items() for what, value in values.items()}


def _set_moments(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, what = name.split(".")
        # Adam's count of steps is read by the processor in every step, and only a fused Adam keeps it on the GPU (it
        # takes it there itself).
        state.setdefault(int(number), {})[what] = value.cpu() if what == "step" else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
