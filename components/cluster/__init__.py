"""Who is who, and who may be trained on: `cluster(people, out, settings)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.cluster.run import ClusterSummary
    from components.core.settings import ClusterSettings


def cluster(people: Path, out: Path, settings: ClusterSettings, recorder: Recorder | None = None) -> ClusterSummary:
    """Sort the people of a data set into identities by their faces and split the identities.

    Writes into `out`, as a whole or not at all: `identities.parquet` (format "photoshoot.identities/1"),
    `scores.json`, `montage.png`. The same people and settings give the same identities. People whose face is not seen
    or too small, and who are like nobody (HDBSCAN), are set aside with the reason. labels.csv is used for scores only.

    Raises `DataError` for a folder that is no people data set, `InputError` for too few people to split,
    `SettingsError` for settings that contradict each other, `MachineError` where the face network is not installed.
    """
    from components.cluster.run import run  # torch and scikit-learn are imported here, not by all who read the pipeline

    return run(people, out, settings, recorder or NoRecord())
