"""How long an evaluation takes for each picture it judges, and where the time goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import torch

from components.core.networks.generator.reposer import Generator, Reposer, SourceBatch
from components.core.settings import EvaluateSettings, TrainSettings
from components.evaluate.measuring import quality
from components.evaluate.measuring.measure import BATCH, Instruments, compare
from components.evaluate.measuring.methods import Rendered

_ROUNDS = 3


def bench(resolution: int = 128, texel: int = 32) -> dict[str, float]:
    """Milliseconds of processor time for each picture on one thread: painting by the default generator, and measuring.

    `pairs_256_s`: seconds of a default evaluation (256 pairs for the model and two baselines, a third of them
    again as re-posing, 96 training pairs, 128 probes of memorisation, 64 targets of three controls, 300 real
    photos), painting and measuring only.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        random = np.random.default_rng(0)
        images, truths, poses = (random.integers(0, 256, (BATCH, resolution, resolution, 3), dtype=np.uint8)
                                 for _ in range(3))
        poses[..., 0] %= 25
        mattes = np.where(poses[..., 0] > 0, np.uint8(255), np.uint8(0))
        settings = TrainSettings()
        reposer = Reposer(Generator(settings, resolution, texel), settings, resolution, texel, "synthetic")
        textures = random.integers(0, 256, (BATCH, 24, texel, texel, 3), dtype=np.uint8)
        source = SourceBatch(textures, textures[..., 0] > 99, images, mattes, poses)
        instruments = Instruments(EvaluateSettings(), "synthetic")
        paint = _milliseconds(lambda: reposer.repose(source, poses, truths))
        rendered, real = Rendered(images, mattes, poses), Rendered(truths, mattes, poses)
        measure = _milliseconds(lambda: compare(rendered, real, instruments, range(BATCH)))
        kernel = _milliseconds(lambda: quality.ssim(images, truths, mattes))
    finally:
        torch.set_num_threads(threads)
    pairs, pictures = 256 + 85 + 96 + 128, 3 * 256 + 2 * 85 + 96 + 3 * 64 + 300
    return {"paint_ms": paint, "measure_ms": measure, "of_it_ssim_ms": kernel,
            "pairs_256_s": (pairs * paint + pictures * measure) / 1000}


def _milliseconds(work: Callable[[], object]) -> float:
    """Median processor time of one picture of a batch."""
    work()
    times = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / BATCH * 1000)
    return float(np.median(times))


if __name__ == "__main__":
    print(json.dumps({name: round(value, 1) for name, value in bench().items()}))
