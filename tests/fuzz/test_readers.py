"""Whatever a file holds, its reader takes it or refuses it in one line, in seconds, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import Reader, attack, mutated
from readers import readers

ALL, FEW = 10_000, 6


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> list[Reader]:
    return readers(tmp_path_factory.mktemp("made"))


def _read_all(every: list[Reader], times: int, tmp_path: Path, seed: int) -> Counter[str]:
    """Each reader is given each of its examples, then mutations of them; how many it refused."""
    refused: Counter[str] = Counter()
    for number, reader in enumerate(every):
        folder = tmp_path / str(number)
        (folder / reader.file).parent.mkdir(parents=True)
        for example in reader.seeds:
            attack(reader, example, folder)
        for case in range(times):
            draw = random.Random(f"{seed} {reader.name} {case}")
            data = mutated(draw.choice(reader.seeds), draw)
            try:
                refused[reader.name] += attack(reader, data, folder)
            except BaseException:
                kept = folder.with_name(f"failed-{number}-{case}")
                shutil.copytree(folder, kept)
                print(f"{reader.name}: case {case} of seed {seed}, kept in {kept}: {data[:300]!r}")
                raise
        shutil.rmtree(folder)
    return refused


def test_broken_files_are_refused_in_a_line(every: list[Reader], tmp_path: Path) -> None:
    refused = _read_all(every, FEW, tmp_path, seed=1)
    assert sum(refused.values()) > len(every)


@pytest.mark.endurance
def test_ten_thousand_broken_files_are_refused_in_a_line(every: list[Reader], tmp_path: Path) -> None:
    """Other ones each day; PHOTOSHOOT_FUZZ_SEED repeats those of a failure."""
    seed = int(os.environ.get("PHOTOSHOOT_FUZZ_SEED", "0")) or random.randrange(1, 2**31)
    refused = _read_all(every, -(-ALL // len(every)), tmp_path, seed)
    tolerant = {"curves", "card of a model", "entry of the ledger", "index of a mirror", "reference", "checkpoint",
                "note of a checkpoint", "entry of the cache"}  # what is broken counts as absent
    assert {reader.name for reader in every} - tolerant <= {name for name, count in refused.items() if count}
