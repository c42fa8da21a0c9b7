"""What a large people data set costs: time and memory to open it, to read from it, and to address its pairs.

The manifests are made up (their rows are as wide as real ones); the people that are read are real crops of one shard,
to which all rows point. Each size is measured in a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SIZES = (1_000, 10_000, 100_000, 1_000_000)
_PHOTOS_EACH = 10
_AT_ONCE = 50_000
_READS = 200
_PAIRS = 20_000
COLUMNS = {"open_s": "open (s)", "open_mb": "open (MB)", "index_s": "find by id, first (s)",
           "index_us": "find by id, then (us)", "record_us": "one row (us)", "person_ms": "one person (ms)",
           "identities_s": "open identities (s)", "members_s": "training groups (s)", "pairs": "training pairs",
           "pair_us": "one pair (us)", "all_mb": "all (MB)"}
"""Figures and what they are called in the table; MB is what the process grew by."""


def bench_people(sizes: tuple[int, ...] = SIZES) -> dict[int, dict[str, float]]:
    """Figures by number of rows, as in `COLUMNS`."""
    figures = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            make(root, rows)
            command = [sys.executable, "-m", __name__, str(root)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures[rows] = json.loads(done.stdout)
    return figures


def make(root: Path, rows: int) -> None:
    """A people data set ``root/people`` with that many rows and its identities, ``root/identities``."""
    from components.core.artifacts.people import HEADER, MANIFEST, SHARDS
    from components.core.people.dataset import PeopleDataset
    from components.core.people.identities import Assignment, Identities, Split
    from components.core.people.writer import schema, write_table
    from components.core.settings import PreprocessSettings
    from components.preprocess.bench.photos import draw
    from components.preprocess.run import preprocess

    (root / "photos" / "iuv").mkdir(parents=True)
    draw(root / "photos", 4)
    preprocess(root / "photos", root / "people", PreprocessSettings(matte="silhouette", shard_size=4))
    real = pq.read_table(root / "people" / MANIFEST).to_pylist()
    header = json.loads((root / "people" / HEADER).read_text(encoding="utf-8"))
    write_table(root / "people" / MANIFEST, _rows(real, rows), schema())
    (root / "people" / SHARDS).unlink()
    (root / "people" / HEADER).write_text(json.dumps({**header, "accepted": rows}), encoding="utf-8")
    (root / "identities").mkdir()
    digest = PeopleDataset.open(root / "people").digest
    splits: tuple[Split, ...] = ("train", "train", "train", "test")
    Identities((Assignment(_id(i), f"identity-{i // _PHOTOS_EACH:07d}", 1.0, splits[i // _PHOTOS_EACH % 4])
                for i in range(rows)), digest, {}).write(root / "identities")


def _id(number: int) -> str:
    return f"photo-{number:08d}"


def _rows(real: list[dict[str, Any]], rows: int) -> Iterator[pa.Table]:
    from components.core.people.writer import schema

    dice = np.random.default_rng(0)
    for start in range(0, rows, _AT_ONCE):
        many = min(_AT_ONCE, rows - start)
        digests = [dice.bytes(32).hex() for _ in range(many)]
        yield pa.Table.from_pylist([
            {**real[i % len(real)], "id": _id(start + i), "photo": f"{_id(start + i)}.jpg", "photo_digest": digests[i],
             "inputs_digest": digests[i][::-1], "perceptual_hash": digests[i]} for i in range(many)], schema=schema())


def measure(root: Path) -> dict[str, float]:
    """Open, read and address; in this process, which should be fresh."""
    from components.core.people.dataset import PeopleDataset
    from components.core.people.identities import Identities, Pairs

    start_mb = _resident()
    found: dict[str, float] = {}
    people, found["open_s"] = _timed(lambda: PeopleDataset.open(root / "people"))
    found["open_mb"] = _resident() - start_mb
    dice = np.random.default_rng(1)
    chosen = dice.integers(0, len(people), _READS).tolist()
    _, found["index_s"] = _timed(lambda: people.index(_id(chosen[0])))
    found["index_us"] = 1e6 / _READS * _timed(lambda: [people.index(_id(i)) for i in chosen])[1]
    found["record_us"] = 1e6 / _READS * _timed(lambda: [people.records[i] for i in chosen])[1]
    found["person_ms"] = 1e3 / _READS * _timed(lambda: [people[i] for i in chosen])[1]
    identities, found["identities_s"] = _timed(lambda: Identities.open(root / "identities"))
    groups, found["members_s"] = _timed(lambda: identities.members(people, "train"))
    pairs = Pairs(groups.values())
    found["pairs"] = len(pairs)
    numbers = dice.integers(0, len(pairs), _PAIRS).tolist()
    found["pair_us"] = 1e6 / _PAIRS * _timed(lambda: [pairs[k] for k in numbers])[1]
    found["all_mb"] = _resident() - start_mb
    return found


def markdown(figures: dict[int, dict[str, float]]) -> str:
    """The figures as a Markdown table, a row for each size."""
    lines = ["| rows | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for rows, values in figures.items():
        cells = [f"{values[key]:,.0f}" if values[key] >= 100 else f"{values[key]:.2g}" for key in COLUMNS]
        lines.append(f"| {rows:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _resident() -> float:
    """The most memory that this process ever had, in MB (not what it inherited, as getrusage counts it)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
