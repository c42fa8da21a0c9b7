"""The comparison of a new model with the champion, pair by pair: paired metrics, and the champion's answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.core.artifacts.files import read_json, write_json, write_lines

FORMAT = "photoshoot.duel/1"
DUEL = "duel.json"
ANSWERS = "champion_pairs.jsonl"


def write_duel(folder: Path, content: Mapping[str, Any]) -> None:
    """Write whom the model was compared with, on how many pairs, and what came of it."""
    write_json(folder / DUEL, {"format": FORMAT, **content}, allow_nan=False)


def read_duel(folder: Path) -> dict[str, Any]:
    """What `write_duel` wrote. Raises `InputError` where there is none, `DataError` for a torn file or another
    format."""
    return read_json(folder / DUEL, FORMAT, "comparison", "photoshoot challenge")


def write_answers(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write the champion's metrics of each pair."""
    write_lines(folder / ANSWERS, lines)
