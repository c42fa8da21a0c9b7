"""How fast a step is, what of the machine's peak it reaches, where the rest goes; a plain StyleGAN2 beside it."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from components.core.networks.layers import downsample, upsample
from components.core.networks.pretrained.features import PerceptualDistance
from components.core.settings import TrainSettings
from components.train.bench import conv_peak, finish, flops, gemm_peak, kinds_of
from components.train.data.augment import Batch
from components.train.loop import embedder_of, settle_device
from components.train.memory import release
from components.train.trainer import Trainer
from pipelines.bench.gpu.bare import missing
from pipelines.bench.gpu.parts import Bench, Row
from pipelines.bench.gpu.people import drawn_batch
from pipelines.bench.gpu.yardstick import Yardstick

_SHARE = 0.67
"""Of the memory, that the batch which is timed may take."""
_COMPILING_S = 45.0
"""Time box that has to be left for a compiled variant."""
_VARIANTS: dict[str, dict[str, Any]] = {"torch.compile": {}, "torch.compile with CUDA graphs": {
    "mode": "reduce-overhead"}}


def speed(bench: Bench) -> Iterator[Row]:
    """The machine's peaks, a row per side, the yardstick's, and compiled variants as far as time allows."""
    settle_device(bench.device)
    tiny = bench.sizes.name == "tiny"
    gemm, conv = gemm_peak(bench.device, (256,) if tiny else ()), conv_peak(bench.device, 1 if tiny else 0)
    yield {"what": "peaks", "machine": _machine(bench), "gemm_tflops": gemm / 1e12, "conv_tflops": conv / 1e12}
    yield {"what": "filters", **_guarded(lambda: _filters(bench))}
    batches: dict[int, int] = {}
    for side in bench.sizes.resolutions:
        row = _guarded(lambda side=side: _ours(bench, side, gemm, batches))  # type: ignore[misc]
        yield {"what": "step", "side": side, "variant": "eager", **row}
        if side in batches:
            row = _guarded(lambda side=side: _yardstick(bench, side, gemm, batches[side]))  # type: ignore[misc]
            yield {"what": "yardstick", "side": side, "variant": "plain StyleGAN2", **row}
    for name, options in _VARIANTS.items():
        side = bench.sizes.compiled
        if not bench.on_gpu or side not in batches:
            yield {"what": "skipped", "variant": name, "reason": "compiled steps are timed on a GPU"}
        elif bench.left < _COMPILING_S:
            yield {"what": "skipped", "variant": name, "reason": "no time left"}
        else:
            row = _guarded(lambda options=options: _ours(  # type: ignore[misc]
                bench, bench.sizes.compiled, gemm, batches, options))
            yield {"what": "step", "side": side, "variant": name, **row}


def _machine(bench: Bench) -> str:
    if not bench.on_gpu:
        return "CPU"
    there = torch.cuda.get_device_properties(bench.device)
    return f"{there.name}, {there.total_memory / 1e9:.0f} GB, torch {torch.__version__}, CUDA {torch.version.cuda}"


def _guarded(work: Callable[[], Row]) -> Row:
    """The row, or why there is none: one variant that fails takes nothing from the others."""
    try:
        return work()
    except Exception as error:
        return {"holds": False, "reason": f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"}
    finally:
        torch.compiler.reset()
        release()


def _filters(bench: Bench) -> Row:
    """Milliseconds of doubling and halving a picture, forward and backward: as a convolution by channel, which
    training uses, and as sums of shifted pictures."""
    side, channels, batch = (256, 64, 16) if bench.sizes.name == "full" else (32, 4, 1)
    dtype = torch.bfloat16 if bench.on_gpu else torch.float32
    x = torch.randn(batch, channels, side, side, device=bench.device, dtype=dtype)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    found = {}
    for name, change in (("upsample", upsample), ("downsample", downsample), ("upsample_by_shifts", _doubled)):
        def work(change: Callable[[Tensor], Tensor] = change) -> None:
            y = change(x)
            torch.autograd.grad(y, x, y)

        work()
        found[f"{name}_ms"] = 1000 * _timed(bench, work, bench.sizes.rounds)
    apart = float((_doubled(x) - upsample(x)).detach().abs().max())
    return found | {"shifts_apart": apart, "holds": apart < (0.1 if bench.on_gpu else 1e-5)}


def _doubled(x: Tensor) -> Tensor:
    """`upsample` along one axis after the other: each new pixel is three quarters of the nearest and one of the next.
    """
    for axis in (2, 3):
        size = x.shape[axis]
        padded = F.pad(x, (0, 0, 1, 1) if axis == 2 else (1, 1))
        before, here, after = (padded.narrow(axis, start, size) for start in range(3))
        x = torch.stack((0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after), axis + 1).flatten(axis, axis + 1)
    return x


def settings_at(bench: Bench, side: int, batch: int) -> TrainSettings:
    """The recipe at a side: the channels of StyleGAN2, the GAN from the start."""
    width = max(bench.sizes.width * 256 // side if bench.sizes.name == "full" else bench.sizes.width, 4)
    weights = {"l1": 5, "perceptual": 5, "gan": 1, "patch": 1, "r1_gamma": 10, "face": 0 if missing(["cv2"]) else 10}
    return TrainSettings.model_validate({
        "width": width, "max_width": bench.sizes.max_width, "latent": bench.sizes.latent, "batch": batch,
        "gan_start": 0.0, "weights": weights})


def _trainer(bench: Bench, side: int, batch: int) -> Trainer:
    settings = settings_at(bench, side, batch)
    return Trainer(settings, side, bench.sizes.texel, bench.device, perceptual=PerceptualDistance().to(bench.device),
                   embedder=embedder_of(settings, "synthetic", bench.device))


def _ours(bench: Bench, side: int, gemm: float, batches: dict[int, int],
          compiled: dict[str, Any] | None = None) -> Row:
    if compiled is None:
        batches[side] = _batch_that_fits(bench, side)
    size = batches[side]
    trainer, batch = _trainer(bench, side, size), drawn_batch(size, side, bench.sizes.texel, bench.device)
    if compiled is not None:
        trainer.generator.pnet.compile(**compiled)
        trainer.generator.gnet.compile(**compiled)
    every, rounds = trainer.settings.weights.r1_every, bench.sizes.rounds
    began = time.monotonic()
    for step in (1, 0, 1):
        trainer.step(step, batch)
    finish(bench.device)
    warm = time.monotonic() - began
    _forget_peak(bench)
    usual, penalised = (_timed(bench, lambda first=first: trainer.step(first, batch), count)  # type: ignore[misc]
                        for first, count in ((1, rounds), (0, max(rounds // 4, 1))))
    per_step = (usual * (every - 1) + penalised) / every
    row = {"batch": size, "step_s": per_step, "step_r1_s": penalised, "s_per_1000_images": 1000 * per_step / size,
           "images_per_s": size / per_step, "memory_gb": _peak(bench), "warm_up_s": warm}
    if compiled is None:
        work = (flops(lambda: trainer.step(1, batch)) * (every - 1) + flops(lambda: trainer.step(0, batch))) / every
        row |= {"gflop": work / 1e9, "of_gemm": work / per_step / gemm, **_profile(bench, trainer, batch)}
    return row


def _profile(bench: Bench, trainer: Trainer, batch: Batch) -> Row:
    """Where a step's time goes; a machine that does not let itself be profiled loses these figures alone."""
    found: Row = {}
    try:
        found |= _waits(bench, trainer, batch)
        found["profile"] = kinds_of(lambda: trainer.step(1, batch), bench.device)
    except Exception as error:
        found["unprofiled"] = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
    return found


def _yardstick(bench: Bench, side: int, gemm: float, size: int) -> Row:
    width = settings_at(bench, side, size).width
    yardstick = Yardstick(side, width, bench.sizes.max_width, bench.device)
    real = torch.rand(size, 3, side, side, device=bench.device) * 2 - 1
    for step in (1, 0):
        yardstick.step(step, real)
    _forget_peak(bench)
    usual, penalised = (_timed(bench, lambda first=first: yardstick.step(first, real), count)  # type: ignore[misc]
                        for first, count in ((1, bench.sizes.rounds), (0, max(bench.sizes.rounds // 4, 1))))
    per_step = (usual * 15 + penalised) / 16
    work = flops(lambda: yardstick.step(1, real))
    return {"batch": size, "step_s": per_step, "s_per_1000_images": 1000 * per_step / size,
            "images_per_s": size / per_step, "memory_gb": _peak(bench), "gflop": work / 1e9,
            "of_gemm": work / usual / gemm}


def _batch_that_fits(bench: Bench, side: int) -> int:
    """The largest of `Sizes.batches` that fits by what two small ones take."""
    sizes = bench.sizes.batches
    if not bench.on_gpu:
        return sizes[-1]
    took = []
    trainer = _trainer(bench, side, sizes[0])
    for size in sizes[:2]:
        _forget_peak(bench)
        trainer.rehearse(drawn_batch(size, side, bench.sizes.texel, bench.device))
        took.append(torch.cuda.max_memory_allocated(bench.device))
    del trainer
    release()
    each = (took[1] - took[0]) / (sizes[1] - sizes[0])
    room = _SHARE * torch.cuda.get_device_properties(bench.device).total_memory
    return max([size for size in sizes if took[0] + (size - sizes[0]) * each < room], default=sizes[0])


def _timed(bench: Bench, work: Callable[[], object], count: int) -> float:
    """Seconds of each of `count` in a row, as training has them: the GPU is waited for at the end alone."""
    finish(bench.device)
    began = time.perf_counter()
    for _ in range(count):
        work()
    finish(bench.device)
    return (time.perf_counter() - began) / count


def _waits(bench: Bench, trainer: Trainer, batch: Batch) -> Row:
    """How often the processor waits for the GPU in a step, and the lines where: ``{waits, waits_at}``."""
    if not bench.on_gpu:
        return {}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            trainer.step(1, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    lines = Counter(f"{Path(one.filename).name}:{one.lineno}" for one in said if "synchroniz" in str(one.message))
    return {"waits": sum(lines.values()), "waits_at": dict(lines.most_common(12))}


def _forget_peak(bench: Bench) -> None:
    if bench.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.device)


def _peak(bench: Bench) -> float | None:
    return torch.cuda.max_memory_allocated(bench.device) / 1e9 if bench.on_gpu else None


