"""Where models fitted to a person are kept: in the user's own cache, apart from every registry and data set.

What is kept is what was changed, in a format of its own, which neither `Reposer.load` nor the registry takes: one file
per digest of model, photos and settings, readable by its owner alone. The oldest go when there are too many.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from components.core.atomic import atomic_path
from components.core.errors import machine_errors
from components.core.stores.known_weights import cache_folder
from components.core.tensors import tensor_bytes

FORMAT = "photoshoot.personal/1"
MOST_FILES, MOST_DAYS = 16, 30
"""How many are kept, and for how long after they were last used."""

Changes = dict[str, Tensor]


def personal_folder() -> Path:
    """In the user's cache (``PHOTOSHOOT_CACHE``, else ``~/.cache/photoshoot``)."""
    return cache_folder().with_name("personal")


class Store:
    """A folder of changes to models."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = personal_folder() if folder is None else folder

    def read(self, key: str) -> tuple[Changes, dict[str, str]] | None:
        """What is kept under a key, and what was noted with it; None for nothing, or something torn."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                notes = file.metadata() or {}
                if notes.get("format") != FORMAT:
                    return None
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return None
        with suppress(OSError):
            os.utime(path)
        return found, notes

    def write(self, key: str, changes: Changes, notes: dict[str, str]) -> None:
        """Keep changes under a key. Raises `MachineError` for a full or read-only disk."""
        path = self._path(key)
        with machine_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = tensor_bytes({name: value.detach().cpu().contiguous() for name, value in changes.items()},
                               notes | {"format": FORMAT})
        with atomic_path(path) as partial:
            partial.touch(mode=0o600)
            partial.write_bytes(content)
        self._tidy()

    def remove(self, key: str) -> None:
        """Forget a key."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _tidy(self) -> None:
        """Remove what was not used for long, and what is too much; other processes may do the same."""
        with suppress(OSError):
            ages = sorted(((path.stat().st_mtime, path) for path in self.folder.glob("*.safetensors")), reverse=True)
            for place, (used, path) in enumerate(ages):
                if place >= MOST_FILES or used < time.time() - MOST_DAYS * 24 * 3600:
                    path.unlink(missing_ok=True)


def changed(start: dict[str, Tensor], now: dict[str, Tensor]) -> Changes:
    """What was added to each tensor that is different, in half precision."""
    return {name: (value - start[name]).to(torch.float16) for name, value in now.items()
            if not torch.equal(value, start[name])}


def applied(start: dict[str, Tensor], changes: Changes) -> dict[str, Tensor]:
    """The tensors with what was added. Raises `KeyError` or `RuntimeError` for changes to another model."""
    return start | {name: start[name] + change.to(start[name]) for name, change in changes.items()}
