"""Processes that end with the one that started them, SIGKILL included: `python -m components.core.with_parent COMMAND`.

Only Linux knows of this (prctl(2), PR_SET_PDEATHSIG; it outlives exec); elsewhere the command simply runs.
"""

from __future__ import annotations

import os
import sys

from components.core import masking

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask Linux to end this process when the thread that started it is gone."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tied(command: list[str]) -> list[str]:
    """The command, run so that it ends with this process."""
    return [sys.executable, "-m", __name__, str(os.getpid()), *command]


if __name__ == "__main__":
    masking.install()
    end_with_parent()
    if os.getppid() == int(sys.argv[1]):  # it may have gone before
        os.execvp(sys.argv[2], sys.argv[2:])
