"""How torch's threads wait, as OpenMP itself reports it when torch loads it."""

import os
import subprocess
import sys

import pytest


def spins(**environment: str) -> str:
    """Rounds that a waiting thread keeps its core busy for, once the package is imported."""
    ours = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    ours |= environment | {"OMP_DISPLAY_ENV": "verbose", "OMP_NUM_THREADS": "2"}
    told = subprocess.run([sys.executable, "-c", "import components, torch"], env=ours, capture_output=True, text=True,
                          check=True).stderr
    found = [line.split("'")[1] for line in told.splitlines() if "GOMP_SPINCOUNT" in line]
    if not found:
        pytest.skip("torch has another OpenMP than GNU's here")
    return found[0]


def test_waiting_threads_soon_leave_their_core_to_others_unless_told_otherwise() -> None:
    assert spins() == "1000"
    assert spins(GOMP_SPINCOUNT="7") == "7"
    assert int(spins(OMP_WAIT_POLICY="ACTIVE")) > 1000
