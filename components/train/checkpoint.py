"""Checkpoints: whole or not there, checked before they are trusted, the newest few kept.

A checkpoint is a pair of files, ``step-00000200.safetensors`` (networks and optimiser moments) and
``step-00000200.json`` (format version, step, size and sha256 of the other), written in this order and each
atomically. A checkpoint without its JSON, or that does not match it, is passed over for the one before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from components.core.atomic import atomic_path
from components.core.digest import file_digest
from components.core.errors import machine_errors

FORMAT = "photoshoot.checkpoint/1"
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one training in one folder."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = Path(folder), keep

    def save(self, step: int, networks: Mapping[str, nn.Module],
             optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
        """Write the state after `step` steps and drop what is older than the newest `keep`.

        Raises `MachineError` for a full or read-only disk; then the checkpoints before are still there.
        """
        tensors = {f"{name}.{key}": value for name, network in networks.items()
                   for key, value in network.state_dict().items()}
        for name, optimiser in optimisers.items():
            tensors |= {f"{name}.{key}": value for key, value in _moments(optimiser).items()}
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        weights, note = self._files(step)
        with machine_errors(self.folder):
            with atomic_path(weights) as partial:
                save_file(tensors, partial, {"format": FORMAT, "step": str(step)})
            content = {"format": FORMAT, "step": step, "bytes": weights.stat().st_size, "sha256": file_digest(weights)}
            with atomic_path(note) as partial:
                partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
            for old in self.steps()[: -self._keep]:
                for file in reversed(self._files(old)):
                    file.unlink(missing_ok=True)

    def restore(self, networks: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer]) -> int:
        """Load the newest checkpoint that is whole into networks and optimisers; the step it was made after, or 0."""
        for step in reversed(self.steps()):
            tensors = self._whole(step)
            if tensors is None:
                _log.warning("%s: torn checkpoint, trying the one before", self._files(step)[0])
                continue
            for name, network in networks.items():
                network.load_state_dict(_under(tensors, name))
            for name, optimiser in optimisers.items():
                _set_moments(optimiser, _under(tensors, name))
            return step
        return 0

    def last_good(self) -> Path | None:
        """The newest checkpoint that is whole."""
        return next((self._files(step)[0] for step in reversed(self.steps()) if self._whole(step) is not None), None)

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint with a note, ascending."""
        return sorted(int(note.stem.removeprefix("step-")) for note in self.folder.glob("step-????????.json"))

    def _files(self, step: int) -> tuple[Path, Path]:
        return self.folder / f"step-{step:08d}.safetensors", self.folder / f"step-{step:08d}.json"

    def _whole(self, step: int) -> dict[str, Tensor] | None:
        weights, note = self._files(step)
        try:
            told = json.loads(note.read_text(encoding="utf-8"))
            if told["format"] != FORMAT or told["sha256"] != file_digest(weights):
                return None
            with safe_open(weights, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, ValueError, KeyError, TypeError, SafetensorError):
            return None


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat names: "<parameter's number>.<what>"."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {f"{number}.{what}": value if isinstance(value, Tensor) else torch.tensor(value)
            for number, values in state.items() for what, value in values.items()}


def _set_moments(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, what = name.split(".")
        state.setdefault(int(number), {})[what] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
