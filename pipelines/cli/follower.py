"""A `photoshoot` that ends with the command that started it.

``python -m pipelines.cli.follower PARENT run``.

Whatever ends the parent, SIGKILL included, nothing goes on behind a person's back and holds the home folder.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from components.core import masking


def main(parent: int, arguments: list[str]) -> None:
    """Run the command as long as the process `parent` lives."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    from pipelines.cli import main as photoshoot

    sys.argv = ["photoshoot", *arguments]
    photoshoot()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    masking.install()
    main(int(sys.argv[1]), sys.argv[2:])
