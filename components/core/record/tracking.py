"""The MLflow contract of every step.

The environment says where a step records, the same way on a laptop and under a KFP server with its MLflow plugin:

- ``MLFLOW_TRACKING_URI``: where; without it nothing is recorded;
- ``MLFLOW_RUN_ID``: a run made for this step: resume it;
- ``MLFLOW_PARENT_RUN_ID``: else start a child of this run; headline metrics go to the parent too;
- ``MLFLOW_EXPERIMENT_ID``: the experiment of a run that has no parent.

The client is used directly (no global active run), so that a step may run inside a notebook that has its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import devices
from components.core.atomic import atomic_path, sweep
from components.core.errors import MachineError, machine_errors
from components.core.masking import masked
from components.core.record import answering
from components.core.record.recorder import NoRecord, Recorder
from components.core.record.tracking_errors import shown_address
from components.core.stores.fetching import alone

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRACKING_URI = "MLFLOW_TRACKING_URI"
RUN_ID = "MLFLOW_RUN_ID"
PARENT_RUN_ID = "MLFLOW_PARENT_RUN_ID"
EXPERIMENT_ID = "MLFLOW_EXPERIMENT_ID"

STEP_TAG = "photoshoot.step"
"""Tag of a step's run: which step it is."""
ERROR_TAG = "photoshoot.error"
"""Tag of a run that failed, a step's or the pipeline's: why, in one line."""
DEVICE_KIND, DEVICE_COUNT = "photoshoot.device.kind", "photoshoot.device.count"
"""Tags of a step's run: what it computes on, known from its start."""
DEVICE_SECONDS = "cost/device_seconds"
"""Metric of a step's run: seconds it took times the devices it held, failed or not, all attempts together."""
_LONGEST_PARAM = 500
_SQLITE, _ARTIFACTS = "sqlite:///", "mlflow-artifacts"
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""What MLflow's own server sets for the store behind it; it has no other setting for that."""


def quieten() -> None:
    """Before MLflow is imported: no telemetry, and no word about each table that it creates."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


def client(uri: str | None = None, *, at_once: bool = False) -> MlflowClient:
    """An MLflow client for `uri` (default: the environment's), which masks secrets in what it is given to record.

    `at_once`: a server is asked first whether it answers, and given up on within seconds, where MLflow itself goes on
    trying for minutes, which a step wants and a person who waits does not.

    Raises `MachineError` when it cannot be reached.
    """
    quieten()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    from components.core.record.masked_client import MaskedClient

    uri = uri or os.environ.get(TRACKING_URI)
    if at_once and uri:
        answering.check(uri)
    try:
        _prepare(uri or "")
        return MaskedClient(uri)
    except (MlflowException, SQLAlchemyError) as error:  # the second for a file that is no database
        raise MachineError(f"MLflow cannot be used: {str(error).splitlines()[0]}", path=shown_address(uri),
                           remedy=f"check the server or the database file, and {TRACKING_URI}") from error


def _prepare(uri: str) -> None:
    """Let MLflow keep the files of runs in a SQLite database beside that, and not in ``./mlruns`` of wherever it is
    called; experiments that are there stay where they are. A database that is not there appears whole: MLflow cannot
    use one whose tables it was killed at making."""
    name = uri.removeprefix(_SQLITE)
    if not uri.startswith(_SQLITE) or not name or set("?:") & set(name):
        return
    file = Path(name).absolute()
    os.environ[_ARTIFACT_ROOT] = str(file.parent / _ARTIFACTS)
    sweep(file.parent, file.name)
    if _is_made(file):
        return
    with machine_errors(file), alone(file.with_name(f".{file.name}.making")):
        if not _is_made(file):
            from mlflow.tracking import MlflowClient

            with atomic_path(file) as partial:
                MlflowClient(f"{_SQLITE}{partial}").search_experiments(max_results=1)


def _is_made(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


@contextmanager
def step_run(step: str, *, name: str = "", parent: str = "", run_id: str = "") -> Iterator[Recorder]:
    """A recorder for one step, by the contract above; the run ends FINISHED, FAILED or KILLED with the step.

    `name`, `parent` and `run_id`, where given, come before what the environment says: a run's name (default: the
    step's), the run that it becomes a child of, a run to go on with.
    """
    if not os.environ.get(TRACKING_URI):
        yield NoRecord()
        return
    mlflow = client()
    above = parent or os.environ.get(PARENT_RUN_ID)
    run_id = run_id or ("" if parent else os.environ.get(RUN_ID, ""))
    resumed = bool(run_id)
    if resumed:
        mlflow.set_tag(run_id, STEP_TAG, step)
    else:
        run_id = _start_child(mlflow, step, name or step, above)
    recorder = MlflowRecorder(mlflow, run_id, above, resumed=resumed)
    taken, started = devices.find(), time.monotonic()
    mlflow.set_tag(run_id, DEVICE_KIND, taken.kind)
    mlflow.set_tag(run_id, DEVICE_COUNT, str(taken.count))
    status = "FAILED"
    try:
        yield recorder
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        with suppress(Exception):  # the store may be what failed; the error itself is passed on
            mlflow.set_tag(run_id, ERROR_TAG, " ".join(str(error).split())[:_LONGEST_PARAM])
        raise
    finally:
        # A step that is tried again resumes its run: what the attempts before took is paid for too.
        before = mlflow.get_run(run_id).data.metrics.get(DEVICE_SECONDS, 0.0)
        recorder.metrics({DEVICE_SECONDS: before + taken.seconds(time.monotonic() - started)})
        mlflow.set_terminated(run_id, status)


def attached(run_id: str) -> Recorder:
    """A recorder into a run that another process began and will end."""
    return MlflowRecorder(client(), run_id, os.environ.get(PARENT_RUN_ID), resumed=True)


def _start_child(mlflow: MlflowClient, step: str, name: str, parent: str | None) -> str:
    if parent:
        experiment = mlflow.get_run(parent).info.experiment_id
    else:
        experiment = os.environ.get(EXPERIMENT_ID, "0")
    tags = {STEP_TAG: step} | ({"mlflow.parentRunId": parent} if parent else {})
    return str(mlflow.create_run(experiment, run_name=name, tags=tags).info.run_id)


@contextmanager
def nested_run(recorder: Recorder, name: str, run_id: str | None = None) -> Iterator[Recorder]:
    """A recorder for a part of a step, such as a trial: a child of the step's run, or the run `run_id` again.

    Where the step records nothing, neither does this. The run ends FINISHED or FAILED with the block, KILLED when it
    is interrupted.
    """
    if not isinstance(recorder, MlflowRecorder):
        yield NoRecord()
        return
    nested = recorder.nested(name, run_id)
    status = "FAILED"
    try:
        yield nested
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        nested.end(status)


class MlflowRecorder:
    """Records into one MLflow run; headline metrics into its parent as well."""

    def __init__(self, mlflow: MlflowClient, run_id: str, parent_id: str | None = None, *,
                 resumed: bool = False) -> None:
        self.run_id = run_id
        self._resumed = resumed
        self._mlflow = mlflow
        self._parent_id = parent_id

    def nested(self, name: str, run_id: str | None = None) -> MlflowRecorder:
        """A recorder of a child run of this one; `run_id` is one that was begun before."""
        resumed = run_id is not None
        if run_id is None:
            experiment = self._mlflow.get_run(self.run_id).info.experiment_id
            tags = {"mlflow.parentRunId": self.run_id}
            run_id = str(self._mlflow.create_run(experiment, run_name=name, tags=tags).info.run_id)
        return MlflowRecorder(self._mlflow, run_id, self.run_id, resumed=resumed)

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        self._mlflow.set_terminated(self.run_id, status)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters, flattened with dots; one request for all.

        A run that is gone on with keeps those that it has: MLflow does not let them change (another device, say).
        """
        from mlflow.entities import Param

        known = self._mlflow.get_run(self.run_id).data.params if self._resumed else {}
        flat = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in flatten(values).items() if key not in known]
        self._mlflow.log_batch(self.run_id, params=flat)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics in one request (a request costs about 10 ms, whatever it holds)."""
        self._metrics(self.run_id, values, step)

    def headline(self, values: Mapping[str, float]) -> None:
        """Log metrics here and on the parent run."""
        self._metrics(self.run_id, values, None)
        if self._parent_id:
            self._metrics(self._parent_id, values, None)

    def image(self, key: str, image: np.ndarray, step: int | None = None) -> None:
        """Log a picture; with `step` MLflow's UI shows a slider."""
        if step is None:
            self._mlflow.log_image(self.run_id, image, artifact_file=f"{key}.png")
        else:
            self._mlflow.log_image(self.run_id, image, key=key, step=step)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or a folder with all that is in it."""
        log = self._mlflow.log_artifacts if path.is_dir() else self._mlflow.log_artifact
        log(self.run_id, str(path), folder)

    def dataset(self, name: str, source: str, digest: str, context: str) -> None:
        """Log a data set input of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # MLflow keeps at most 36 characters of a digest.
        source = json.dumps({"uri": masked(source)})
        entity = Dataset(name=name, digest=digest[:36], source_type="local", source=source)
        self._mlflow.log_inputs(self.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])

    def logged(self, prefix: str) -> int:
        """Last step of which metrics whose names begin with `prefix` are there already, by an earlier process; or 0."""
        if not self._resumed:
            return 0
        names = [name for name in self._mlflow.get_run(self.run_id).data.metrics if name.startswith(prefix)]
        return max((metric.step for name in names for metric in self._mlflow.get_metric_history(self.run_id, name)),
                   default=0)

    def _metrics(self, run_id: str, values: Mapping[str, float], step: int | None) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._mlflow.log_batch(run_id, metrics=[Metric(k, float(v), now, step or 0) for k, v in values.items()])


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` -> ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
