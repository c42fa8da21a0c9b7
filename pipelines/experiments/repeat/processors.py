"""Kinds of machine that one machine can be: so many threads, vector instructions as on an older processor.

Libraries choose by themselves how they compute, by what the processor offers; each has a variable of its own that says
otherwise. `python -m pipelines.experiments.repeat.processors` prints what they chose.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.core.errors import InputError, MachineError

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # its matrix products; on AMD, MKL does not use AVX-512 anyway
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's, SciPy's and OpenCV's
}


@dataclass(frozen=True)
class Machine:
    """A kind of machine: its name, what it is in words, and what makes it so."""

    name: str
    title: str
    variables: Callable[[], dict[str, str]]
    """Environment variables that a process needs for it."""


def threads(count: int) -> dict[str, str]:
    """What makes every library compute with `count` threads."""
    return dict.fromkeys(_THREADS, str(count))


def avx2() -> dict[str, str]:
    """What makes every library compute as if the processor had AVX2 at most. Raises `InputError` on other processors
    than x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        raise InputError(f"a processor of kind {platform.machine()} has no AVX2", remedy="leave avx2 out of --machines")
    import cv2
    import numpy as np

    # NumPy and OpenCV want the names of what they are to leave out, as they call it.
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    numpy = [name for name in found if name.startswith("AVX512") or name == "X86_V4"]
    opencv = [name.strip("*?") for name in cv2.getCPUFeaturesLine().split() if "AVX512" in name]
    return _AVX2 | ({"NPY_DISABLE_CPU_FEATURES": " ".join(numpy)} if numpy else {}) | (
        {"OPENCV_CPU_DISABLE": ",".join(opencv)} if opencv else {})


PLAIN = "plain"
MACHINES = {machine.name: machine for machine in (
    Machine(PLAIN, "as the machine is", dict),
    Machine("one-thread", "one thread", lambda: threads(1)),
    Machine("two-threads", "two threads", lambda: threads(2)),
    Machine("avx2", "one thread, AVX2 at most", lambda: threads(1) | avx2()),
)}


def share(machine: Machine, parallel: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a machine; beside `parallel` - 1 others the plain one has its share of the threads, unless the
    environment says how many."""
    variables = machine.variables()
    if machine.name != PLAIN or parallel == 1 or "OMP_NUM_THREADS" in environment:
        return variables
    return variables | threads(max(len(os.sched_getaffinity(0)) // parallel, 1))


def seen_with(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the libraries choose in an environment; see `seen`. Raises `MachineError` where they do not start."""
    done = subprocess.run([sys.executable, "-m", __name__], env=dict(environment), capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MachineError(f"the libraries do not start with these variables: {last}", remedy="choose other --machines")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def seen() -> dict[str, Any]:
    """How the libraries compute in this process: threads, and the vector instructions or kind of processor."""
    import cv2
    import numpy as np
    import torch
    from threadpoolctl import threadpool_info

    numpy = np.show_config(mode="dicts")["SIMD Extensions"]
    opencv = [name.strip("*") for name in cv2.getCPUFeaturesLine().split() if not name.endswith("?")]
    blas = {str(pool["architecture"]) for pool in threadpool_info()
            if pool.get("internal_api") == "openblas" and "opencv" not in pool["filepath"]}
    return {
        "threads": torch.get_num_threads(), "opencv_threads": cv2.getNumThreads(),
        "torch": torch.backends.cpu.get_cpu_capability(),
        "numpy": [*numpy["baseline"], *numpy.get("found", [])][-1], "openblas": ", ".join(sorted(blas)),
        "opencv": opencv[-1] if opencv else "",
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(seen()))
