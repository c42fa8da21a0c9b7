"""What a step takes: freed memory is kept for the next step, and a batch that does not fit is said to be too large."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from components.core.errors import MachineError

if TYPE_CHECKING:
    from components.core.settings import TrainSettings
    from components.train.data.batches import Examples
    from components.train.distributed import Group
    from components.train.trainer import Trainer

_TRIM, _MAP = -1, -3  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (malloc.h)
_NEVER, _HUGE = 2**31 - 1, 2**30
_CPU_ALLOCATOR = "DefaultCPUAllocator"


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks below a gigabyte instead of handing them back to the kernel.

    A training step on a CPU allocates and frees hundreds of tensors of megabytes; each that comes fresh from the
    kernel is mapped page by page and cleared first. Elsewhere than with glibc on Linux this does nothing.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_TRIM, _NEVER)
            mallopt(_MAP, _HUGE)


class Room:
    """The memory that a training has for its batches."""

    def __init__(self, trainer: Trainer, settings: TrainSettings, group: Group) -> None:
        self._trainer, self._settings, self._group = trainer, settings, group

    def rehearse(self, examples: Examples) -> None:
        """See that the heaviest step fits before the first one: the GAN may begin, and not fit, after hours.

        `examples` are this process' share of a batch. Raises `MachineError` with the batch that would fit.
        """
        part = self._part(examples)
        if not self._fits(part):
            raise self._too_large(part, self._largest(part))
        release()

    @contextmanager
    def for_step(self, examples: Examples) -> Iterator[None]:
        """Around a step on `examples`: raises `MachineError` with the batch that would fit where memory runs out."""
        short = False
        try:
            yield
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            short = True
        if short:  # out here nothing holds on to the step's tensors
            part = self._part(examples)
            # The others of a group wait for this one in the middle of a step: no further passes.
            raise self._too_large(part, self._largest(part) if self._group.alone else len(part.leaks) // 2)

    def _part(self, examples: Examples) -> Examples:
        from components.train.distributed import cut

        return cut(examples, self._settings.accumulate)[0]

    def _largest(self, part: Examples) -> int:
        """The most examples of a part, which is too large as a whole, that fit: found by trying, 0 for none."""
        from components.train.distributed import first_of

        fits, not_ = 0, len(part.leaks)
        while not_ - fits > 1:
            middle = (fits + not_) // 2
            fits, not_ = (middle, not_) if self._fits(first_of(part, middle)) else (fits, middle)
        return fits

    def _fits(self, part: Examples) -> bool:
        from components.train.data.augment import prepare

        release()
        try:
            self._trainer.rehearse(prepare(part, self._trainer.device, augment=self._settings.augment))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return False
        return True

    def _too_large(self, part: Examples, fitting: int) -> MachineError:
        batch, parts = self._settings.batch, self._settings.accumulate
        problem = f"train.batch = {batch} does not fit into the memory of {_memory_of(self._trainer.device)}"
        if not fitting:
            return MachineError(f"{problem}, and neither does a single example",
                                remedy="lower train.width, train.max_width or preprocess.resolution")
        each = batch // self._group.size
        more = next(count for count in range(parts + 1, each + 1)
                    if -(-each // count) <= fitting and (self._group.size == 1 or each % count == 0))
        return MachineError(problem, remedy=f"set train.batch={fitting * parts * self._group.size}, or "
                                            f"train.accumulate={more} to keep the batch")


def out_of_memory(error: BaseException) -> bool:
    """Is it the memory, of a GPU or of the machine, that a computation lacked?"""
    return isinstance(error, torch.OutOfMemoryError) or _CPU_ALLOCATOR in str(error)


def _memory_of(device: torch.device) -> str:
    if device.type != "cuda":
        return "this machine"
    there = torch.cuda.get_device_properties(device)
    return f"{there.name} ({there.total_memory / 1e9:.0f} GB)"


def release() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
