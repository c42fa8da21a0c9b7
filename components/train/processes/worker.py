"""One of several processes of a training: what torchrun starts. ``python -m components.train.processes.worker JOB``.

JOB is JSON (see `Job`) or the name of a file with it. Below the job's `report`, a folder or gs:// address, the first
process leaves ``summary.json``, and each that fails ``failure-<rank>.json``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import masking
from components.core.artifacts.files import SUMMARY
from components.core.errors import MachineError, PhotoshootError
from components.core.record.recorder import NoRecord, Recorder
from components.core.stores.storage import is_remote, open_location
from components.core.with_parent import end_with_parent

if TYPE_CHECKING:
    from components.train.loop import TrainSummary

FAILURE = "failure-"
AGENT = "--agent"


@dataclass(frozen=True)
class Job:
    """What to train; every place is a folder or a gs:// address."""

    people: str
    identities: str
    out: str
    settings: str
    """TrainSettings as JSON."""
    state: str
    report: str
    run_id: str = ""
    """MLflow run to record in."""


def run(job: Job) -> None:
    """This process' share of a training. Raises what `train` raises, after it has left word of it."""
    from components.core.settings import TrainSettings
    from components.train.loop import train

    report, rank = open_location(job.report), int(os.environ.get("RANK", "0"))
    settings = TrainSettings.model_validate_json(job.settings)
    try:
        with tempfile.TemporaryDirectory() as folder:
            identities, out = Path(job.identities), Path(job.out)
            if is_remote(job.identities):
                identities = Path(folder) / "identities"
                open_location(job.identities).download(identities)
            if is_remote(job.out):
                out = Path(folder) / "model"
            summary = train(job.people, identities, out, settings, state=job.state, recorder=_recorder(job, rank))
            if rank == 0:
                if is_remote(job.out):
                    open_location(job.out).upload(out)
                report.write_bytes(SUMMARY, json.dumps(asdict(summary)).encode())
    except Exception as error:
        failure = error if isinstance(error, PhotoshootError) else MachineError(
            f"process {rank}: {type(error).__name__}: {error}", remedy="see the log for the traceback")
        report.write_bytes(f"{FAILURE}{rank}.json", json.dumps([time.time(), failure.to_json()]).encode())
        raise


def first_failure(report: str) -> PhotoshootError | None:
    """What the process that failed first left word of: the others fail because it is gone."""
    place = open_location(report)
    failures = [json.loads(place.read_bytes(name)) for name in place.list(FAILURE)]
    return PhotoshootError.from_json(min(failures)[1]) if failures else None


def summary_of(report: str) -> TrainSummary:
    """The summary that the first process left. Raises `InputError` where there is none."""
    from components.train.loop import TrainSummary

    return TrainSummary(**json.loads(open_location(report).read_bytes(SUMMARY)))


def _recorder(job: Job, rank: int) -> Recorder:
    if not job.run_id or rank:
        return NoRecord()
    from components.core.record import tracking

    return tracking.attached(job.run_id)


def main(arguments: list[str]) -> None:
    """Be a process of a training, or with --agent torchrun itself, which then ends with whoever started it."""
    end_with_parent()
    if arguments[0] == AGENT:
        from torch.distributed.run import main as torchrun

        torchrun(arguments[1:])
        return
    text = arguments[0] if arguments[0].startswith("{") else Path(arguments[0]).read_text(encoding="utf-8")
    try:
        run(Job(**json.loads(text)))
    except PhotoshootError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    masking.install()
    main(sys.argv[1:])
