"""Progress with time left, wherever the work runs.

A step does not know whether a person watches a terminal, a pipeline runs it in a child process, or a log collects
its lines. It calls `track` or `task`; this module finds out:

- ``PHOTOSHOOT_PROGRESS`` names a file (set by the pipeline's local runner): events are appended to it as JSON lines
  and the parent draws the bar;
- standard error is a terminal: a bar with time left;
- otherwise: a plain line every ten seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

PROGRESS_FILE = "PHOTOSHOOT_PROGRESS"
_LINE_EVERY_S = 10.0
_EVENT_EVERY_S = 0.2


class Task(Protocol):
    """A piece of work of known length that is under way."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Move on by `amount` units; `note` is a short remark shown beside the bar (a loss, a file name)."""

    def close(self) -> None:
        """The work ended, done or not."""


@contextmanager
def task(label: str, total: int | None, *, done: int = 0) -> Iterator[Task]:
    """Show progress of `total` units of work named `label`; `done` units were finished by an earlier process."""
    shown: Task
    path = os.environ.get(PROGRESS_FILE)
    if path:
        shown = _FileTask(path, label, total, done)
    elif sys.stderr.isatty():
        shown = _BarTask(label, total, done)
    else:
        shown = _LineTask(label, total, done)
    try:
        yield shown
    finally:
        shown.close()


def track(items: Iterable[T], *, label: str, total: int | None = None) -> Iterator[T]:
    """Iterate over `items` and show how far it is. `total` defaults to ``len(items)`` where it has one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with task(label, total) as shown:
        for item in items:
            yield item
            shown.advance()


def event(**fields: object) -> None:
    """Tell the pipeline that started this process something (a step began, failed, ended); silent without one."""
    path = os.environ.get(PROGRESS_FILE)
    if path:
        _append(path, fields)


def _append(path: str, fields: Mapping[str, object]) -> None:
    # One short write in append mode: lines of concurrent processes do not interleave.
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


class _FileTask:
    def __init__(self, path: str, label: str, total: int | None, done: int) -> None:
        self._path, self._label, self._total, self._done = path, label, total, done
        self._last = 0.0
        self._write()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        if time.monotonic() - self._last >= _EVENT_EVERY_S or self._done == self._total:
            self._write(note)

    def close(self) -> None:
        self._write(closed=True)

    def _write(self, note: str = "", closed: bool = False) -> None:
        self._last = time.monotonic()
        fields = {"label": self._label, "total": self._total, "done": self._done, "note": note, "closed": closed}
        _append(self._path, fields)


class _BarTask:
    def __init__(self, label: str, total: int | None, done: int) -> None:
        self._bar = bar()
        self._task = self._bar.add_task(label, total=total, completed=done, note="")
        self._bar.start()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._bar.update(self._task, advance=amount, note=note)

    def close(self) -> None:
        self._bar.stop()


class _LineTask:
    def __init__(self, label: str, total: int | None, done: int) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
        self._start = self._last = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._last < _LINE_EVERY_S:
            return
        self._last = now
        line = f"{self._label}: {self._done}"
        if self._total:
            left = (now - self._start) / max(1, self._done - self._first) * (self._total - self._done)
            line += f"/{self._total}, about {left:.0f} s left"
        print(f"{line} {note}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


def bar() -> Progress:
    """A rich progress display with time left, on standard error (standard output belongs to `--json`)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=Console(stderr=True),
    )
