"""How fast a training step is, what of the machine's own peak it reaches, and where the rest goes.

``python -m components.train.bench RESOLUTION`` measures one resolution in a process of its own, so that its memory is
its own, and prints JSON.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from components.core.networks.pretrained.features import PerceptualDistance
from components.core.people.assembly import assemble
from components.core.people.dataset import PeopleDataset, PersonRecord
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png
from components.core.pictures.texture import to_picture, unwrap
from components.core.settings import TrainSettings
from components.train.data.batches import Batches
from components.train.distributed import Group, Share
from components.train.loop import choose_device, embedder_of, examples_of, parts_of
from components.train.memory import keep_freed_memory
from components.train.trainer import Trainer

_ROUNDS = 3
_PEOPLE, _PHOTOS = 4, 3
_KINDS = {
    "convolution": ("aten::convolution_backward", "aten::_convolution", "aten::mkldnn_convolution",
                    "aten::cudnn_convolution", "aten::_slow_conv2d", "aten::slow_conv", "aten::conv_depthwise3x3",
                    "aten::_conv_depthwise2d"),
    "matrix product": ("aten::mm", "aten::addmm", "aten::bmm"),
    "sampling of images": ("aten::grid_sampler_2d", "aten::grid_sampler_2d_backward", "aten::upsample_bilinear2d",
                           "aten::upsample_bilinear2d_backward", "aten::gather", "aten::index",
                           "aten::avg_pool2d", "aten::avg_pool2d_backward", "aten::max_pool2d_with_indices",
                           "aten::max_pool2d_with_indices_backward", "aten::scatter_add_", "aten::_index_put_impl_"),
    "copies and layout": ("aten::copy_", "aten::clone", "aten::cat", "aten::fill_", "aten::zero_"),
    "optimiser": ("aten::_foreach_", "aten::_fused_adam_", "aten::lerp_", "aten::addcmul_", "aten::addcdiv_",
                  "aten::sqrt"),
}


def bench(resolution: int, settings: TrainSettings | None = None, texel: int = 32) -> dict[str, object]:
    """Measure the default training at one resolution.

    {step_s, step_gan_s, images_per_s, flops, flops_per_s, gemm_per_s, conv_per_s, of_gemm, of_conv, memory_gb,
    waiting, profile, ...}: a step without and with the GAN (R1's share included), floating point operations of a step
    with the GAN as torch's counter has them, the machine's peaks measured in the same process and number format, GB of
    memory at most, and the share of the time that a step waits for its data.
    """
    settings = settings or TrainSettings(batch=8 if resolution <= 128 else 4)
    device = choose_device(settings.device)
    keep_freed_memory()
    gemm, conv = gemm_peak(device), conv_peak(device)
    with tempfile.TemporaryDirectory() as folder:
        dataset = drawn_dataset(Path(folder), resolution, texel, _PEOPLE, _PHOTOS)
        groups = list(np.arange(len(dataset), dtype=np.int64).reshape(_PEOPLE, _PHOTOS))
        batches = Batches(dataset, groups, batch=settings.batch, reconstruction=settings.reconstruction, seed=0)
        group, share = Group(), Share(batches, settings.batch, 1, Group())
        trainer = Trainer(settings, resolution, texel, device, embedder=embedder_of(settings, "synthetic", device),
                          perceptual=PerceptualDistance(settings.perceptual).to(device))
        waited = [0.0, 0.0]
        gan = -(-int(settings.gan_start * settings.steps) // 16) * 16 + 16
        arriving = examples_of(share, batches.photos.in_memory, 0, 10_000, device)

        def step(number: int) -> float:
            began = _now(device)
            examples = next(arriving)
            came = _now(device)
            trainer.step(number, parts_of(examples, settings, group, number, device))
            finish(device)
            ended = _now(device)
            waited[0], waited[1] = waited[0] + came - began, waited[1] + ended - began
            return ended - began

        for number in (1, gan + 1, gan):  # warm: kernels chosen, photos read
            step(number)
        waited[:] = [0.0, 0.0]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)  # the search for the fastest convolutions took more
        plain = statistics.median(step(number) for number in range(1, 1 + _ROUNDS))
        judged = statistics.median(step(gan + number) for number in range(1, 1 + _ROUNDS))
        penalised = statistics.median(step(gan) for _ in range(_ROUNDS))
        every = settings.weights.r1_every
        step_gan = (judged * (every - 1) + penalised) / every
        work = flops(lambda: step(1))
        work_gan = (flops(lambda: step(gan + 1)) * (every - 1) + flops(lambda: step(gan))) / every
        where = kinds_of(lambda: step(gan + 1), device)
    return {
        "resolution": resolution, "batch": settings.batch, "device": device.type, "threads": torch.get_num_threads(),
        "step_s": plain, "step_gan_s": step_gan, "images_per_s": settings.batch / plain,
        "images_per_s_gan": settings.batch / step_gan, "s_per_1000_images": 1000 * step_gan / settings.batch,
        "gflop": work / 1e9, "gflop_gan": work_gan / 1e9, "gemm_gflops": gemm / 1e9, "conv_gflops": conv / 1e9,
        "of_gemm": work / plain / gemm, "of_gemm_gan": work_gan / step_gan / gemm,
        "of_conv": work / plain / conv, "of_conv_gan": work_gan / step_gan / conv,
        "memory_gb": _memory(device), "waiting": waited[0] / waited[1], "profile": where,
    }  # fmt: skip


def _now(device: torch.device) -> float:
    """Seconds of a clock: one thread on a CPU is measured by its processor time, so that what else the machine does
    does not count."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


def _number(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def gemm_peak(device: torch.device, sides: Sequence[int] = ()) -> float:
    """Operations a second of the fastest of some square matrix products, in the number format of training."""
    best = 0.0
    for side in sides or ((1024, 2048) if device.type == "cpu" else (4096, 8192)):
        one, other = (torch.randn(side, side, device=device, dtype=_number(device)) for _ in range(2))
        best = max(best, 2 * side**3 / _least(lambda one=one, other=other: one @ other, device))  # type: ignore[misc]
    return best


def conv_peak(device: torch.device, batch: int = 0) -> float:
    """Operations a second of the fastest of some 3 x 3 convolutions, forward and backward."""
    best, batch = 0.0, batch or (8 if device.type == "cpu" else 64)
    for channels, side in ((64, 64), (128, 32), (256, 32)):
        x = torch.randn(batch, channels, side, side, device=device, dtype=_number(device), requires_grad=True)
        weight = torch.randn(channels, channels, 3, 3, device=device, dtype=_number(device), requires_grad=True)
        if device.type == "cuda":  # whose matrix units want each pixel's channels side by side, as training has them
            x, weight = (one.detach().to(memory_format=torch.channels_last).requires_grad_() for one in (x, weight))

        def work(x: torch.Tensor = x, weight: torch.Tensor = weight) -> None:
            y = F.conv2d(x, weight, padding=1)
            torch.autograd.grad(y, (x, weight), y)

        best = max(best, 3 * 2 * batch * side**2 * channels**2 * 9 / _least(work, device))
    return best


def _least(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of some runs: a peak is what the machine can do when nobody else wants it."""
    times = []
    for _ in range(2 + 5):
        began = _now(device)
        work()
        finish(device)
        times.append(_now(device) - began)
    return min(times[2:])


def finish(device: torch.device) -> None:
    """Wait for all that the device has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Floating point operations by the formulas of torch's counter, whose own mode cannot be differentiated twice."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.count += formula(*args, **(kwargs or {}), out_val=out)
        return out


def flops(work: Callable[[], object]) -> float:
    """Floating point operations of what `work` does."""
    with _Operations() as counter:
        work()
    return float(counter.count)


def kinds_of(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Share of a step's time by kind of operation."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as seen:
        work()
    times: dict[str, float] = {}
    for event in seen.key_averages():
        if event.device_type.name != "CPU":
            continue  # a kernel by itself: its time is already that of the operation which started it
        spent = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        kind = next((kind for kind, names in _KINDS.items() if event.key.startswith(names)), "element by element, rest")
        times[kind] = times.get(kind, 0.0) + spent
    total = sum(times.values()) or 1.0  # of a GPU that does not let itself be watched there are no times
    return {kind: spent / total for kind, spent in sorted(times.items(), key=lambda one: -one[1])}


def _memory(device: torch.device) -> float:
    """GB at most: on the GPU what tensors took, on a CPU the whole process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 1e9
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e9


def drawn_dataset(folder: Path, side: int, texel: int, people: int, photos: int) -> PeopleDataset:
    """A data set of drawn people, ``folder/people``, its ids "<person>-<photo>" of three digits each."""
    draw = np.random.default_rng(0)
    with PartWriter(folder / "people.work", Plan("", side, texel, "synthetic", {}, 1)) as writer:
        with writer.shard(0) as shard:
            for number in range(people * photos):
                shard.add(_person(f"{number // photos:03d}-{number % photos:03d}", side, texel, draw))
        assemble([writer.folder], folder / "people", lambda hashes: {})
    return PeopleDataset.open(folder / "people")


def _person(name: str, side: int, texel: int, draw: np.random.Generator) -> EncodedPerson:
    iuv = figure(side)
    matte = np.where(iuv[..., 0] > 0, np.uint8(255), np.uint8(0))
    photo = draw.integers(0, 256, (side, side, 3), dtype=np.uint8)
    texture, seen = unwrap(photo, iuv, texel)
    members = {"photo": photo, "iuv": iuv, "matte": matte, "texture": to_picture(texture),
               "seen": to_picture(seen.astype(np.uint8) * 255)}
    record = PersonRecord(
        id=name, photo=f"{name}.png", photo_digest=name, inputs_digest=name, shard=0, offset=0, length=0,
        box=(0, 0, side, side), scale=1.0, coverage=float(seen.mean()), face_seen=True, view="front",
        head_box=(round(0.38 * side), round(0.08 * side), round(0.62 * side), round(0.34 * side)),
        channel_order="IUV", label=None)  # fmt: skip
    return EncodedPerson(record, {kind: encode_png(plane) for kind, plane in members.items()})


def figure(side: int) -> np.ndarray:
    """Head, torso and legs as a pose map uint8 [side, side, 3]."""
    iuv = np.zeros((side, side, 3), np.uint8)
    for part, x0, x1, y0, y1 in ((23, 0.38, 0.5, 0.08, 0.34), (24, 0.5, 0.62, 0.08, 0.34), (2, 0.34, 0.66, 0.36, 0.65),
                                 (9, 0.36, 0.5, 0.65, 0.95), (10, 0.5, 0.64, 0.65, 0.95)):
        left, right, top, bottom = (round(side * edge) for edge in (x0, x1, y0, y1))
        v, u = np.mgrid[255 : 0 : (bottom - top) * 1j, 0 : 255 : (right - left) * 1j]
        iuv[top:bottom, left:right] = np.stack([np.full_like(u, part), u, v], -1).round().astype(np.uint8)
    return iuv


if __name__ == "__main__":
    print(json.dumps(bench(int(sys.argv[1]))))
