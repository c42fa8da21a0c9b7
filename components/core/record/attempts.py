"""Several attempts inside one pod, for tasks that KFP may not try again: those of a loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from components.core.errors import MachineError

ATTEMPTS = "PHOTOSHOOT_ATTEMPTS"
"""Environment variable: how often a task may be begun in one pod; 1 where it does not say."""
_WAITS_S = (5.0, 15.0, 60.0, 300.0)
T = TypeVar("T")


def attempted(work: Callable[[], T]) -> T:
    """What `work` returns; done again after a pause when a service or a disk was away (`MachineError`).

    What was finished is kept where the step keeps its state, so an attempt goes on from the one before. Everything
    else that goes wrong is wrong the next time, too, and is raised at once. Whether KFP's own retries reach into loops
    is doubtful (docs/gke.md), and together they do no harm.
    """
    text = os.environ.get(ATTEMPTS, "")
    left = int(text) if text.isdigit() else 1
    for wait in [*_WAITS_S, *[_WAITS_S[-1]] * left]:
        left -= 1
        try:
            return work()
        except MachineError as error:
            if left <= 0:
                raise
            print(f"{error}; again in {wait:.0f} s, {left} attempts left", flush=True)
            time.sleep(wait)
    raise AssertionError("unreachable")
