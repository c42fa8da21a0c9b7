"""The cheapest run of the whole pipeline, and the command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = ["--preset", "smoke", "--set", "train.steps=4", "--set", "evaluate.pairs=16"]


def run_pipeline(home: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """`photoshoot run` on these settings: exit code, last line of --json, what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "run", *SMALL, "--home", str(home), "--json", *arguments],
        capture_output=True, text=True,
    )
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr
