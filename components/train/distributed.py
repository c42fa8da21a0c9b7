"""Several processes that train as one: each takes its share of every batch, and all take the same step.

Started by torchrun, which puts WORLD_SIZE, RANK and LOCAL_RANK into the environment. A batch is cut into parts, as many
for each process as `accumulate` says, and what is random in a part is a function of (seed, step, part). So two
processes do what one process does with twice the `accumulate`, up to the order of sums: a part's losses, and the
groups of the minibatch standard deviation, never look beyond the part.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from components.core.errors import SettingsError
from components.train.data.batches import Batches, Examples, evenly

T = TypeVar("T")
PREPARING, GENERATOR, DISCRIMINATOR = range(3)
"""Phases of a step, each with random numbers of its own."""
_PATIENCE = timedelta(minutes=30)  # The first process saves, samples and looks while the others wait.


def seed_part(seed: int, step: int, part: int, phase: int) -> None:
    """Make everything random in a phase of a part of a step a function of these numbers: there is no generator state to
    save, and it does not matter which process works on the part."""
    mixed = ((seed * 1_000_003 + step) * 1_009 + part) * 7 + phase
    torch.manual_seed(mixed % 2**63)


@dataclass(frozen=True)
class Group:
    """The processes of a training, and which of them this one is. Alone, nothing here does anything."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Rank among the processes of this machine: which GPU it takes."""
    joined: bool = False
    """Are there ways between the processes? torchrun makes them, for a single process too."""

    @property
    def alone(self) -> bool:
        """Nobody to talk to."""
        return self.size == 1 and not self.joined

    @property
    def main(self) -> bool:
        """The process that logs, saves and writes the model."""
        return self.rank == 0

    def device(self, asked: torch.device) -> torch.device:
        """The device of this process, where `asked` for is what the settings say: with several, each has its own GPU.
        """
        return torch.device("cuda", self.local) if self.joined and asked.type == "cuda" else asked

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes in every backward pass."""
        if self.alone:
            return module
        return DistributedDataParallel(module, find_unused_parameters=True)  # losses come and go with the steps

    def exchanging(self, module: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Where a part's passes run: gradients are exchanged after the `last` part only."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) and not last else nullcontext()

    def mean(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean over the processes of scalars that all of them have."""
        if self.alone:
            return dict(terms)
        values = torch.stack(list(terms.values()))
        self.average(values)
        return dict(zip(terms, values, strict=True))

    def average(self, tensor: Tensor) -> None:
        """Put the mean over the processes in the place of a tensor that all of them have."""
        if not self.alone:
            dist.all_reduce(tensor)
            tensor /= self.size

    def agree(self, value: T) -> T:
        """What the first process has, for all; it also waits for it."""
        if self.alone:
            return value
        box: list[Any] = [value if self.main else None]
        dist.broadcast_object_list(box)
        found: T = box[0]
        return found

    def share(self, tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """The first process' tensors for all, on `device`; what the others give is not looked at."""
        if self.alone:
            return dict(tensors)
        kinds = self.agree([(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()])
        found = {}
        for name, shape, dtype in kinds:
            here = tensors[name].to(device).contiguous() if self.main else torch.empty(shape, dtype=dtype,
                                                                                       device=device)
            dist.broadcast(here, 0)
            found[name] = here
        return found


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group that torchrun made, or a group of one.

    `device` as in the settings. The block's end waits for all. When it fails the others are not waited for: torchrun
    ends them.
    """
    if not started_by_torchrun():
        yield Group()
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    on_gpu, mine = device != "cpu" and torch.cuda.is_available(), None
    if on_gpu:
        if local >= torch.cuda.device_count():
            raise SettingsError(f"train.processes: more than the {torch.cuda.device_count()} GPUs of this machine",
                                remedy="use one process per GPU")
        mine = torch.device("cuda", local)
        torch.cuda.set_device(mine)  # before anything is put on "cuda", which means this one from here on
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE, device_id=mine)
    yield Group(rank, size, local, joined=True)
    dist.barrier()
    dist.destroy_process_group()


def started_by_torchrun() -> bool:
    """Is this one of the processes of a training that torchrun started? (It may be the only one.)"""
    return "WORLD_SIZE" in os.environ and "LOCAL_RANK" in os.environ


class Share(Dataset[Examples]):
    """One process' examples of each batch: the batch is drawn whole everywhere, its pixels are read where they go.

    Raises `SettingsError` for a batch that cannot be divided evenly into `accumulate` parts per process.
    """

    def __init__(self, batches: Batches, batch: int, accumulate: int, group: Group) -> None:
        if group.size > 1 and batch % (group.size * accumulate):
            raise SettingsError(f"train.batch = {batch} cannot be divided by {group.size} processes"
                                + (f" times train.accumulate = {accumulate}" if accumulate > 1 else ""),
                                remedy="choose a multiple")
        each = batch // group.size
        self._batches, self._rows = batches, slice(group.rank * each, (group.rank + 1) * each)

    def __getitem__(self, step: int) -> Examples:
        return self._batches.examples(self._batches.slots(step)[self._rows])


def cut(examples: Examples, count: int) -> Sequence[Examples]:
    """The examples in `count` parts of (nearly) equal size, in order; fewer where there are fewer examples."""
    return [Examples(*(_rows(field, rows) for field in examples)) for rows in evenly(len(examples.leaks), count)]


def first_of(examples: Examples, count: int) -> Examples:
    """The first `count` examples."""
    return Examples(*(_rows(field, slice(count)) for field in examples))


def _rows(field: Any, rows: slice) -> Any:
    return field[rows] if isinstance(field, Tensor) else tuple(plane[rows] for plane in field)
