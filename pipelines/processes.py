"""Child processes that do not outlive the command that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

_GRACE_S = 5.0


@contextlib.contextmanager
def ended_with_us(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """However this block is left, SIGTERM included (as KeyboardInterrupt), no process of the child's session lives on.

    The child must have been started with ``start_new_session=True``.
    """

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
        child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        for stop in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, stop)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S)
                if stop is signal.SIGTERM and not _group_lives(child.pid):
                    break


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
