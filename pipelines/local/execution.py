"""Run the pipeline on this machine, in containers or without, and follow it.

KFP's local runner works in a child process of its own session: its output goes to a log file, it is followed through
the events that steps append to a file, and when this process is interrupted the whole group ends with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.core import progress
from components.core.errors import MachineError, PhotoshootError, machine_errors
from components.core.record import step, tracking
from components.core.settings import Settings
from components.core.stores.storage import is_remote, mirror, open_location
from pipelines.containers.execution import Limits, containers
from pipelines.home.folder import Home
from pipelines.home.leftovers import OUTPUTS_FILE as OUTPUTS_FILE
from pipelines.home.photos import folder_digest
from pipelines.processes import ended_with_us
from pipelines.steps import step_of

Event = dict[str, Any]

EVENTS_FILE = "events.jsonl"
LOG_FILE = "log.txt"
JOB_FILE = "job.json"
TRAINING, TUNING = "training", "tuning"
_POLL_S = 0.1
_TASKS_AT_ONCE = 2
"""Of one fan-out: what KFP's local runner allows."""


def run_steps(
    settings: Settings, photos: str | None, home: Home, folder: Path, parent_run: str,
    on_event: Callable[[Event], None], pipeline: str = TRAINING, limits: Limits | None = None,
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
        limits: Run each step in its container, which may take this much; None: without containers.

    Raises:
        PhotoshootError: A step failed; what it said, or where its log is.
        KeyboardInterrupt: Interrupted; the steps have ended.
    """
    job = {
        "pipeline": pipeline,
        "parent": os.getpid(),
        "settings": settings.to_tree(),
        "photos": photos,
        "photos_digest": folder_digest(Path(photos)) if photos else "",
        "pipeline_root": str(home.pipeline_root),
        "cache": str(home.cache),
        "home": str(home.root),
        "cached_as": home.cached_as,
        "outputs": str(folder / OUTPUTS_FILE),
    }
    with contextlib.ExitStack() as while_it_runs:
        if limits is not None:
            engine = containers(settings, photos, home, folder / EVENTS_FILE, folder / LOG_FILE, limits)
            job["containers"] = while_it_runs.enter_context(engine).to_tree()
        return _execute(job, home, folder, parent_run, on_event)


def _execute(job: dict[str, Any], home: Home, folder: Path, parent_run: str, on_event: Callable[[Event], None]
             ) -> dict[str, Path]:
    events = folder / EVENTS_FILE
    with machine_errors(folder):
        (folder / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
        events.touch()
        log = open(folder / LOG_FILE, "ab")  # noqa: SIM115  # outlives this block: the child and its containers add to it
    environment = os.environ | {
        progress.PROGRESS_FILE: str(events),
        step.STATE: str(home.state),
        step.AT_ONCE: str(_TASKS_AT_ONCE),
        tracking.TRACKING_URI: home.tracking_uri,
        tracking.PARENT_RUN_ID: parent_run,
        step.STUDIES: home.studies_url,
    }
    environment.pop(tracking.RUN_ID, None)
    with log:
        child = subprocess.Popen(
            [sys.executable, "-m", "pipelines.local.runner", str(folder / JOB_FILE)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )
    failure: Event | None = None
    under_way: dict[str, Event] = {}
    with ended_with_us(child):
        for event in _follow(events, child):
            if "state" in event:
                under_way.pop(event["step"], None)
                if failure and failure["step"] == event["step"]:  # it was tried again
                    failure = None
            if event.get("state") == "started":
                under_way[event["step"]] = event
            elif event.get("state") == "failed":
                failure = event
            on_event(event)
    if child.returncode != 0:
        raise _failure(failure, list(under_way), folder / LOG_FILE)
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


def _failure(event: Event | None, under_way: list[str], log: Path) -> PhotoshootError:
    if event is None and under_way:
        return MachineError(f"step {step_of(under_way[-1])} was killed, perhaps because memory ran out", path=log,
                            remedy="run the same command again to resume")
    if event and "error" in event:
        return PhotoshootError.from_json(event["error"])
    what = f"step {event['step']} failed: {event['bug']}" if event else "the pipeline failed before its first step"
    return PhotoshootError(what, path=log, remedy="see the log (--debug prints it)")
