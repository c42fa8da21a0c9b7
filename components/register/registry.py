"""The model registry: log a version, describe it, point aliases at it. All MLflow calls of registration are here."""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import InputError, MachineError
from components.core.tracking import TRACKING_URI, client

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

CHAMPION, CHALLENGER = "champion", "challenger"
_CODE = Path(__file__).with_name("pyfunc_model.py")
_LONGEST_TAG = 4000


class Registry:
    """The registered model `name` on one MLflow server or database.

    `tracking_uri` defaults to the environment's. Raises `InputError` where neither says.
    """

    def __init__(self, name: str, tracking_uri: str | None = None) -> None:
        uri = tracking_uri or os.environ.get(TRACKING_URI)
        if not uri:
            raise InputError("nowhere to register the model", remedy=f"set {TRACKING_URI}, e.g. to sqlite:///mlflow.db")
        self.name, self.uri = name, uri
        self._client = client(uri)

    def log(self, generator: Path, preprocess: Mapping[str, Any], run_id: str | None) -> str:
        """Log the model with its artifacts into the run `run_id` (None: a run of its own) and register it.

        Returns the new version's number. No alias points to it yet.
        """
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow
        import mlflow.pyfunc

        with _mlflow_errors(self.uri), _fluent(self.uri), tempfile.TemporaryDirectory() as folder:
            cut = Path(folder) / "preprocess.json"
            cut.write_text(json.dumps(dict(preprocess), indent=1))
            with mlflow.start_run(run_id=run_id, run_name=None if run_id else "register"):
                logged = mlflow.pyfunc.log_model(
                    name="model", python_model=str(_CODE), signature=signature(),
                    artifacts={"generator": str(generator), "preprocess": str(cut)},
                    pip_requirements=[_requirement()], registered_model_name=self.name)
        return str(logged.registered_model_version)

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The newest version that has all of `tags`, or None (also when nothing was ever registered)."""
        with _mlflow_errors(self.uri):
            versions = self._client.search_model_versions(f"name = '{self.name}'")
        same = [int(found.version) for found in versions if tags.items() <= found.tags.items()]
        return str(max(same)) if same else None

    def describe(self, version: str, description: str, tags: Mapping[str, str]) -> None:
        """Set a version's description (Markdown) and tags."""
        with _mlflow_errors(self.uri):
            self._client.update_model_version(self.name, version, description=description)
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version, key, value[:_LONGEST_TAG])

    @contextmanager
    def trying(self, version: str) -> Iterator[None]:
        """Tag a version with how its try-out went, `tried`: "passed" or "failed"."""
        outcome = "failed"
        try:
            yield
            outcome = "passed"
        finally:
            with _mlflow_errors(self.uri):
                self._client.set_model_version_tag(self.name, version, "tried", outcome)

    def aliased(self, alias: str) -> str | None:
        """The version an alias points to, or None."""
        with _mlflow_errors(self.uri):
            found = self._client.get_registered_model(self.name).aliases.get(alias)
        return None if found is None else str(found)

    def point(self, alias: str, version: str) -> None:
        """Move an alias to a version."""
        with _mlflow_errors(self.uri):
            self._client.set_registered_model_alias(self.name, alias, version)

    def run_of(self, version: str) -> str:
        """The run a version was logged in."""
        with _mlflow_errors(self.uri):
            return str(self._client.get_model_version(self.name, version).run_id)

    def keep(self, run_id: str, file: Path) -> None:
        """Store a file with a run."""
        with _mlflow_errors(self.uri):
            self._client.log_artifact(run_id, str(file))


def signature() -> ModelSignature:
    """What the registered model takes and gives: columns of image files' bytes."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    required = [ColSpec(DataType.binary, name) for name in ("source_photo", "source_pose", "target_pose")]
    optional = [ColSpec(DataType.binary, name, required=False) for name in ("source_matte", "background")]
    return ModelSignature(Schema([*required, *optional]), Schema([ColSpec(DataType.binary, "image")]))


def _requirement() -> str:
    """This package, in the version that is running: all that a version needs."""
    try:
        return f"photoshoot=={importlib.metadata.version('photoshoot')}"
    except importlib.metadata.PackageNotFoundError:
        return "photoshoot"


@contextmanager
def _fluent(uri: str) -> Iterator[None]:
    """MLflow's logging of models goes by a global address, which it keeps in a variable and in the environment: set
    it, then put the caller's back."""
    import mlflow

    before = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None: by the environment; "" would be ./mlruns
        if before is not None:
            os.environ[TRACKING_URI] = before


@contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """MLflow's own errors in one line with its address."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise MachineError(f"MLflow refused: {str(error).splitlines()[0]}", path=uri,
                           remedy=f"check that {TRACKING_URI} points to a server or database that can be written"
                           ) from error
