"""The parts in order of importance, and what each is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Row = dict[str, Any]
"""One result: JSON values by name."""
TRAINING, SHEET = "training", "sheet.jpg"
"""The part that trains, and the sheet of pictures in its folder."""


@dataclass(frozen=True)
class Sizes:
    """How large the work of all parts is."""

    name: str
    resolutions: tuple[int, ...]
    """Sides at which a step is timed."""
    width: int
    """Channels at 256 px; half as many at twice the side, as StyleGAN2 has it."""
    max_width: int
    latent: int
    texel: int
    checked: int
    """Side at which numbers are compared."""
    checked_width: int
    trained: int
    """Side of the real training."""
    pictures: tuple[int, ...]
    """Sides of the pictures painted."""
    batches: tuple[int, ...]
    """Batches tried at each side; the largest that fits into two thirds of the memory is timed."""
    rounds: int
    steps: int
    """Of the training that is killed."""
    people: int
    photos: int
    """People drawn, and photos of each, where nobody was brought."""
    compiled: int
    """Side at which a step is also timed compiled; 0: not at all."""


FULL = Sizes("full", (128, 256, 512), 64, 512, 512, 64, 128, 32, 256, (512, 1024), (4, 8, 16, 32, 64), 8, 40, 8, 4, 256)
TINY = Sizes("tiny", (64,), 4, 16, 8, 8, 64, 4, 64, (64, 96), (1, 2), 1, 10, 4, 3, 0)


@dataclass
class Bench:
    """What a part works with."""

    kind: str
    """cuda or cpu."""
    sizes: Sizes
    folder: Path
    """For what a part writes; the folder of all parts."""
    people: Path | None
    """A folder unpacked from `people.pack`."""
    ends: float
    """When, on the monotonic clock, the part has to be done."""
    known: list[Row] = field(default_factory=list)
    """Rows of the parts before."""

    @property
    def device(self) -> torch.device:
        """As torch has it."""
        import torch

        return torch.device(self.kind)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    @property
    def on_gpu(self) -> bool:
        """Is there a GPU?"""
        return self.kind == "cuda"


@dataclass(frozen=True)
class Part:
    """One thing to find out."""

    name: str
    title: str
    seconds: float
    """Time box; the last part gets what is left."""
    work: str
    """``module:function``: `Bench` -> an iterator of rows. A row with ``"holds": false`` fails the part."""
    needs: tuple[str, ...] = ()
    """Modules beyond those that everything needs."""

    def rows(self, bench: Bench) -> Iterator[Row]:
        """Do it."""
        module, _, name = self.work.partition(":")
        function: Callable[[Bench], Iterator[Row]] = getattr(import_module(module), name)
        return function(bench)


_DATA = ("cv2", "pyarrow")
_HERE = "pipelines.bench.gpu"
PARTS = (
    Part("numerics", "Are the numbers right?", 70, f"{_HERE}.numerics:numerics"),
    Part("speed", "How fast is a step?", 190, f"{_HERE}.speed:speed"),
    Part("data", "Does the data keep up?", 30, f"{_HERE}.throughput:data", _DATA),
    Part("painting", "How fast are pictures painted?", 30, f"{_HERE}.throughput:painting", _DATA),
    Part("processes", "Several processes, gradients in parts", 40, f"{_HERE}.numerics:processes"),
    Part("preemption", "Killed in the middle", 60, f"{_HERE}.trainings:preemption", _DATA),
    Part("memory", "A batch that is too large", 40, f"{_HERE}.trainings:memory", _DATA),
    Part(TRAINING, "A training", 60, f"{_HERE}.trainings:training", _DATA),
)
"""In order of importance."""
