"""A study of loss weights: its name for the workers, and the table of its trials beside the winner's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.artifacts.files import read_json, write_json

FORMAT = "photoshoot.study/1"
CARD = "study.json"
TABLE = "trials.json"
HISTORY, FRONT, PARALLEL, IMPORTANCE = "history.png", "front.png", "parallel.png", "importance.png"
"""Plots beside the table."""


def write_study(folder: Path, name: str) -> None:
    """Write which study the workers share."""
    write_json(folder / CARD, {"format": FORMAT, "study": name}, indent=None)


def read_study(folder: Path) -> str:
    """The study's name. Raises `InputError` where there is none, `DataError` for a torn file or another format."""
    return str(read_json(folder / CARD, FORMAT, "study", "photoshoot tune", {"study": str})["study"])


def write_trials(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a row for each trial."""
    write_json(folder / TABLE, list(rows))
