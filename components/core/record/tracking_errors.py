"""What MLflow raises when its server or its disk is gone, in words that a person can act on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from components.core.errors import MachineError

_NO_SPACE = ("database or disk is full", "No space left on device", "could not extend file")
_NO_ANSWER = ("Max retries exceeded", "failed with exception", "too many 50", "Connection refused",
              "failed with error code 50", "server closed the connection", "database is locked")

_LONGEST = 300


@contextmanager
def tracking_errors(uri: str | None = None, *, refusals: bool = False) -> Iterator[None]:
    """Turn MLflow's errors over a full disk or a server that does not answer into a `MachineError`.

    `uri` (default: the environment's) is the address that it names. With `refusals`, MLflow's other errors become one
    too; without, they are passed on, because what a step records and MLflow does not take is the step's mistake.
    """
    try:
        yield
    except Exception as error:
        # By name: MLflow takes seconds to import, and a step that records nothing does without it.
        if not type(error).__module__.startswith(("mlflow.", "sqlalchemy.")):
            raise
        said, where = str(error), uri or os.environ.get("MLFLOW_TRACKING_URI")
        if any(words in said for words in _NO_SPACE):
            raise MachineError("no space left on the disk of MLflow's store", path=where,
                               remedy="free some space, then run the same command again to resume") from error
        if any(words in said for words in _NO_ANSWER):
            remedy = "make sure it is up and can be reached from here, then run the same command again to resume"
            raise MachineError("MLflow does not answer", path=where, remedy=remedy) from error
        if refusals:
            first = said.partition("\n")[0]
            raise MachineError(f"MLflow refused: {first[:_LONGEST]}", path=where,
                               remedy="check that MLFLOW_TRACKING_URI points to a server or database that can be "
                                      "written, and user and password") from error
        raise
