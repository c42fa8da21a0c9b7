"""The comparison of a new model with the champion, pair by pair: paired metrics, and the champion's of each pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.core.artifacts.files import METRIC, Each, read_json, write_json, write_lines

FORMAT, COMPARISON = "photoshoot.comparison/1", "comparison.json"
CHAMPION_PAIRS = "champion_pairs.jsonl"
_FORMER_FORMAT, _FORMER = "photoshoot.duel/1", "duel.json"
"""What version 0.1 wrote; it called the metrics figures."""
_COMMAND = "photoshoot challenge"
_PAIRED = Each(dict.fromkeys(("champion", "challenger", "gain"), METRIC))
_SHAPE = {"model?": str, "evaluation?": str, "status": str, "reason?": str, "pairs?": int,
          "champion?": {"version": str, "digest?": str}, "metrics?": _PAIRED, "figures?": _PAIRED, "parts?": _PAIRED,
          "slices?": _PAIRED}


def write_comparison(folder: Path, content: Mapping[str, Any]) -> None:
    """Write whom the model was compared with, on how many pairs, and what came of it."""
    write_json(folder / COMPARISON, {"format": FORMAT, **content}, allow_nan=False)


def read_comparison(folder: Path) -> dict[str, Any]:
    """What `write_comparison` wrote, or version 0.1 in its format. Raises `InputError` where there is none, `DataError`
    for a torn file or another format."""
    if (folder / COMPARISON).exists() or not (folder / _FORMER).exists():
        return read_json(folder / COMPARISON, FORMAT, "comparison", _COMMAND, _SHAPE)
    found = read_json(folder / _FORMER, _FORMER_FORMAT, "comparison", _COMMAND, _SHAPE)
    return {"metrics" if key == "figures" else key: value for key, value in found.items()} | {"format": FORMAT}


def write_champion_pairs(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write the champion's metrics of each pair."""
    write_lines(folder / CHAMPION_PAIRS, lines)
