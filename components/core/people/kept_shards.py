"""Finished shards of a part on gs://: an interrupted part goes on from them on whatever machine comes next."""

from __future__ import annotations

from pathlib import Path

from components.core.people.dataset import shard_name
from components.core.people.writer import PartWriter, rows_path
from components.core.stores.storage import open_location


class KeptShards:
    """The shards of one plan below a gs:// address; the plan's digest is in the address, so they fit.

    A shard is there when its rows are, which are written last. Two machines that make the same shard write the same.
    """

    def __init__(self, place: str) -> None:
        self._place = open_location(place)

    def bring(self, writer: PartWriter) -> None:
        """Put those that are finished into the part. Raises `MachineError`."""
        there = set(self._place.list())
        wanted = [number for number in range(writer.plan.shards) if not writer.has(number)
                  and set(_names(writer.folder, number)) <= there]
        for number in wanted:
            for name in _names(writer.folder, number):
                self._place.fetch([name], writer.folder)

    def keep(self, writer: PartWriter, number: int) -> None:
        """Send a finished shard there. Raises `MachineError`."""
        for name in _names(writer.folder, number):
            self._place.write_bytes(name, (writer.folder / name).read_bytes())


def _names(folder: Path, number: int) -> tuple[str, str]:
    """The shard, then its rows."""
    return shard_name(number), rows_path(folder, number).name
