"""Preflight: what would fail an hour into a run, found in seconds and before anything costs money.

`diagnose` does what ``photoshoot doctor`` does. Each area is a module with functions that return `Finding`s; they run
at once, each with a time limit, and an error in one of them is a finding too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from pipelines.doctor.diagnosis import Patient


def diagnose(patient: Patient, patience: float = 20.0) -> list[Finding]:
    """See `pipelines.doctor.diagnosis.diagnose`."""
    from pipelines.doctor.diagnosis import diagnose as run

    return run(patient, patience)


__all__ = ["Finding", "Level", "diagnose"]
