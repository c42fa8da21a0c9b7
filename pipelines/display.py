"""What a person sees: the pipeline's progress, a final table, errors in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from components.core import progress
from components.core.errors import PhotoshootError
from pipelines.steps import PARTIAL_TASKS, step_of

# Standard output belongs to results (and to --json); everything else goes to standard error.
errors = Console(stderr=True, highlight=False)
output = Console(highlight=False)
_PIPED_WIDTH = 240
"""Columns of a table that goes to a file or another program: not folded for a screen that is not there."""


def show_error(error: PhotoshootError) -> None:
    """One line: which file, what is wrong, what to do."""
    errors.print(f"[bold red]error:[/] {_plain(str(error))}", soft_wrap=True)


def say(text: str) -> None:
    """A line for a person, as it is."""
    errors.print(text, markup=False, soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("[", r"\[").replace("\n", " ")


class PipelineDisplay:
    """Follows a pipeline run: bars on a terminal, plain lines in a log, and which steps ran or were reused."""

    def __init__(self, steps: Sequence[str]) -> None:
        self.steps = steps
        self.states: dict[str, str] = dict.fromkeys(steps, "waiting")
        self.seconds: dict[str, float] = {}
        self._live = sys.stderr.isatty()
        self._bar = progress.bar() if self._live else None
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._last_line = 0.0

    def __enter__(self) -> PipelineDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def event(self, event: dict[str, Any]) -> None:
        """Take one event of a step (see `components.core.progress`)."""
        if "step" in event:
            self._step(event)
        elif "label" in event:
            self._work(event)

    def finish(self) -> None:
        """The pipeline succeeded: whatever never started was reused from an earlier run."""
        for step in self.steps:
            if self.states[step] == "waiting":
                self._reused(step)

    def _step(self, event: dict[str, Any]) -> None:
        step, state = step_of(event["step"]), event["state"]
        if step not in self.states:
            return
        if state == "started":
            for earlier in self.steps[: self.steps.index(step)]:
                if self.states[earlier] == "waiting":
                    self._reused(earlier)
            if self.states[step] != "started":  # else another of several tasks that share the step
                self._began[step] = time.monotonic()
                self._say(f"[bold]{step}[/]")
        elif state == "finished":
            if event["step"] in PARTIAL_TASKS:
                return
            several = event["step"] != step
            self.seconds[step] = time.monotonic() - self._began[step] if several else float(event["seconds"])
            self._say(f"[bold]{step}[/] [green]done[/] in {self.seconds[step]:.0f} s")
        self.states[step] = state

    def _reused(self, step: str) -> None:
        self.states[step] = "reused"
        self._say(f"[bold]{step}[/] [cyan]reused[/] from an earlier run: same code, settings and inputs")

    def _work(self, event: dict[str, Any]) -> None:
        label, total, done, note = event["label"], event["total"], event["done"], event["note"]
        if self._bar:
            if label not in self._tasks:
                self._tasks[label] = self._bar.add_task(label, total=total, completed=done, note="")
            self._bar.update(self._tasks[label], completed=done, note=_plain(note))
            if event["closed"]:
                self._bar.remove_task(self._tasks.pop(label))
        elif total and time.monotonic() - self._last_line > 10:
            self._last_line = time.monotonic()
            self._say(f"  {label}: {done}/{total} {_plain(note)}".rstrip())

    def _say(self, text: str) -> None:
        (self._bar.console if self._bar else errors).print(text)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output."""
    drawn = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        # What the first column names (a run, a metric) is for copying: it is not folded.
        drawn.add_column(column, justify="left" if index == 0 else "right", overflow="fold", no_wrap=index == 0)
    for row in rows:
        drawn.add_row(*[_plain(cell) for cell in row])
    screen = output if sys.stdout.isatty() else Console(highlight=False, width=_PIPED_WIDTH)
    screen.print(drawn)


def metric(entry: Any) -> str:
    """A metric with interval and count, ``0.712 [0.690, 0.731] n=128``; ``-`` and the reason where there is none."""
    if isinstance(entry, (int, float)):
        return f"{entry:.3f}"
    if not isinstance(entry, dict) or entry.get("value") is None:
        reason = entry.get("reason") if isinstance(entry, dict) else None
        return f"- ({reason})" if reason else "-"
    text = f"{entry['value']:.3f}"
    if entry.get("low") is not None:
        text += f" [{entry['low']:.3f}, {entry['high']:.3f}]"
    return text + (f" n={entry['n']}" if entry.get("n") is not None else "")
