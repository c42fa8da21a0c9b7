"""``make bench``: the speed of each step as ratios to a floor or a reference measured in the same run."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable

from pipelines.display import table


def _synthesize() -> dict[str, float]:
    from components.synthesize.bench import bench

    return bench()


def _preprocess() -> dict[str, float]:
    from components.preprocess.bench import bench

    return bench()


BENCHES: dict[str, Callable[[], dict[str, float]]] = {"synthesize": _synthesize, "preprocess": _preprocess}


def main(names: list[str]) -> None:
    """Run the benches named (default: all); a table for people, JSON on the last line for scripts."""
    results = {name: BENCHES[name]() for name in (names or BENCHES)}
    rows = [(f"{name}: {key}", f"{value:.3g}") for name, figures in results.items() for key, value in figures.items()]
    table(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores", ("figure", "value"), rows)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
