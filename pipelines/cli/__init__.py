"""``photoshoot``: the command line.

Commands import what they need when they run, so that help answers at once. Help lists them in the order in which
their modules are imported here.
"""

from pipelines.cli import pipeline, tuning, doctor, steps, texture, identities  # isort: skip  # noqa: F401
from pipelines.cli import runs, promotion, results, home, experiments, cluster  # isort: skip  # noqa: F401
from pipelines.cli.app import main

__all__ = ["main"]
