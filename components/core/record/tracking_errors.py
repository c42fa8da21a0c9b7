"""What MLflow raises when its server or its disk is gone, in words that a person can act on."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from components.core.errors import MachineError, PhotoshootError
from components.core.masking import shown

_NO_SPACE = ("database or disk is full", "No space left on device", "could not extend file")
_NO_ANSWER = ("Max retries exceeded", "failed with exception", "too many 50", "Connection refused",
              "failed with error code 50", "server closed the connection", "database is locked")

_LIBRARIES = ("mlflow.", "sqlalchemy.", "requests.", "urllib3.", "psycopg.")
_READING = ("/mlflow/utils/rest_utils.py", "/mlflow/utils/proto_json_utils.py", "/mlflow/store/tracking/rest_store.py",
            "/mlflow/store/model_registry/rest_store.py", "/mlflow/store/artifact/http_artifact_repo.py",
            "/google/protobuf/json_format.py")
"""Where MLflow reads answers."""
_LONGEST = 300


@contextmanager
def tracking_errors(uri: str | None = None, *, refusals: bool = False) -> Iterator[None]:
    """Turn MLflow's errors over a full disk or a server that does not answer into a `MachineError`.

    `uri` (default: the environment's) is the address that it names. With `refusals`, MLflow's other errors become one
    too; without, they are passed on, because what a step records and MLflow does not take is the step's mistake.
    """
    try:
        yield
    except PhotoshootError:
        raise
    except Exception as error:
        # By name: MLflow takes seconds to import, and a step that records nothing does without it.
        where = shown_address(uri or os.environ.get("MLFLOW_TRACKING_URI"))
        if not type(error).__module__.startswith(_LIBRARIES):
            if _is_of_an_answer(error):
                raise MachineError(f"what answers is no MLflow server ({type(error).__name__})", path=where,
                                   remedy="is MLFLOW_TRACKING_URI the address of an MLflow server?") from error
            raise
        said = str(error)
        if any(words in said for words in _NO_SPACE):
            raise MachineError("no space left on the disk of MLflow's store", path=where,
                               remedy="free some space, then run the same command again to resume") from error
        if any(words in said for words in _NO_ANSWER) or type(error).__module__.startswith(("requests", "urllib3")):
            remedy = "make sure it is up and can be reached from here, then run the same command again to resume"
            raise MachineError("MLflow does not answer", path=where, remedy=remedy) from error
        if refusals:
            first = said.partition("\n")[0]
            raise MachineError(f"MLflow refused: {first[:_LONGEST]}", path=where,
                               remedy="check that MLFLOW_TRACKING_URI points to a server or database that can be "
                                      "written, and user and password") from error
        raise


def shown_address(uri: str | None) -> str | None:
    """An MLflow address in words: without user, password and query."""
    return None if uri is None else shown(uri) if "://" in uri and not uri.startswith("sqlite") else uri


def _is_of_an_answer(error: Exception) -> bool:
    """Whether it was raised while MLflow read what a server had answered: JSON that is none, or of another kind."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.replace(os.sep, "/").endswith(_READING) for frame in frames)
