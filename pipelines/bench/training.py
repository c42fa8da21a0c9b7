"""``make bench-train``: how fast training is, as shares of the machine's own peaks measured in the same run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from components.core.atomic import atomic_path
from pipelines.bench.steps import machine
from pipelines.display import table

DOCUMENT = Path("docs/benchmarks/training.md")
RESOLUTIONS = (64, 128, 256)
Metrics = dict[str, Any]
_ARITHMETIC = ("convolution", "matrix product")
_NO_GPU = """

On a CUDA GPU the same command measures bf16, and 512 px as well, and `make gpu` more; no GPU has been measured yet."""
_ROWS: dict[str, tuple[str, str]] = {
    "batch": ("images a step", ".0f"),
    "step_s": ("seconds a step, without GAN", ".3g"),
    "step_gan_s": ("seconds a step, with GAN and R1", ".3g"),
    "images_per_s": ("images/s, without GAN", ".3g"),
    "images_per_s_gan": ("images/s, with GAN and R1", ".3g"),
    "s_per_1000_images": ("seconds per 1,000 images, with GAN and R1", ".3g"),
    "gflop": ("GFLOP a step, without GAN", ".3g"),
    "gflop_gan": ("GFLOP a step, with GAN and R1", ".3g"),
    "gemm_gflops": ("matrix product, GFLOP/s at best", ".3g"),
    "conv_gflops": ("3 x 3 convolution forward and backward, GFLOP/s at best", ".3g"),
    "of_gemm": ("of the matrix product's peak, without GAN", ".0%"),
    "of_gemm_gan": ("of the matrix product's peak, with GAN", ".0%"),
    "of_conv": ("of the convolution's peak, without GAN", ".0%"),
    "of_conv_gan": ("of the convolution's peak, with GAN", ".0%"),
    "memory_gb": ("GB of memory at most", ".2f"),
    "waiting": ("share of the time waiting for data", ".1%"),
}


def main(arguments: list[str]) -> None:
    """Measure each resolution in a process of its own; a table for people, JSON on the last line for scripts."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.bench.training", description=__doc__)
    parser.add_argument("resolutions", nargs="*", type=int, metavar="SIDE",
                        help="default: 64 128 256, and 512 on a GPU")
    parser.add_argument("--write", type=Path, nargs="?", const=DOCUMENT, metavar="FILE",
                        help=f"also write the page ({DOCUMENT})")
    asked = parser.parse_args(arguments)
    results: list[Metrics] = []
    for side in asked.resolutions or RESOLUTIONS:
        results.append(_measure(side))
    if not asked.resolutions and results[0]["device"] == "cuda":
        results.append(_measure(512))
    table(machine(), ("", *[f"{one['resolution']} px" for one in results]), rows(results))
    table("Where the time of a step with the GAN goes", ("", *[f"{one['resolution']} px" for one in results]),
          kinds(results))
    if asked.write:
        with atomic_path(asked.write) as partial:
            partial.write_text(page(results), encoding="utf-8")
    print(json.dumps(results))


def _measure(side: int) -> Metrics:
    done = subprocess.run([sys.executable, "-m", "components.train.bench", str(side)], stdout=subprocess.PIPE,
                          check=True, text=True)
    found: Metrics = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(results: list[Metrics]) -> list[tuple[str, ...]]:
    """A row per metric, a column per resolution."""
    found = [(title, *[format(one[key], how) for one in results]) for key, (title, how) in _ROWS.items()]
    arithmetic = [one["of_gemm_gan"] / sum(one["profile"].get(kind, 0.0) for kind in _ARITHMETIC) for one in results]
    return [*found, ("of the matrix product's peak, with GAN, while it convolves or multiplies",
                     *[format(share, ".0%") for share in arithmetic])]


def kinds(results: list[Metrics]) -> list[tuple[str, ...]]:
    """A row per kind of operation with its share of the time."""
    return [(kind, *[format(one["profile"].get(kind, 0.0), ".0%") for one in results])
            for kind in results[0]["profile"]]


def page(results: list[Metrics]) -> str:
    """The document."""
    head = "| | " + " | ".join(f"{one['resolution']} px" for one in results) + " |\n|---"
    head += "|---" * len(results) + "|\n"
    body, where = ("".join(f"| {' | '.join(row)} |\n" for row in found) for found in (rows(results), kinds(results)))
    threads, cuda = results[0]["threads"], results[0]["device"] == "cuda"
    return f"""# How fast training is

`make bench-train` writes this page. Measured on: {machine()}{", one GPU, bf16" if cuda else f", {threads} thread(s)"}.
{"Processor time. " if threads == 1 and not cuda else ""}Shares compare with peaks measured in the same process.

{head}{body}
Default settings (`generator: warp`, width 16). A step with the GAN contains a sixteenth of R1's penalty, as in
training. Operations are those that torch's counter knows: convolutions and matrix products, forward and backward.

## Where the time goes

Share of a step with the GAN by kind of operation, by torch's profiler.

{head}{where}
Two things are missing to the peak: passes over memory, element by element (modulation, noise, bias, leaky ReLU and
skips around every convolution, the perceptual distance, and their gradients), and what convolutions of few channels
at full resolution lose.{"" if cuda else _NO_GPU}
"""


if __name__ == "__main__":
    main(sys.argv[1:])
