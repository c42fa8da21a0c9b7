"""An evaluation: metrics with intervals and counts, the metrics of each pair, pictures, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core.artifacts.files import (
    MAYBE_NUMBER,
    METRIC,
    NUMBER,
    Each,
    misfit,
    read_json,
    read_lines,
    write_json,
    write_lines,
)
from components.core.documents import MOST_JSON, Unreadable, json_object, read_bytes
from components.core.errors import DataError, InputError

FORMAT = "photoshoot.evaluation/2"
METRICS = "metrics.json"
PAIRS = "pairs.jsonl"
REPORT = "report.html"
SHEET = "contact_sheet.png"
SAMPLES, SAMPLES_CARD = "samples", "samples.json"
"""Folder with the sheet's rows as strips, and in it the file that says what they show."""
MEMORISATION = "memorisation"
"""Folder with the worst pairs of the tests of memorisation as strips."""
SOURCES = {"given": "files that were brought", "landmarks": "landmarks", "densepose": "DensePose", "grabcut": "GrabCut",
           "silhouette": "the pose map's outline"}
"""Where pose maps and mattes come from, as `PersonRecord` names it, for people to read."""
_RENAMED = {"plain warp": "texture warp"}
"""What 0.1 wrote over a column of the sheet -> its name."""
_COMMAND = "photoshoot evaluate"
_TEXTS, _PARTS = Each(str, lists=True), Each({"l1": METRIC})
_CONTROL = {"expected": str, "verdict": str, "failed_lines": _TEXTS, "behaved": bool, "reason?": str}
_SHAPE = {
    "model": {"digest": str, "bytes": NUMBER, "generator": str, "resolution": int, "texel": int, "trained_on": str,
              "settings": {"steps": int, "batch": int}},
    "people": {"digest": str, "origin": str, "accepted": int, "pose_maps?": Each(int), "mattes?": Each(int),
               "rejected": Each({"photo": str, "reason": str}, lists=True)},
    "identities": {"digest": str, "scores": {"set_aside?": list, "identities_per_split?": Each(int),
                                             "photos_per_split?": Each(int)}},
    "settings": {"split": str}, "size?": int, "counts": Each(int), "notes": _TEXTS, "networks": Each(str),
    "judge": {"embedder": str, "judge_in_loss": bool, "face_loss?": str},
    "metrics": Each(METRIC), "parts?": _PARTS, "memorisation?": Each(METRIC), "controls?": Each(_CONTROL),
    "baselines": {"texture_warp": {"parts?": _PARTS}},
}
"""What readers rely on; the gate looks at each metric again and fails closed."""
_OF_PAIRS = ("ssim?", "psnr?", "l1?", "matte_iou?", "perceptual?", "pose?", "face_similarity?")
_PAIR = {"kind": str, "identity": str, "source": str, "target": str,
         "parts?": Each(MAYBE_NUMBER), "slices?": Each(str), **dict.fromkeys(_OF_PAIRS, NUMBER)}
_SAMPLES = {"columns": Each(str, lists=True), "gap": NUMBER,
            "rows": Each({"file": str, "caption": str, "key?": str}, lists=True)}


def write_metrics(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the metrics: everything that is said of the model."""
    write_json(folder / METRICS, {"format": FORMAT, **content}, allow_nan=False)


def read_metrics(folder: Path, *, whole: bool = False) -> dict[str, Any]:
    """The metrics. Raises `InputError` where there are none, `DataError` for a torn file, another format, or values of
    another kind than they must be; where `whole`, also for one that lacks anything that a version rests on."""
    shape = _SHAPE if whole else {f"{key.removesuffix('?')}?": below for key, below in _SHAPE.items()}
    return read_json(folder / METRICS, FORMAT, "evaluation", _COMMAND, shape)


def judged_at(content: Mapping[str, Any]) -> int | None:
    """The side of the pictures that metrics are of, in pixels: before there was a choice, the model's own."""
    size = content.get("size") or content.get("model", {}).get("resolution")
    return None if size is None else int(size)


def write_pairs(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a line for each pair: kind, identity, source, target, and the metrics."""
    write_lines(folder / PAIRS, lines)


def read_pairs(folder: Path) -> list[dict[str, Any]]:
    """The lines of all pairs. Raises `InputError` where there is no such file, `DataError` for a torn one."""
    path = folder / PAIRS
    try:
        return read_lines(path, _PAIR)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("no evaluation here", path=path, remedy=f"make one with `{_COMMAND}`") from None
    except Unreadable as error:
        raise DataError(f"damaged evaluation ({error})", path=path, remedy=f"`{_COMMAND}` again") from None


def write_samples(folder: Path, columns: Sequence[str], gap: int, rows: Sequence[Mapping[str, str]]) -> None:
    """Write into the folder of samples what they show: of each row its {file, caption, key}."""
    write_json(folder / SAMPLES_CARD, {"columns": list(columns), "gap": gap, "rows": list(rows)})


def read_samples(evaluation: Path) -> dict[str, Any]:
    """What `write_samples` wrote; no rows where none were kept. Raises `DataError` for a torn file."""
    path = evaluation / SAMPLES / SAMPLES_CARD
    if not path.is_file():
        return {"columns": [], "gap": 0, "rows": []}
    try:
        found = json_object(read_bytes(path, MOST_JSON))
        if reason := misfit(found, _SAMPLES):
            raise Unreadable(reason)
    except Unreadable as error:
        raise DataError(f"damaged samples ({error})", path=path, remedy=f"`{_COMMAND}` again") from None
    return {**found, "columns": [_RENAMED.get(name, name) for name in found["columns"]]}
