"""The MLflow run that the steps of a run on Kubeflow become children of.

Made where the submission runs, if MLFLOW_TRACKING_URI names the server of the steps. Without it the steps record runs
of their own (or those that Kubeflow's MLflow plugin makes), and nothing here does anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.core.record import tracking
from components.core.record.registry import Versions
from components.core.record.tracking_errors import tracking_errors
from components.core.settings import Settings
from pipelines.results.runs import ERROR_TAG, PARENT_TAG, RUN_TAG, prices_of, run_cost, settle

KFP_RUN, KFP_LINK = "photoshoot.kubeflow_run", "photoshoot.kubeflow_link"
_STATES = {"SUCCEEDED": "FINISHED", "CANCELED": "KILLED"}


def begin(settings: Settings, name: str, photos: str | None) -> str:
    """Start the run and return its id; empty without a tracking server."""
    with _mlflow() as mlflow:
        if mlflow is None:
            return ""
        found = mlflow.get_experiment_by_name(settings.experiment)
        experiment = found.experiment_id if found else mlflow.create_experiment(settings.experiment)
        tags = {RUN_TAG: name, "photoshoot.preset": settings.preset, "photoshoot.photos": photos or "synthetic"}
        run_id = str(mlflow.create_run(experiment, run_name=name, tags=tags).info.run_id)
        recorder = tracking.MlflowRecorder(mlflow, run_id)
        recorder.params(settings.to_tree())
        mlflow.log_text(run_id, settings.to_yaml(), "settings.yaml")
        return run_id


def name_run(run_id: str, kfp_run: str, link: str) -> None:
    """Note which run on Kubeflow it is."""
    with _mlflow() as mlflow:
        if mlflow is not None and run_id:
            mlflow.set_tag(run_id, KFP_RUN, kfp_run)
            mlflow.set_tag(run_id, KFP_LINK, link)


def end(kfp_run: str, state: str, error: str = "") -> dict[str, Any]:
    """End the MLflow run of a run on Kubeflow, and those of its steps that could not do it.

    Returns its id, the device-seconds of the steps by kind of device, and what they cost in words, as MLflow has them;
    nothing where there is no such run.
    """
    with _mlflow() as mlflow:
        found = mlflow and _find(mlflow, kfp_run)
        if not found:
            return {}
        run_id = str(found.info.run_id)
        mlflow.set_tag(run_id, ERROR_TAG, error)
        if found.info.status == "RUNNING":
            settle(mlflow, run_id, _STATES.get(state, "FAILED"), int(time.time() * 1000))
        cost = run_cost(mlflow, run_id, prices_of(found.data.params))
        mlflow.log_metric(run_id, tracking.DEVICE_SECONDS, cost.device_seconds)
        return {"mlflow_run_id": run_id, "device_seconds": cost.by_kind, "cost": str(cost)}


def registered(run_id: str) -> dict[str, str] | None:
    """The version that a run's registration made: name, number, verdict, and who is champion ("" for nobody). None
    without a server, for a run that registered nothing, or whose version an earlier run had made."""
    with _mlflow() as mlflow:
        if mlflow is None or not run_id:
            return None
        run = mlflow.get_run(run_id)
        asked = f"tags.`{PARENT_TAG}` = '{run_id}' and tags.`{tracking.STEP_TAG}` = 'register'"
        for step in mlflow.search_runs([run.info.experiment_id], asked):
            for found in mlflow.search_model_versions(f"run_id = '{step.info.run_id}'"):
                champion = Versions(found.name).champion()
                return {"name": str(found.name), "number": str(found.version),
                        "verdict": str(found.tags.get("verdict", "")), "champion": champion.number if champion else ""}
        return None


def again(kfp_run: str) -> None:
    """The run on Kubeflow was started again."""
    with _mlflow() as mlflow:
        found = mlflow and _find(mlflow, kfp_run)
        if found:
            mlflow.update_run(found.info.run_id, status="RUNNING")


def fail(run_id: str, error: str) -> None:
    """The submission failed: the MLflow run has nothing to wait for."""
    with _mlflow() as mlflow:
        if mlflow is not None and run_id:
            mlflow.set_tag(run_id, ERROR_TAG, error)
            mlflow.set_terminated(run_id, "FAILED")


def _find(mlflow: Any, kfp_run: str) -> Any:
    experiments = [found.experiment_id for found in mlflow.search_experiments()]
    found = mlflow.search_runs(experiments, f"tags.`{KFP_RUN}` = '{kfp_run}'", max_results=1)
    return found[0] if found else None


@contextmanager
def _mlflow() -> Iterator[Any]:
    """A client of the server that the environment names, or None; its errors in one line."""
    if not os.environ.get(tracking.TRACKING_URI):
        yield None
        return
    with tracking_errors(refusals=True):
        yield tracking.client(at_once=True)
