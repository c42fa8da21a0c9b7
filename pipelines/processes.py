"""Child processes that do not outlive the command that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

_GRACE_S = 5.0


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends this block as Ctrl-C does, by KeyboardInterrupt, so that it can clean up."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def ended_with_us(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """However this block is left, SIGTERM included (as KeyboardInterrupt), no process of the child's session lives on.

    The child must have been started with ``start_new_session=True``.
    """
    try:
        with terminable():
            yield
            child.wait()
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes], grace: float = _GRACE_S) -> None:
    """End a child that was started with ``start_new_session=True`` and whatever lives in its session: it may clean up
    for `grace` seconds."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
            if ending is signal.SIGTERM and not _group_lives(child.pid):
                break


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
