"""Who is who, and who may be trained on: `cluster(people, out, settings)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.core.record.recorder import NoRecord, Recorder

if TYPE_CHECKING:
    from components.cluster.run import ClusterSummary, Sorted
    from components.core.settings import ClusterSettings


def cluster(people: Path, out: Path, settings: ClusterSettings, recorder: Recorder | None = None) -> ClusterSummary:
    """Sort the people of a data set into identities by their faces and split the identities.

    Writes into `out`, as a whole or not at all: `identities.parquet` (format "photoshoot.identities/1"),
    `members.parquet`, `scores.json`, `montage.png` and, where faces and folders disagree, `folders.png`. The same
    people, settings and decisions give the same identities.
    People whose face is not seen or too small, who fit nobody, or who were set aside by hand, are set aside with the
    reason. labels.csv is used for scores only, and so are sub-folders unless ``settings.method`` is "folders".

    Raises `DataError` for a folder that is no people data set, `InputError` for too few people to split, decisions
    that contradict each other, or a face that is on both sides of the split, `SettingsError` for settings that
    contradict each other, `MachineError` where the face network is not installed. The error about the split comes
    after writing: what was found is needed to mend it.
    """
    return cluster_people(people, out, settings, recorder).summary


def cluster_people(people: Path, out: Path, settings: ClusterSettings, recorder: Recorder | None = None) -> Sorted:
    """`cluster`, which also tells the photos of each identity."""
    # torch and scikit-learn are imported here, not by all who read the pipeline.
    from components.cluster.faces.subjects import PeopleSubjects
    from components.cluster.run import run
    from components.core.people.dataset import PeopleDataset

    return run(PeopleSubjects(PeopleDataset.open(people)), people, out, settings, recorder or NoRecord())


def cluster_portraits(photos: Path, out: Path | None, settings: ClusterSettings,
                      recorder: Recorder | None = None) -> Sorted:
    """`cluster` for a folder of plain portraits without pose maps: faces are found by YuNet.

    Ids are the photos' names relative to the folder. Without `out` nothing is written. A photo of several faces is set
    aside unless it is plain, or `settings.person` says, whose it is. Raises as `cluster`, and what `known_weights`
    raises where the detector is not to be had.
    """
    from components.cluster.faces.subjects import PortraitSubjects
    from components.cluster.run import run

    return run(PortraitSubjects(photos, settings.person), photos, out, settings, recorder or NoRecord())
