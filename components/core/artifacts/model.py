"""A trained model: the generator (`core.networks.generator.reposer` reads and writes it), the training's card and its
losses by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.artifacts.files import MAYBE_NUMBER, Each, misfit, write_json
from components.core.atomic import atomic_path
from components.core.documents import MOST_JSON, json_object, read_bytes
from components.core.errors import InputError

FORMAT = "photoshoot.model/3"
GENERATOR = "generator.safetensors"
CARD = "model.json"
CURVES, CURVES_FORMAT = "curves.json", "photoshoot.curves/1"
_CURVES = {"steps": Each(int, lists=True), "series": Each(Each(MAYBE_NUMBER, lists=True))}


def generator_of(model: Path) -> Path:
    """The generator's file in a model folder. Raises `InputError` where there is none."""
    weights = model / GENERATOR
    if not weights.is_file():
        raise InputError("no generator here", path=weights, remedy="train one with `photoshoot train`")
    return weights


def write_card(model: Path, card: Mapping[str, Any]) -> None:
    """Write what the training did, atomically: that it is there says that the training is done."""
    with atomic_path(model / CARD) as partial:
        write_json(partial, card)


def read_card(model: Path) -> dict[str, Any] | None:
    """What `write_card` wrote; None where there is none, or a torn one."""
    return _read(model / CARD)


def write_curves(model: Path, steps: list[int], series: Mapping[str, list[float | None]]) -> None:
    """Write metrics logged while training: for each a value or null per step, at `steps`."""
    with atomic_path(model / CURVES) as partial:
        write_json(partial, {"format": CURVES_FORMAT, "steps": steps, "series": series}, indent=None)


def read_curves(model: Path) -> dict[str, Any] | None:
    """What `write_curves` wrote; None where there is none (a model trained elsewhere), torn or of another format."""
    content = _read(model / CURVES)
    whole = content and content.get("format") == CURVES_FORMAT and not misfit(content, _CURVES)
    return content if whole else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json_object(read_bytes(path, MOST_JSON), finite=False)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
