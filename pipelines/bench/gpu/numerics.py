"""Is a step on the GPU what it is on the CPU? In float32, in bf16, from checkpoints, by processes, in parts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from components.core.networks.layers import mixed_on
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.settings import TrainSettings
from components.train.bench import finish
from components.train.checkpoint import Checkpoints, set_state, state_tensors
from components.train.data.augment import Batch
from components.train.distributed import Group, joined
from components.train.loop import embedder_of
from components.train.trainer import Terms, Trainer
from pipelines.bench.gpu.bare import missing
from pipelines.bench.gpu.parts import Bench, Row
from pipelines.bench.gpu.people import drawn_batch, on

_CPU = torch.device("cpu")
_BATCH = 4
FLOAT32 = {"losses": 2e-3, "gradients": 2e-2}
"""How far apart a step in float32 may be on two devices: losses (share of their size), and each network's gradient
(norm of the difference, as a share of its norm). Sums run in another order, and leaky ReLUs have kinks."""
BF16 = {"losses": 0.05, "gradients": 0.35}
"""The same for bf16 against float32 on one device: numbers of 8 bits, through some thirty layers and back."""
_LEAST = 0.02
"""Losses smaller than this are compared as if they were as large."""


def numerics(bench: Bench) -> Iterator[Row]:
    """A row per comparison of the first step of `paper` and `warp`, then the checkpoint's way there and back."""
    kind = bench.device.type
    for generator in ("paper", "warp"):
        batch = drawn_batch(_BATCH, bench.sizes.checked, bench.sizes.texel, _CPU)
        with _whole():
            reference = _step(bench, generator, batch, _CPU)
            there = _step(bench, generator, batch, bench.device)
        yield _compared(generator, f"float32 on {kind} against float32 on the CPU", there, reference, FLOAT32)
        with mixed_on(kind):
            half = _step(bench, generator, batch, bench.device)
        if not bench.on_gpu:
            half[1].pop("anet")  # oneDNN leaves bf16 gradients of strided convolutions over one pixel unset
        yield _compared(generator, f"bf16 against float32, both on {kind}", half, there, BF16)
    yield from _checkpoint(bench)


def processes(bench: Bench) -> Iterator[Row]:
    """A step through a process group (NCCL on a GPU, gloo on a CPU), and one batch in parts."""
    batch = drawn_batch(_BATCH, bench.sizes.checked, bench.sizes.texel, bench.device)
    with _whole():
        alone = _step(bench, "warp", batch, bench.device)
        with _torchrun(), joined(bench.device.type) as group:
            backend = torch.distributed.get_backend()
            together = _step(bench, "warp", batch, group.device(bench.device), group)
            assert group.agree("one") == "one"
            shared = group.share({"a": torch.arange(3.0)}, group.device(bench.device))
    yield _compared("warp", f"DistributedDataParallel over {backend}, 1 process, against none", together, alone,
                    FLOAT32) | {"shared": shared["a"].tolist() == [0.0, 1.0, 2.0]}
    whole: Terms | None = None
    for parts in (1, 2, 4):
        row, terms = _in_parts(bench, batch, parts)
        whole = whole or terms
        apart = abs(float(terms["detail"]) / float(whole["detail"]) - 1)
        yield row | {"detail_apart": apart, "holds": apart < _LEAST}


def _in_parts(bench: Bench, batch: Batch, parts: int) -> tuple[Row, Terms]:
    trainer = _trainer(bench, "warp", bench.device, accumulate=parts)
    if bench.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    terms = trainer.step(0, batch)
    finish(bench.device)
    used = torch.cuda.max_memory_allocated() / 1e9 if bench.on_gpu else None
    return {"what": f"a batch of {_BATCH} in {parts} parts", "memory_gb": used}, terms


def _checkpoint(bench: Bench) -> Iterator[Row]:
    """CPU, GPU, CPU: the state arrives bit for bit, and the next step is the same on both."""
    batches = [drawn_batch(_BATCH, bench.sizes.checked, bench.sizes.texel, _CPU, seed) for seed in range(2)]
    with _whole(), Checkpoints(bench.folder / "checkpoints", 2) as checkpoints:
        here, there, back = (_trainer(bench, "warp", device) for device in (_CPU, bench.device, _CPU))
        with DrawnOnTheCpu():
            here.step(0, batches[0])
        same_there = _carried(checkpoints, 1, here, there)
        with DrawnOnTheCpu():
            terms = [trainer.step(1, on(batches[1], device)) for trainer, device in ((there, bench.device),
                                                                                     (here, _CPU))]
        same_back = _carried(checkpoints, 2, there, back)
    apart = _apart(*terms)
    yield {"what": f"a checkpoint from the CPU to {bench.device.type} and back", "state_there": same_there,
           "state_back": same_back, "losses": max(apart.values()), "tolerance": FLOAT32["losses"],
           "holds": same_there and same_back and max(apart.values()) < FLOAT32["losses"]}


def _carried(checkpoints: Checkpoints, step: int, giver: Trainer, taker: Trainer) -> bool:
    """Give one trainer's state to another through a checkpoint; is it the same, bit for bit?"""
    checkpoints.save(step, giver.networks, giver.optimisers)
    checkpoints.wait()
    saved = checkpoints.load()
    assert saved is not None and saved.step == step
    set_state(saved.tensors, taker.networks, taker.optimisers)
    one, other = (state_tensors(trainer.networks, trainer.optimisers) for trainer in (giver, taker))
    return one.keys() == other.keys() and all(torch.equal(value.cpu(), other[name].cpu())
                                              for name, value in one.items())


def _trainer(bench: Bench, generator: str, device: torch.device, group: Group = Group(),  # noqa: B008
             **changes: Any) -> Trainer:
    weights: Row = {"r1_every": 2}
    if missing(["cv2"]):
        weights["face"] = 0  # faces are found with OpenCV
    settings = TrainSettings.model_validate({
        "generator": generator, "width": bench.sizes.checked_width, "max_width": bench.sizes.max_width,
        "latent": bench.sizes.latent, "batch": _BATCH, "gan_start": 0.0, "weights": weights} | changes)
    return Trainer(settings, bench.sizes.checked, bench.sizes.texel, device,
                   perceptual=PerceptualDistance().to(device),
                   embedder=embedder_of(settings, "synthetic", device), group=group)


def _step(bench: Bench, generator: str, batch: Batch, device: torch.device,
          group: Group = Group()) -> tuple[Terms, dict[str, Tensor]]:  # noqa: B008
    """Losses of a first step, R1 included, and the gradient of each network, on the CPU."""
    trainer = _trainer(bench, generator, device, group)
    with DrawnOnTheCpu():
        terms = trainer.step(0, on(batch, device))
    networks = {"anet": trainer.generator.anet, "pnet": trainer.generator.pnet, "gnet": trainer.generator.gnet,
                "discriminator": trainer.discriminator, "patch": trainer.patch}
    # A group's gradients lie where the last optimiser step left them, as anybody's.
    gradients = {name: torch.cat([parameter.grad.flatten().float().cpu() for parameter in network.parameters()
                                  if parameter.grad is not None]) for name, network in networks.items()}
    return {name: term.cpu() for name, term in terms.items()}, gradients


def _compared(generator: str, what: str, one: tuple[Terms, dict[str, Tensor]], other: tuple[Terms, dict[str, Tensor]],
              tolerance: dict[str, float]) -> Row:
    losses = _apart(one[0], other[0])
    gradients = {name: float((gradient - other[1][name]).norm() / other[1][name].norm().clamp(min=1e-12))
                 for name, gradient in one[1].items()}
    worst_loss, worst = max(losses, key=lambda name: losses[name]), max(gradients, key=lambda name: gradients[name])
    finite = all(torch.isfinite(gradient).all() for gradient in one[1].values())
    return {"what": f"{generator}: {what}", "losses": losses[worst_loss], "worst_loss": worst_loss,
            "gradients": gradients[worst], "worst_gradient": worst, "tolerance": tolerance,
            "holds": finite and losses[worst_loss] < tolerance["losses"] and gradients[worst] < tolerance["gradients"]}


def _apart(one: Terms, other: Terms) -> dict[str, float]:
    return {name: abs(float(one[name]) - float(wanted)) / max(abs(float(wanted)), _LEAST)
            for name, wanted in other.items()}


@contextmanager
def _whole() -> Iterator[None]:
    """float32 as it is: neither bf16 nor, in convolutions, its short form TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with mixed_on():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def _torchrun() -> Iterator[None]:
    """The environment that torchrun gives to a single process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mock.patch.dict(os.environ, {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
                                      "MASTER_PORT": str(port)}):
        yield


class DrawnOnTheCpu(TorchFunctionMode):
    """Random numbers come from the CPU's generator, whatever device they are for: each kind of device has its own
    sequence, and steps are compared by the same draws."""

    _FROM_NOTHING = (torch.rand, torch.randn, torch.randint)
    _LIKE = (torch.randn_like, torch.rand_like)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._FROM_NOTHING and "device" in kwargs:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        if func in self._LIKE:
            return func(args[0].cpu(), *args[1:], **kwargs).to(args[0].device)
        if func is torch.multinomial:
            return func(args[0].cpu(), *args[1:], **kwargs).to(args[0].device)
        return func(*args, **kwargs)
