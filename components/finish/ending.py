"""How a run ended, from KFP's word and from what its steps recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.core.record import tracking
from components.core.record.tracking_errors import tracking_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

_ENDED_WELL = {"SUCCEEDED", "COMPLETE", "CACHED"}
"""KFP's documented word, and those of its metadata store, which the backend of 2.17 passes on."""
_PARENT_TAG = "mlflow.parentRunId"
_LONGEST = 400
_MOST_RUNS = 1000


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    name: str
    run: str
    """Its id on Kubeflow."""
    succeeded: bool
    reason: str = ""
    """Why it failed, in one line, as far as anybody said."""
    version: str = ""
    """What was registered: name, number, verdict."""
    seconds: float = 0.0
    """Since the MLflow run began; 0 without one."""

    @staticmethod
    def of(status: Mapping[str, Any], name: str, run: str) -> Ending:
        """From KFP's final status alone."""
        error = status.get("error") or {}
        said = str(error.get("message") or status.get("error_message") or "")
        return Ending(name, run, str(status.get("state")) in _ENDED_WELL, one_line(said))

    @property
    def text(self) -> str:
        """For a person, in one message."""
        took = f" after {self.seconds / 60:.0f} min" if self.seconds >= 60 else ""
        if self.succeeded:
            return f"photoshoot run {self.name} succeeded{took}" + (f": {self.version}" if self.version else "")
        reason = self.reason or "its log says why"
        return (f"photoshoot run {self.name} failed{took}: {reason} -- `photoshoot retry {self.run}` goes on from what "
                "is done")


def close(ending: Ending) -> Ending:
    """End the MLflow run that is the parent of the steps' (if the environment names one), with the reason, and those
    of steps that could not do it themselves. Returns the ending with what the steps recorded.

    Raises `MachineError` when MLflow does not answer or refuses.
    """
    parent = os.environ.get(tracking.PARENT_RUN_ID)
    if not parent or not os.environ.get(tracking.TRACKING_URI):
        return ending
    with tracking_errors(refusals=True):
        mlflow = tracking.client()
        run = mlflow.get_run(parent)
        steps = mlflow.search_runs([run.info.experiment_id], f"tags.`{_PARENT_TAG}` = '{parent}'",
                                   max_results=_MOST_RUNS)
        now = int(time.time() * 1000)
        ending = replace(ending, seconds=(now - run.info.start_time) / 1000, version=_version(mlflow, steps))
        # The metadata store does not hear of a pod that vanished; a registered version is proof of success.
        ending = replace(ending, succeeded=ending.succeeded or _registered(steps))
        if not ending.succeeded:
            ending = replace(ending, reason=ending.reason or why(steps))
        for step in steps:
            if step.info.status == "RUNNING":
                mlflow.set_terminated(step.info.run_id, "KILLED", end_time=now)
        mlflow.set_tag(parent, tracking.ERROR_TAG, "" if ending.succeeded else ending.reason)
        mlflow.set_terminated(parent, "FINISHED" if ending.succeeded else "FAILED", end_time=now)
    return ending


def why(steps: Sequence[Run]) -> str:
    """Which steps have no run that ended well, and what the newest run of each says."""
    newest: dict[str, Run] = {}
    done = {_step(run) for run in steps if run.info.status == "FINISHED"}
    for run in sorted(steps, key=lambda one: one.info.start_time):
        if _step(run) and _step(run) not in done:
            newest[_step(run)] = run
    said = [f"{step}: {run.data.tags.get(tracking.ERROR_TAG) or 'its pod went away'}" for step, run in newest.items()]
    return one_line("; ".join(said))


def one_line(text: str) -> str:
    """Text without line breaks, not too long for a message."""
    return " ".join(text.split())[:_LONGEST]


def _registered(steps: Sequence[Run]) -> bool:
    return any(_step(run) == "register" and run.info.status == "FINISHED" for run in steps)


def _version(mlflow: Any, steps: Sequence[Run]) -> str:
    for run in steps:
        if _step(run) == "register":
            for found in mlflow.search_model_versions(f"run_id = '{run.info.run_id}'"):
                return f"{found.name} {found.version}: {found.tags.get('verdict', '')}".removesuffix(": ")
    return ""


def _step(run: Run) -> str:
    return str(run.data.tags.get(tracking.STEP_TAG, ""))
