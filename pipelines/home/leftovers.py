"""What killed processes leave in a home, removed by the next run: half-written files, outputs of unfinished steps.

Whoever calls holds the home's lock, so no run is under way here, and the processes of a run that was killed are
waited for (`Home.lock`). Files of other processes are theirs for as long as their locks are held (`core.atomic`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from components.core.atomic import sweep_below
from components.core.documents import MOST_JSON, Unreadable, json_object, read_bytes
from components.core.errors import MachineError, machine_errors
from pipelines.home import moved as moved_home
from pipelines.home.folder import Home

OUTPUTS_FILE = "outputs.json"
"""In a run's own folder: where the outputs of the finished run lie."""
_LAST = ("version", "weights")
"""Outputs of the steps that end a pipeline."""
_NO_ROOM, _LITTLE_ROOM = 100_000_000, 3_000_000_000
_MLFLOWS = ("mlflow-artifacts",)


def sweep(home: Home) -> None:
    """Remove what no living process writes and no finished step refers to."""
    sweep_below(home.root, but=_MLFLOWS)
    for folder in unfinished(home):
        shutil.rmtree(folder, ignore_errors=True)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def check_room(home: Home) -> None:
    """Say that the home's disk is nearly full. Raises `MachineError` where even a small run would not fit."""
    with machine_errors(home.root):
        free = shutil.disk_usage(home.root).free
    if free < _NO_ROOM:
        raise MachineError(f"{free / 1e6:.0f} MB are free on this disk, the smallest run takes {_NO_ROOM / 1e6:.0f} MB",
                           path=home.root, remedy="`photoshoot clean` shows what can be freed; or use another --home")
    if free < _LITTLE_ROOM:
        from pipelines.display import say

        say(f"the disk of {home.root} is nearly full: {free / 1e9:.1f} GB are free; `photoshoot clean` shows "
            "what can be freed")


def unfinished(home: Home) -> list[Path]:
    """Folders ``artifacts/<run of the pipeline>/<step>`` of steps that did not end, of runs that did not either."""
    known = {*cached(home).values(), *(path for outputs in finished(home).values() for path in outputs.values())}
    steps = {path.parts[:2] for path in known}
    whole = {path.parts[0] for outputs in finished(home).values() for name, path in outputs.items() if name in _LAST}
    return [step for run in _folders(home.pipeline_root) if run.name not in whole
            for step in _folders(run) if (run.name, step.name) not in steps]


def cached(home: Home) -> dict[Path, Path]:
    """Entry of the cache -> the output that it says can be reused, relative to the folder of artifacts."""
    found = {}
    for entry in moved_home.cache_entries(home.root):
        for uri in moved_home.uris_of(moved_home.load(entry)):
            if below := _below(uri):
                found[entry] = below
    return found


def finished(home: Home) -> dict[str, dict[str, Path]]:
    """Run -> its outputs by name, relative to the folder of artifacts; of runs that came to their end."""
    found = {}
    for path in sorted(home.root.glob(f"runs/*/{OUTPUTS_FILE}")):
        try:
            outputs = json_object(read_bytes(path, MOST_JSON))
        except Unreadable:
            continue
        found[path.parent.name] = {name: below for name, uri in outputs.items()
                                   if isinstance(uri, str) and (below := _below(uri))}
    return found


def _below(uri: str) -> Path | None:
    """``<run of the pipeline>/<step>/<output>`` of an address, wherever the home was when it was written."""
    _, found, below = moved_home.path_of(uri).rpartition("/artifacts/")
    return Path(below) if found and len(Path(below).parts) == 3 else None


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_dir()) if folder.is_dir() else iter(())
