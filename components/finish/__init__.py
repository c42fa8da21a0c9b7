"""The last word of a run on Kubeflow, however it ended: its MLflow run is closed, and somebody is told.

`finish(status, name, run)`; nothing in it can fail a run that has succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from components.core.errors import PhotoshootError
from components.finish.ending import Ending, close
from components.finish.webhook import WEBHOOK, tell


def finish(status: Mapping[str, Any], name: str, run: str) -> Ending:
    """Close the MLflow run that the environment names, and tell the webhook that it names.

    `status` is KFP's final status of what came before (``state``, ``error``), `name` and `run` the run's name and id.
    What does not work (MLflow or the webhook is away) is printed, and no error: the run's own result stands.
    """
    ending = Ending.of(status, name, run)
    try:
        ending = close(ending)
    except PhotoshootError as error:
        print(f"the MLflow run was not closed: {error}")
    address = os.environ.get(WEBHOOK)
    if address:
        try:
            tell(address, ending.text)
        except PhotoshootError as error:
            print(f"nobody was told: {error}")
    print(ending.text)
    return ending


__all__ = ["Ending", "finish"]
