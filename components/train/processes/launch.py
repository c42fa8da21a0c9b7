"""Several processes of one machine on one training, by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import devices
from components.core.errors import MachineError
from components.core.record.recorder import Recorder
from components.core.stores.storage import address
from components.train.processes.worker import AGENT, Job, first_failure, summary_of

if TYPE_CHECKING:
    from components.core.settings import TrainSettings
    from components.train.loop import TrainSummary

_GRACE_S = 15.0


def processes_wanted(settings: TrainSettings) -> int:
    """Processes on this machine: `train.processes`, or one for each GPU that may be used."""
    if settings.processes:
        return settings.processes
    return max(devices.find().gpus, 1) if settings.device in ("auto", "cuda") else 1


def launch(people: Path | str, identities: Path, out: Path, settings: TrainSettings, *, state: Path | str | None,
           recorder: Recorder, processes: int) -> TrainSummary:
    """`train` by that many processes of this machine; they end when this one does, however it ends.

    Raises what the process that failed first raised, `MachineError` where it could not say.
    """
    with tempfile.TemporaryDirectory() as report:
        job = Job(address(people), str(identities), str(out), settings.model_dump_json(),
                  address(state or out.parent / "state"), report, getattr(recorder, "run_id", ""))
        file = Path(report) / "job.json"
        file.write_text(json.dumps(asdict(job)), encoding="utf-8")
        # The launcher's own rendezvous at a free port of this machine; nothing listens elsewhere.
        command = [sys.executable, "-m", "components.train.processes.worker", AGENT, "--nnodes=1",
                   f"--nproc-per-node={processes}", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0",
                   "--local-addr=127.0.0.1", "-m", "components.train.processes.worker", str(file)]
        threads = str(max((os.cpu_count() or 1) // processes, 1))
        agent = subprocess.Popen(command, env={"OMP_NUM_THREADS": threads, **os.environ})
        try:
            code = agent.wait()
        except BaseException:
            _end(agent)
            raise
        if code:
            raise first_failure(report) or MachineError(
                f"a training process exited with code {code}", remedy="see the log above")
        return summary_of(report)


def _end(agent: subprocess.Popen[bytes]) -> None:
    agent.terminate()  # torchrun ends its processes
    try:
        agent.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()
