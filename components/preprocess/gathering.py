"""gather: the parts that several preprocess tasks made become one people data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.core.errors import InputError
from components.core.people.assembly import assemble
from components.core.record.recorder import Recorder
from components.core.settings import PreprocessSettings
from components.preprocess.run import PreprocessSummary, repeated_by, summarise


def gather(parts: Sequence[Path], out: Path, settings: PreprocessSettings,
           recorder: Recorder | None = None) -> PreprocessSummary:
    """Make the people data set `out` of all parts of one preprocessing, in any order.

    It is the one that a single task makes, byte for byte. Nothing is encoded again; shards are linked where the file
    system has links. Raises `DataError` for parts that do not belong together or lack a shard, `InputError` when not
    one photo can be used, `MachineError`.
    """
    if not parts:
        raise InputError("no parts to gather", remedy="run preprocess with preprocess.shards 1 or more")
    assemble([Path(part) for part in parts], Path(out), repeated_by(settings))
    return summarise(Path(out), f"{len(parts)} parts", recorder)
