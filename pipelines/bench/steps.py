"""``make bench``: the speed of each step as ratios to a floor or a reference measured in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from components.core.atomic import atomic_path
from pipelines.display import table


def _synthesize() -> dict[str, float]:
    from components.synthesize.bench import bench

    return bench()


def _preprocess() -> dict[str, float]:
    from components.preprocess.bench.photos import bench

    return bench()


def _estimation() -> dict[str, float]:
    from pipelines.bench.estimation import bench

    return bench()


def _start() -> dict[str, float]:
    from pipelines.bench.start import bench

    return bench()


START, PREPROCESS, ESTIMATION, PEOPLE = "start", "preprocess", "estimation", "people"
BENCHES: dict[str, Callable[[], dict[str, float]]] = {
    "synthesize": _synthesize, PREPROCESS: _preprocess, ESTIMATION: _estimation,
    START: _start}
PAGES = {"data.md": (PREPROCESS, ESTIMATION, PEOPLE), "start.md": (START,)}
"""The pages that can be written, and the benches each is made of."""


def main(arguments: list[str]) -> None:
    """Run the benches named (default: all); a table for people, JSON on the last line for scripts."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.bench.steps", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join([*BENCHES, PEOPLE])}; default: all")
    parser.add_argument("--write", type=Path, metavar="FOLDER",
                        help="also write the pages that show a bench named: "
                             + "; ".join(f"{page} of {' and '.join(of)}" for page, of in PAGES.items()))
    asked = parser.parse_args(arguments)
    unknown = set(asked.names) - {*BENCHES, PEOPLE}
    if unknown:
        parser.error(f"no bench {sorted(unknown)[0]}")
    names = asked.names or [*BENCHES, PEOPLE]
    pages = [page for page, of in PAGES.items() if asked.write and set(of) & set(names)]
    names = [*dict.fromkeys([*names, *(name for page in pages for name in PAGES[page])])]
    results = {name: BENCHES[name]() for name in names if name in BENCHES}
    rows = [(f"{name}: {key}", f"{value:.3g}") for name, metrics in results.items() for key, value in metrics.items()]
    if rows:
        table(machine(), ("metric", "value"), rows)
    sizes: dict[int, dict[str, float]] = {}
    if PEOPLE in names:
        from components.preprocess.bench.people import COLUMNS, bench_people

        sizes = bench_people()
        table("A people data set by number of rows", ("", *[f"{size:,}" for size in sizes]),
              [(title, *[f"{metrics[key]:.3g}" for metrics in sizes.values()]) for key, title in COLUMNS.items()])
    for page in pages:
        text = (_start_page(results[START]) if page == "start.md"
                else _data_page(results[PREPROCESS], results[ESTIMATION], sizes))
        with atomic_path(asked.write / page) as partial:
            partial.write_text(text, encoding="utf-8")
    print(json.dumps({**results, **({PEOPLE: sizes} if sizes else {})}))


def machine() -> str:
    """What the metrics were measured on, in words."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = (line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name"))
        model = next((line.partition(":")[2].strip() for line in named), model)
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def _start_page(found: dict[str, float]) -> str:
    from pipelines.bench.start import RUNS, markdown

    return f"""# How long a command takes to answer

`python -m pipelines.bench.steps start --write docs/benchmarks` writes this page. Measured on: {machine()}.

From a cold start, in processes of their own: processor time on one thread, medians of {RUNS} rounds. Each is held
against a bare interpreter and against importing torch in the same round, since both depend on the machine; no picture
can be painted without torch. The registry is a SQLite file, as by default; with an MLflow server or PostgreSQL `shoot`
imports MLflow as well, which takes as long as torch.

{markdown(found)}"""


def _data_page(speed: dict[str, float], estimation: dict[str, float], sizes: dict[int, dict[str, float]]) -> str:
    from components.preprocess.bench.people import markdown

    return f"""# How fast the data is made and read

`python -m pipelines.bench.steps --write docs/benchmarks` writes this page. Measured on: {machine()}.

## Preprocessing

One core, photos of 768 x 1024 with pose maps, defaults otherwise. The floor is what no implementation can go below:
decoding the photo and its pose map, and encoding a person's six PNG files (crop, pose map, matte, texture, what was
seen of it, face), by the same functions at the same compression. Everything else counts against it: checks, crop,
resizing, texture, face alignment, perceptual hash, digests. GrabCut is counted apart. Processor time.

| | photos/s |
|---|---|
| floor | {speed["floor_per_s"]:.1f} |
| everything but GrabCut | {speed["photos_per_s"]:.1f} |
| with GrabCut | {speed["with_grabcut_per_s"]:.1f} |

Everything but GrabCut takes {speed["ratio_to_floor"]:.2f} times as long as the floor.

## People from plain photos

One core, a photo of a synthetic person 1024 px high; processor time, medians over four people. The matte comes on top
of the pose map.

| | ms a photo |
|---|---|
{_estimation_rows(estimation)}

## A people data set by its number of rows

Each size in a fresh process; MB is what that process grew by. A person is its crop, pose map, matte, texture map and
face, read and decoded at random. Pairs are computed from their number, never listed.

{markdown(sizes)}"""


def _estimation_rows(found: dict[str, float]) -> str:
    titles = {"map_ms": "person found, landmarks, fit, pose map", "matte_ms": "matte and the person's own colours",
              "grabcut_ms": "GrabCut at 256 px", "densepose_ms": "DensePose's pose map"}
    return "\n".join(f"| {titles[name]} | {value:.0f} |" for name, value in found.items())


if __name__ == "__main__":
    main(sys.argv[1:])
