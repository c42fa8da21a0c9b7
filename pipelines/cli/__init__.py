"""``photoshoot``: the command line.

Help answers at once: it reads a table (`commands`). A command's module is imported when it is called, and imports what
the work needs when it runs.
"""

from pipelines.cli.app import main

__all__ = ["main"]
