"""What a process computes on, as far as it costs: the GPUs it may use, else the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Devices:
    """`count` devices of one kind: a GPU's product name, or "cpu", which is the machine (or container) as one."""

    kind: str
    count: int

    @property
    def gpus(self) -> int:
        """How many of them are GPUs."""
        return 0 if self.kind == "cpu" else self.count

    def seconds(self, elapsed: float) -> float:
        """Device-seconds of `elapsed` seconds: all devices are taken while the process runs, used or not."""
        return self.count * elapsed


def find() -> Devices:
    """Devices of this process, by NVIDIA's own tool, without loading CUDA; `CUDA_VISIBLE_DEVICES` narrows them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Devices("cpu", 1)
    try:
        answer = subprocess.run([tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True,
                                timeout=_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return Devices("cpu", 1)  # the tool without a driver: an image made for GPUs on a machine that has none
    names = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        chosen = [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
        if all(name.isdecimal() for name in chosen):  # else they are chosen by their ids, which are not looked up
            names = [names[int(name)] for name in chosen if int(name) < len(names)]
        names = names[: len(chosen)]
    return Devices(names[0], len(names)) if names else Devices("cpu", 1)
