"""Run the pipeline on this machine, without containers, and follow it.

KFP's local runner works in a child process of its own session: its output goes to a log file, it is followed through
the events that steps append to a file, and when this process is interrupted the whole group ends with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.core import progress, step, tracking
from components.core.errors import InputError, PhotoshootError, machine_errors
from components.core.settings import Settings
from components.core.storage import is_remote, mirror, open_location
from pipelines.home import Home
from pipelines.processes import ended_with_us

Event = dict[str, Any]

EVENTS_FILE = "events.jsonl"
LOG_FILE = "log.txt"
JOB_FILE = "job.json"
OUTPUTS_FILE = "outputs.json"
TRAINING, TUNING = "training", "tuning"
_POLL_S = 0.1


def run_steps(
    settings: Settings, photos: str | None, home: Home, folder: Path, parent_run: str,
    on_event: Callable[[Event], None], pipeline: str = TRAINING,
) -> dict[str, Path]:
    """Execute a pipeline; return its artifact folders by name (people, identities, model, evaluation, version).

    Args:
        settings: What each step does.
        photos: Absolute folder of photos; None synthesises people.
        home: Where artifacts, cache and checkpoints live.
        folder: This run's own folder (log, events).
        parent_run: MLflow run that the steps become children of.
        on_event: Called with every event of the steps, in order.
        pipeline: `TRAINING`, or `TUNING`, which ends with the loss weights (people, identities, weights).

    Raises:
        PhotoshootError: A step failed; what it said, or where its log is.
        KeyboardInterrupt: Interrupted; the steps have ended.
    """
    job = {
        "pipeline": pipeline,
        "settings": settings.to_tree(),
        "photos": photos,
        "photos_digest": folder_digest(Path(photos)) if photos else "",
        "pipeline_root": str(home.pipeline_root),
        "cache": str(home.cache),
        "outputs": str(folder / OUTPUTS_FILE),
    }
    events = folder / EVENTS_FILE
    with machine_errors(folder):
        (folder / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
        events.touch()
        log = open(folder / LOG_FILE, "wb")  # noqa: SIM115  # outlives this block: the child writes to it
    environment = os.environ | {
        progress.PROGRESS_FILE: str(events),
        step.STATE: str(home.state),
        tracking.TRACKING_URI: home.tracking_uri,
        tracking.PARENT_RUN_ID: parent_run,
        step.STUDIES: home.studies_url,
    }
    environment.pop(tracking.RUN_ID, None)
    with log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.local_runner", str(folder / JOB_FILE)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )
    failure: Event | None = None
    with ended_with_us(child):
        for event in _follow(events, child):
            if event.get("state") == "failed":
                failure = event
            on_event(event)
    if child.returncode != 0:
        raise _failure(failure, folder / LOG_FILE)
    outputs = json.loads((folder / OUTPUTS_FILE).read_text(encoding="utf-8"))
    return {name: Path(path) for name, path in outputs.items()}


def photos_here(photos: Path, home: Home) -> Path:
    """The folder of photos on this machine: of a gs:// prefix a copy, of which only what changed is fetched anew.

    Raises `InputError` when there is nothing at the address, `MachineError` when it does not answer.
    """
    if not is_remote(photos):
        return photos.absolute()
    place = open_location(photos)
    copy = home.state / "photos" / hashlib.sha256(place.uri.encode()).hexdigest()[:16]
    mirror(place, copy)
    return copy


def folder_digest(folder: Path) -> str:
    """Fingerprint of a photo folder by names, sizes and modification times of its files (not their content)."""
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, remedy="give --photos a folder of photos")
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _follow(events: Path, child: subprocess.Popen[bytes]) -> Iterator[Event]:
    """Yield events as they are appended, until the child has ended and all are read."""
    with open(events, encoding="utf-8") as file:
        pending = ""
        while True:
            ended = child.poll() is not None
            for chunk in file:
                pending += chunk
                if pending.endswith("\n"):
                    yield json.loads(pending)
                    pending = ""
            if ended:
                return
            time.sleep(_POLL_S)


def _failure(event: Event | None, log: Path) -> PhotoshootError:
    if event and "error" in event:
        return PhotoshootError.from_json(event["error"])
    what = f"step {event['step']} failed: {event['bug']}" if event else "the pipeline failed before its first step"
    return PhotoshootError(what, path=log, remedy="the log has the whole story (--debug prints it)")
