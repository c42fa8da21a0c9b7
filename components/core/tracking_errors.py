"""What MLflow raises when its server or its disk is gone, in words that a person can act on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from components.core.errors import MachineError

_NO_SPACE = ("database or disk is full", "No space left on device", "could not extend file")
_NO_ANSWER = ("Max retries exceeded", "failed with exception", "too many 50", "Connection refused",
              "failed with error code 50", "server closed the connection", "database is locked")


@contextmanager
def tracking_errors() -> Iterator[None]:
    """Turn MLflow's errors over a full disk or a server that does not answer into a `MachineError`; pass others on."""
    try:
        yield
    except Exception as error:
        # By name: MLflow takes seconds to import, and a step that records nothing does without it.
        if not type(error).__module__.startswith(("mlflow.", "sqlalchemy.")):
            raise
        said, where = str(error), os.environ.get("MLFLOW_TRACKING_URI")
        if any(words in said for words in _NO_SPACE):
            raise MachineError("no space left on the disk of MLflow's store", path=where,
                               remedy="free some space; the same command again goes on") from error
        if any(words in said for words in _NO_ANSWER):
            raise MachineError("MLflow does not answer", path=where,
                               remedy="see that it runs; the same command again goes on") from error
        raise
