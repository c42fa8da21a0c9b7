"""Write the model registry: log a version, describe it, point aliases at it. `core.record.registry` reads it."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.artifacts.model import GENERATOR
from components.core.artifacts.version import EXAMPLE, MODEL_CARD, SERVING_FORMAT, write_files
from components.core.digest import file_digest
from components.core.errors import DataError
from components.core.record.custody import ARTIFACTS, CODE, changes, digests_of
from components.core.record.ledger import Journal, Record
from components.core.record.registry import Versions
from components.core.record.tracking import TRACKING_URI

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

_CODE = Path(__file__).with_name(CODE)
_FORMER_CODE = frozenset((
    "7eb447377a9054835f3155985545b7a17f06fb882e0cf889e106a11477e91940",
    "bf6c0cd89b655f9f6945289d88bda8f33d10526f8608f96ada920bea5c41c27a",
    "ef4830252c6ebd9ee5c5c5a852bc1e2dbd8aaad6cf42f3626fd8b10026784a15",
    "cf65a3703c12e80ee98f640c6ea7e34436c5588a5ce701dd9d23444272a932bf",
    "048b79ffc0f713fc1e145c2c634f0e88421ed39c7cf4b0fdd3a9b29c8095d9b7",
))
"""sha256 of `_CODE` as it was when versions were registered without a record of their files."""
_LONGEST_TAG = 4000
_LONGEST_DESCRIPTION = 5000
"""Of a version, in characters: what MLflow's tables hold. SQLite would hold more, PostgreSQL refuses."""
_CUT = f"\n\n... The whole card is {MODEL_CARD} of the version's run."


@dataclass(frozen=True)
class Files:
    """What a version is made of: the generator, how it cuts people out, what it was trained on, and the pictures of
    one pair (column -> PNG) on which anyone can try it."""

    generator: Path
    preprocess: Mapping[str, Any]
    lineage: Mapping[str, Any]
    example: Mapping[str, bytes]

    def lay_out(self, folder: Path) -> dict[str, str]:
        """Write what is not a file yet into `folder`; returns the artifacts by name."""
        ours = write_files(folder, self.preprocess, self.lineage, self.example)
        return {Path(GENERATOR).stem: str(self.generator), **ours}

    def are_recorded(self, folder: Path, record: Record) -> bool:
        """Whether a version's folder is as its record says, with this generator."""
        recorded = record.files.get(f"{ARTIFACTS}/{GENERATOR}")
        return recorded == file_digest(self.generator) and not changes(folder, record, {})

    def are_in(self, folder: Path) -> bool:
        """Whether a version's folder holds these, with the code of today. The example may be of any pair."""
        with tempfile.TemporaryDirectory() as name:
            paths = self.lay_out(Path(name))
            ours = {f"{ARTIFACTS}/{Path(path).name}": file_digest(Path(path)) for key, path in paths.items()
                    if key != EXAMPLE}
        there = digests_of(folder)
        return all(there.get(path) == digest for path, digest in (ours | {CODE: file_digest(_CODE)}).items())


class Registry(Versions):
    """The registered model `name` on one MLflow server or database.

    `tracking_uri` defaults to the environment's. Raises `InputError` where neither says.
    """

    def log(self, files: Files, run_id: str | None) -> str:
        """Log the model with its artifacts into the run `run_id` (None: a run of its own) and register it.

        Returns the new version's number. No alias points to it yet.
        """
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow
        import mlflow.pyfunc

        with self._asking(), _fluent(self.uri), tempfile.TemporaryDirectory() as folder:
            artifacts = files.lay_out(Path(folder))
            with mlflow.start_run(run_id=run_id, run_name=None if run_id else "register"):
                logged = mlflow.pyfunc.log_model(
                    name="model", python_model=str(_CODE), signature=signature(), artifacts=artifacts,
                    pip_requirements=[_requirement()], registered_model_name=self.name,
                    metadata={"format": SERVING_FORMAT})
        return str(logged.registered_model_version)

    def known(self, files: Files, tags: Mapping[str, str], journal: Journal) -> str | None:
        """The newest version that has all of `tags` and is as it was registered, or that a registration which was
        killed has left untried, if it consists of these very files. None where there is none."""
        for version in reversed(self.all()):
            untried = "tried" not in version.tags
            if not untried and not tags.items() <= version.tags.items():
                continue
            record = None if untried else journal.record(version.number)
            with suppress(DataError), self.folder(version) as folder:
                if files.are_in(folder) if record is None else files.are_recorded(folder, record):
                    return version.number
        return None

    def describe(self, version: str, description: str, tags: Mapping[str, str], stale: str = "") -> None:
        """Set a version's description (Markdown) and tags; tags that start with `stale` and are not among them go."""
        with self._asking():
            if len(description) > _LONGEST_DESCRIPTION:
                description = description[:_LONGEST_DESCRIPTION - len(_CUT)] + _CUT
            self._client.update_model_version(self.name, version, description=description)
            self.tag(version, tags)
            for key in self.get(version).tags:
                if stale and key.startswith(stale) and key not in tags:
                    self._client.delete_model_version_tag(self.name, version, key)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with self._asking():
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
            with self._asking():
                self._client.set_model_version_tag(self.name, version, "tried", outcome)

    def point(self, alias: str, version: str) -> None:
        """Move an alias to a version. The champion's is moved by `components.register.promotion` alone."""
        with self._asking():
            self._client.set_registered_model_alias(self.name, alias, version)

    def unpoint(self, alias: str) -> None:
        """Take an alias away."""
        with self._asking():
            self._client.delete_registered_model_alias(self.name, alias)

    def keep(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Store a file with a run."""
        with self._asking():
            self._client.log_artifact(run_id, str(file), folder)

    def fetch(self, run_id: str, path: str, here: Path) -> Path:
        """Bring a file that is stored with a run. Raises `DataError` where that cannot be had."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        try:
            return Path(download_artifacts(run_id=run_id, artifact_path=path, dst_path=str(here),
                                           tracking_uri=self.uri))
        except (MlflowException, OSError) as error:
            raise DataError(str(error).partition("\n")[0], path=self.uri) from error


def known_code() -> frozenset[str]:
    """sha256 of all files that photoshoot has ever given versions as their code."""
    return _FORMER_CODE | {file_digest(_CODE)}


def signature() -> ModelSignature:
    """What the registered model takes and gives: columns of image files' bytes, lists of them for further photos; and
    `params` {"size": pixels}, 0 for what the photos support."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    required = [ColSpec(DataType.binary, name) for name in ("source_photo", "target_pose")]
    optional = [ColSpec(DataType.binary, name, required=False) for name in
                ("source_pose", "source_matte", "background")]
    # Lists of files' bytes. Not an array of binaries: MLflow 3.17 cuts the zero bytes off the end of those.
    anything = AnyType()  # type: ignore[no-untyped-call]  # untyped in mlflow
    more = [ColSpec(anything, name, required=False) for name in ("more_photos", "more_poses", "more_mattes")]
    size = ParamSchema([ParamSpec("size", DataType.long, 0)])
    return ModelSignature(Schema([*required, *optional, *more]), Schema([ColSpec(DataType.binary, "image")]), size)


def _requirement() -> str:
    """This package in the version that is running, with what paints (torch) and what finds people in photos that come
    without a pose map (LiteRT): all that a version needs."""
    name = "photoshoot[landmarks,train]"
    try:
        return f"{name}=={importlib.metadata.version('photoshoot')}"
    except importlib.metadata.PackageNotFoundError:
        return name


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
