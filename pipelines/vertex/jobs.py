"""A run on Vertex AI from its start to its end: submitted, followed, and told why it failed."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.core.errors import InputError
from pipelines.display import PipelineDisplay
from pipelines.kubeflow.follow import POLL_S, RunFailed, StepState, step_states, steps_in, to_its_end
from pipelines.kubeflow.submit import Order, named
from pipelines.steps import STEPS, TASK_STEP, step_of
from pipelines.vertex.bearing import Borne
from pipelines.vertex.document import pipeline_spec, refuse_unpushed
from pipelines.vertex.server import ENDED, LABEL, Vertex

_STATE = "PIPELINE_STATE_"
_LONGEST_ID = 128
_TASKS = {*STEPS, *TASK_STEP}
_TASK_STATES = {"SKIPPED": "SUCCEEDED", "CANCEL_PENDING": "RUNNING", "CANCELLING": "RUNNING", "CANCELLED": "CANCELED"}
"""Vertex AI's words for states of tasks, in KFP's. It says SKIPPED of what was taken from the cache."""
_NOT_BEGUN = {"NOT_TRIGGERED", "STATE_UNSPECIFIED"}


@dataclass(frozen=True)
class _Task:
    """A task with the names that KFP's API gives its fields."""

    display_name: str
    state: str | None
    start_time: datetime | None
    end_time: datetime | None


def request(order: Order, borne: Borne, root: str) -> dict[str, Any]:
    """The job to create, as Vertex AI's API has it. Raises `InputError` for photos, images or a root that it cannot
    reach."""
    if not re.fullmatch(r"gs://[^/]+(/.*)?", root):
        raise InputError(f"--root {root}: not gs://bucket/prefix" if root else "no place for artifacts given",
                         remedy="--root gs://bucket/prefix, or vertex: {root: ...} in the profile")
    spec = pipeline_spec(order.settings, borne, order.photos, order.registry)
    refuse_unpushed(spec)
    body: dict[str, Any] = {
        "displayName": named(order).name,
        "pipelineSpec": spec,
        "labels": {LABEL: _label(order.settings.preset), **borne.vertex.labels},
        "runtimeConfig": {"gcsOutputDirectory": root, "parameterValues": {}},
    }
    if borne.service_account:
        body["serviceAccount"] = borne.service_account
    if borne.vertex.network:
        body["network"] = borne.vertex.network
    return body


def submit(server: Vertex, body: Mapping[str, Any]) -> dict[str, Any]:
    """Start the run; returns the job. Raises `PhotoshootError` subclasses: a service that refuses or is gone."""
    slug = re.sub(r"[^a-z0-9]+", "-", str(body["displayName"]).lower()).strip("-")
    ending = f"-{secrets.token_hex(4)}"
    head = slug if slug[:1].isalpha() else f"run-{slug}"
    return server.create(head[:_LONGEST_ID - len(ending)].rstrip("-") + ending, body)


def follow(server: Vertex, name: str, display: PipelineDisplay, *, poll: float = POLL_S, wait: float | None = None
           ) -> dict[str, Any]:
    """Show a run's steps until it has ended; returns it in its last state.

    Args:
        server: The connection, with the patience that lost connections deserve.
        name: The job.
        display: Told what the steps do.
        poll: Seconds between two looks.
        wait: Seconds after which to stop following; None follows to the end.

    Raises:
        StillRunning: `wait` is over, or the service cannot be asked any more; the run goes on.
        InputError: No such run.
    """
    return to_its_end(name, lambda: server.get(name), lambda job: (state(job), states_of(job)), ENDED, display,
                      poll=poll, wait=wait)


def conclude(job: Mapping[str, Any], link: str) -> None:
    """Return if the run succeeded. Raises `RunFailed`, which says what failed, why, and how to go on."""
    if state(job) == "SUCCEEDED":
        return
    again = f"see {link}; the same `photoshoot run` again takes what is done from the cache"
    if state(job) == "CANCELLED":
        raise RunFailed(f"run {job['displayName']} was cancelled", remedy=again)
    raise RunFailed(f"run {job['displayName']}: {_why(job)}", remedy=again)


def state(job: Mapping[str, Any]) -> str:
    """A job's state, in one word: QUEUED, PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED or PAUSED."""
    return str(job.get("state", "UNSPECIFIED")).removeprefix(_STATE)


def steps_of(job: Mapping[str, Any]) -> tuple[str, ...]:
    """The steps that a job has, in the pipeline's order. Raises `InputError` where it is none of ours."""
    found = steps_in(job.get("pipelineSpec") or {})
    if not found:
        raise InputError(f"run {job.get('name')} was not made by photoshoot",
                         remedy="`photoshoot runs --vertex` lists those that were")
    return found


def states_of(job: Mapping[str, Any]) -> dict[str, StepState]:
    """State of each step that has begun."""
    return step_states([_task(task) for task in _tasks(job)])


def seconds(job: Mapping[str, Any]) -> float:
    """Seconds that a run has taken so far."""
    begun = moment(job.get("createTime"))
    end = moment(job.get("endTime"))
    until = end.timestamp() if end else time.time()
    return round(max(until - begun.timestamp(), 0.0), 1) if begun else 0.0


def moment(text: Any) -> datetime | None:
    """A time of the API (RFC 3339, up to nanoseconds)."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
    except ValueError:
        return None


def _task(detail: Mapping[str, Any]) -> _Task:
    said = str(detail.get("state", "STATE_UNSPECIFIED"))
    start = moment(detail.get("startTime")) or moment(detail.get("createTime"))
    end = start if said == "SKIPPED" else moment(detail.get("endTime"))
    return _Task(str(detail.get("taskName", "")), None if said in _NOT_BEGUN else _TASK_STATES.get(said, said), start,
                 end)


def _tasks(job: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((job.get("jobDetail") or {}).get("taskDetails") or [])


def _why(job: Mapping[str, Any]) -> str:
    """The steps that failed, with what the service says of each: of a task in a loop before the loop around it."""
    failed = [task for task in _tasks(job) if task.get("state") == "FAILED"]
    ours = [task for task in failed if task.get("taskName") in _TASKS]
    parts: dict[str, str] = {}
    for task in ours:
        said = _message(task.get("error")) or _message(job.get("error")) or "its log says why"
        parts.setdefault(step_of(str(task["taskName"])), said)
    if parts:
        return "; ".join(f"{step} failed: {said}" for step, said in parts.items())
    reasons = [_message(job.get("error")), *(_message(task.get("error")) for task in failed)]
    return next((text for text in reasons if text), "failed before a step began")


def _message(error: Any) -> str:
    """The message of a google.rpc.Status, in one line."""
    text = error.get("message", "") if isinstance(error, dict) else ""
    return " ".join(str(text).split())[:600]


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63] or "own"
