"""What a pipeline run left behind, for comparing it: from the home folder, or from MLflow for runs made elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.artifacts import evaluation as artifact
from components.core.artifacts.files import MAYBE_NUMBER, METRIC, NUMBER, Each, misfit
from components.core.artifacts.model import read_curves
from components.core.atomic import atomic_folder
from components.core.documents import MOST_SUMMARY, MOST_YAML, Unreadable, json_object, read_bytes, yaml_value
from components.core.errors import DataError, InputError
from components.core.record import tracking
from components.core.record.registry import Versions
from components.core.settings.tree import RENAMED
from pipelines.home.folder import Home
from pipelines.results.differences import Judged
from pipelines.results.files import RECORDS, RESULT_FILE, SETTINGS_FILE
from pipelines.results.runs import PARENT_TAG, RUN_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_RESULT = {"metrics": Each(METRIC), "model_version": str, "verdict": str, "seconds": NUMBER, "people?": dict,
           "gate?": Each({"name": str, "passed": bool, "value": MAYBE_NUMBER, "bound": NUMBER}, lists=True)}
_VERSION = re.compile(r"v(\d+)|@([\w.-]+)")


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its result, its settings as flat keys, and the folder with its records (if it kept any)."""

    name: str
    mlflow_run_id: str
    experiment_id: str
    folder: Path
    result: dict[str, Any]
    settings: dict[str, Any]

    @cached_property
    def judged(self) -> Judged:
        """Metrics and pairs. Raises `DataError` for records that were cut short."""
        path = self.folder / RECORDS / artifact.METRICS
        if not path.is_file():  # a run of a version that did not keep them
            return Judged({}, self.result["metrics"], [])
        try:
            evaluation = artifact.read_metrics(path.parent)
            return Judged(evaluation, evaluation["metrics"], artifact.read_pairs(path.parent))
        except (InputError, DataError) as error:
            raise DataError(f"damaged evaluation: {error.problem}", path=path, remedy="run again") from None

    @property
    def curves(self) -> dict[str, Any] | None:
        """Content of the training's curves.json."""
        return read_curves(self.folder / RECORDS)

    @property
    def samples(self) -> dict[str, Any]:
        """Content of samples.json: columns, gap, rows {file, caption, key}; no rows where none were kept."""
        return artifact.read_samples(self.folder / RECORDS)

    @property
    def samples_folder(self) -> Path:
        """Where the files of `samples` lie."""
        return self.folder / RECORDS / artifact.SAMPLES


def open_run(home: Home, name: str, model_name: str) -> FinishedRun:
    """A finished run by its name, its MLflow run id, or a version that it made (``v3``, ``@champion``).

    Raises `InputError` when there is none, or when it has not finished.
    """
    mlflow = tracking.client(home.tracking_uri, at_once=True)
    run = _find(mlflow, name, model_name)
    called = run.data.tags.get(RUN_TAG) or run.info.run_id
    folder = home.root / "runs" / called
    if not (folder / RESULT_FILE).is_file():
        folder = _fetched(mlflow, run, home, called)
    return FinishedRun(
        called, run.info.run_id, run.info.experiment_id, folder,
        read_result(folder / RESULT_FILE),
        {RENAMED.get(key, key): value for key, value in tracking.flatten(_settings(folder / SETTINGS_FILE)).items()},
    )


def read_result(path: Path) -> dict[str, Any]:
    """A run's result.json. Raises `DataError` for one that is missing or torn."""
    try:
        found = json_object(read_bytes(path, MOST_SUMMARY), MOST_SUMMARY, finite=False)
        if reason := misfit(found, _RESULT):
            raise Unreadable(reason)
    except (FileNotFoundError, Unreadable) as error:
        raise DataError(f"damaged result of a run ({error})", path=path, remedy="run again") from None
    return found


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = yaml_value(read_bytes(path, MOST_YAML))
    except (FileNotFoundError, Unreadable) as error:
        raise DataError(f"damaged settings of a run ({error})", path=path, remedy="run again") from None
    if not isinstance(found, dict):
        raise DataError("damaged settings of a run", path=path, remedy="run again")
    return {str(key): value for key, value in found.items()}


def _find(mlflow: MlflowClient, name: str, model_name: str) -> Run:
    from mlflow.exceptions import MlflowException

    version = _VERSION.fullmatch(name)
    try:
        if version:
            number, alias = version.groups()
            found = (mlflow.get_model_version(model_name, number) if number
                     else mlflow.get_model_version_by_alias(model_name, alias))
            step = mlflow.get_run(str(found.run_id))
            return mlflow.get_run(step.data.tags.get(PARENT_TAG, step.info.run_id))
        experiments = [found.experiment_id for found in mlflow.search_experiments()]
        runs = mlflow.search_runs(experiments, f"tags.`{RUN_TAG}` = '{name.replace(chr(39), '')}'", max_results=1)
        return runs[0] if runs else mlflow.get_run(name)
    except MlflowException:
        if version:
            raise Versions(model_name, mlflow.tracking_uri).missing(version[1] or version[2], name, "`v{}`") from None
        raise InputError(f"no run {name}", path=mlflow.tracking_uri,
                         remedy="`photoshoot runs` and `photoshoot versions` list them") from None


def _fetched(mlflow: MlflowClient, run: Run, home: Home, called: str) -> Path:
    """The run's files from MLflow's artifact store, kept under the home folder: finished runs do not change."""
    folder: Path = home.root / "fetched" / str(run.info.run_id)
    if folder.is_dir():
        return folder
    names = {file.path for file in mlflow.list_artifacts(run.info.run_id)}
    if RESULT_FILE not in names:
        raise InputError(f"run {called} has not finished: it has no result", path=mlflow.tracking_uri,
                         remedy="`photoshoot runs --status succeeded` lists those that have")
    with atomic_folder(folder) as partial:
        for name in (RESULT_FILE, SETTINGS_FILE, RECORDS):
            if name in names:
                mlflow.download_artifacts(run.info.run_id, name, str(partial))
    return folder
