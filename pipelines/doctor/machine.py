"""This machine: Python, processor, memory, disk, and what torch computes on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pipelines.doctor.finding import Finding, ok, problem, warning

TORCH_S = 60.0
"""Torch is read from a slow disk, or many work on this machine: no reason to call it broken."""
_GIB = 1 << 30
_PYTHON = (3, 11), (3, 13)
_MEMORY = 4 * _GIB
_DISK_NEEDED, _DISK_WANTED = 1 * _GIB, 10 * _GIB
_SHARED_NEEDED = 512 << 20
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_CGROUP_USED = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))


def machine(home: Path) -> list[Finding]:
    """Python's version, processor cores, memory, the home folder and its disk."""
    return [python(), processor(), memory(), *disk(home)]


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this Python is one that the package is made for."""
    found, wanted = ".".join(map(str, version)), "3.11 or 3.12"
    if _PYTHON[0] <= version[:2] < _PYTHON[1]:
        return ok("Python", found, wanted)
    return problem("Python", found, wanted, "make the virtual environment with python3.11")


def processor() -> Finding:
    """Cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS")
    return ok("processor", f"{cores} cores, {platform.machine()}" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def memory(free: int | None = None) -> Finding:
    """Memory (bytes) that a process may still take, a container's limit counted."""
    free = _free_memory() if free is None else free
    if free is None:
        return ok("memory", "unknown on this system", f"{_gib(_MEMORY)} free")
    if free >= _MEMORY:
        return ok("memory", f"{_gib(free)} free", f"{_gib(_MEMORY)} free")
    return warning("memory", f"{_gib(free)} free", f"{_gib(_MEMORY)} free",
                   "close other programs, or lower train.batch and preprocess.resolution")


def disk(home: Path, free: int | None = None) -> list[Finding]:
    """Whether the home folder, or where it will be made, can be written and has room: `free` bytes, else what is
    found."""
    what, wanted = f"disk at {home}", f"{_gib(_DISK_WANTED)} free"
    there = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    if not there.is_dir():
        return [problem(what, f"{there} is a file", "a folder", "choose another --home")]
    trial = there / f".photoshoot-doctor-{os.getpid()}"
    try:
        trial.write_bytes(b"trial")
        trial.unlink()
        free = shutil.disk_usage(there).free if free is None else free
    except OSError as error:
        return [problem(what, error.strerror or str(error), "a folder that can be written",
                        "choose another --home, or change its permissions")]
    if free < _DISK_NEEDED:
        return [problem(what, f"{_gib(free)} free", wanted, "free some space, or choose another --home")]
    if free < _DISK_WANTED:
        return [warning(what, f"{_gib(free)} free", wanted,
                        "free some space: a run of thousands of photos may not fit")]
    return [ok(what, f"{_gib(free)} free, can be written", wanted)]


def shared_memory(folder: Path = Path("/dev/shm")) -> list[Finding]:
    """Room for the batches that data loader processes pass on."""
    wanted = f"{_gib(_SHARED_NEEDED)} free"
    mend = f"mount a larger {folder}: docker run --shm-size=2g, or shared_memory in the profile"
    try:
        free = shutil.disk_usage(folder).free
    except FileNotFoundError:
        return [ok("shared memory", f"no {folder} on this system")]
    if free < _SHARED_NEEDED:
        return [warning("shared memory", f"{_gib(free)} free", wanted, mend)]
    return [ok("shared memory", f"{_gib(free)} free", wanted)]


def torch_and_weights() -> list[Finding]:
    """Torch, its device and the networks that ship, in a process of its own: a broken CUDA can end a process."""
    command = [sys.executable, "-m", "pipelines.doctor.torch_probe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TORCH_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return [problem("torch", last, "torch that can be imported",
                        "pip install torch: the build for your GPU, or for the CPU")]
    found: Mapping[str, str | list[str]] = json.loads(done.stdout.splitlines()[-1])
    return [_device(found), *[problem("weights that ship", str(broken), "the digest on their card",
                                      "install the package anew, or make them with `make weights`, `make starter`")
                              for broken in found["broken"]],
            *([] if found["broken"] else [ok("weights that ship", f"{found['networks']} networks and the starter "
                                                                  "model, digests right")])]


def _device(found: Mapping[str, str | list[str]]) -> Finding:
    what = "torch and its device"
    text = f"torch {found['torch']} on {', '.join(found['gpus']) or 'the CPU'}"
    if not found["gpus"] and shutil.which("nvidia-smi") and _driver_sees_gpu():
        return problem(what, f"{text}, although there is a GPU", "the GPU",
                       "install torch's build for this driver's CUDA")
    return ok(what, text)


def _driver_sees_gpu() -> bool:
    from components.core import devices

    return devices.find().gpus > 0


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next(int(one.split()[1]) * 1024 for one in lines if one.startswith("MemAvailable"))
    limit, used = _first_number(_CGROUP_LIMITS), _first_number(_CGROUP_USED)
    return free if limit is None or used is None else min(free, max(0, limit - used))


def _first_number(paths: tuple[Path, ...]) -> int | None:
    for path in paths:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB"
