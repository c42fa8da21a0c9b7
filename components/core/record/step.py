"""What surrounds a step's work inside its process: tracking on, events to the pipeline, errors in one line.

A `component.py` is thin because this is here: it enters `step`, calls the step's function and hands over the summary.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import masking, progress
from components.core.artifacts.files import SUMMARY
from components.core.errors import PhotoshootError, machine_errors
from components.core.record.tracking_errors import tracking_errors

if TYPE_CHECKING:
    from components.core.record.recorder import Recorder

STATE = "PHOTOSHOOT_STATE"
"""Environment variable: a folder or gs:// address where interrupted steps leave what they need to go on."""
STUDIES = "PHOTOSHOOT_STUDIES"
"""Environment variable: database of the studies, as SQLAlchemy writes it (sqlite:///..., postgresql+psycopg://...)."""
AT_ONCE = "PHOTOSHOOT_TASKS_AT_ONCE"
"""Environment variable: how many tasks of one fan-out share this machine's cores."""


class Step:
    """A step that is under way."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def done(self, summary: Any, out: str | Path) -> None:
        """Keep the step's summary (a dataclass) as ``summary.json`` inside its output folder."""
        if not is_dataclass(summary) or isinstance(summary, type):
            raise TypeError(f"a step's summary is a dataclass instance, not {type(summary).__name__}")
        text = json.dumps(asdict(summary), indent=1, default=str)
        (Path(out) / SUMMARY).write_text(text + "\n", encoding="utf-8")


@contextmanager
def step(name: str, settings: str | None = None, recorded: Callable[[], Mapping[str, str]] | None = None
         ) -> Iterator[Step]:
    """Run a step's body: record it in MLflow, tell the pipeline when it starts, ends or fails, and why.

    `settings` is the step's settings as JSON, recorded as parameters ``name.key``. `recorded` gives the keywords of
    `tracking.step_run` where a step is not simply a child of the pipeline's run.
    """
    # Imported here, not above: a step run by hand without tracking does not pay for MLflow.
    from components.core.record.tracking import step_run

    masking.install()
    started = time.monotonic()
    progress.event(step=name, state="started")
    try:
        with machine_errors(), tracking_errors(), step_run(name, **(recorded() if recorded else {})) as recorder:
            if settings:
                recorder.params({name: json.loads(settings)})
            yield Step(recorder)
    except PhotoshootError as error:
        progress.event(step=name, state="failed", error=error.to_json())
        raise
    except BaseException as error:
        progress.event(step=name, state="failed", bug=masking.masked(f"{type(error).__name__}: {error}"))
        raise
    progress.event(step=name, state="finished", seconds=time.monotonic() - started)


def state_address() -> str | None:
    """Where a step that can be interrupted keeps what it needs to go on, a folder or gs:// address, if there is one."""
    return os.environ.get(STATE) or None


def tasks_at_once() -> int:
    """How many tasks of one fan-out run beside each other on this machine: 1 where each has its own."""
    text = os.environ.get(AT_ONCE, "")
    return max(1, int(text)) if text.isdigit() else 1
