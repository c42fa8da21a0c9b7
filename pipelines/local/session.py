"""One run of a pipeline on this machine: its folder, its MLflow run, what a person sees of it, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.atomic import atomic_path
from components.core.errors import PhotoshootError
from components.core.record import tracking
from components.core.record.tracking_errors import tracking_errors
from components.core.settings import Settings
from components.core.stores.storage import address
from pipelines.containers.execution import Limits
from pipelines.display import PipelineDisplay
from pipelines.home.folder import Home
from pipelines.home.leftovers import check_room, sweep
from pipelines.home.moved import PHOTOS_TAG
from pipelines.local.execution import photos_here, run_steps
from pipelines.results.costs import Cost
from pipelines.results.files import SETTINGS_FILE
from pipelines.results.links import Links
from pipelines.results.runs import ERROR_TAG, HOME_TAG, RUN_TAG, run_cost, settle, settle_dead

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient



@dataclass(frozen=True)
class LocalRun:
    """A run that is under way."""

    settings: Settings
    photos: Path | None
    home: Home
    folder: Path
    """The run's own folder: settings, log, events, result."""
    mlflow: MlflowClient
    parent: str
    """MLflow run that the steps become children of."""
    display: PipelineDisplay
    started: float
    limits: Limits | None = None
    """Of each step's container; None: without containers."""

    def execute(self, pipeline: str) -> dict[str, Path]:
        """Run a pipeline (`local.TRAINING` or `local.TUNING`) to its end; its artifacts' folders by name."""
        here = str(photos_here(self.photos, self.home)) if self.photos else None
        with self.display:
            artifacts = run_steps(
                self.settings, here, self.home, self.folder, self.parent, self.display.event, pipeline, self.limits
            )
            self.display.finish()
        return artifacts

    @property
    def seconds(self) -> float:
        """Since its start."""
        return round(time.monotonic() - self.started, 1)

    @property
    def link(self) -> str:
        """To the run's page in the MLflow UI."""
        experiment = self.mlflow.get_run(self.parent).info.experiment_id
        return Links.of(self.home).run(experiment, self.parent)

    def cost(self) -> Cost:
        """What the steps cost so far."""
        return run_cost(self.mlflow, self.parent, self.settings.costs)


@contextmanager
def local_run(
    settings: Settings, photos: Path | None, home: Home, steps: Sequence[str], limits: Limits | None = None
) -> Iterator[LocalRun]:
    """Begin a run; it ends in MLflow FINISHED, FAILED or KILLED with the block.

    What killed runs left is removed first. Raises `MachineError` while another run holds the home folder, and for a
    disk without room.
    """
    started = time.monotonic()
    with home.lock(), tracking_errors():
        sweep(home)
        check_room(home)
        mlflow = tracking.client(home.tracking_uri, at_once=True)
        settle_dead(mlflow, home)
        folder = home.new_run()
        with atomic_path(folder / SETTINGS_FILE) as partial:
            partial.write_text(settings.to_yaml(), encoding="utf-8")
        with home.alive(folder):
            parent = _start_parent(mlflow, settings, photos, home, folder)
            status = "FAILED"
            try:
                display = PipelineDisplay(steps)
                yield LocalRun(settings, photos, home, folder, mlflow, parent, display, started, limits)
                status = "FINISHED"
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            except PhotoshootError as error:
                mlflow.set_tag(parent, ERROR_TAG, str(error))
                raise
            finally:
                settle(mlflow, parent, status, int(time.time() * 1000))


def _start_parent(mlflow: MlflowClient, settings: Settings, photos: Path | None, home: Home, folder: Path) -> str:
    """Start the MLflow run whose children the steps become."""
    experiment = experiment_id(mlflow, settings.experiment, home)
    tags = {
        RUN_TAG: folder.name,
        HOME_TAG: str(home.root),
        "photoshoot.preset": settings.preset,
        PHOTOS_TAG: address(photos) if photos else "synthetic",
    }
    run_id = str(mlflow.create_run(experiment, run_name=folder.name, tags=tags).info.run_id)
    recorder = tracking.MlflowRecorder(mlflow, run_id)
    recorder.params(settings.to_tree())
    recorder.artifact(folder / SETTINGS_FILE)
    return run_id


def experiment_id(mlflow: MlflowClient, name: str, home: Home) -> str:
    """The experiment of that name; made, with its files in the home, where there is none."""
    found = mlflow.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # On a tracking server the server chooses where artifacts go.
    local = str(home.mlflow_artifacts) if home.tracking_uri.startswith("sqlite:") else None
    return str(mlflow.create_experiment(name, artifact_location=local))
