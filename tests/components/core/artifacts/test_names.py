"""Names of files and formats of artifacts are spelt in `components.core.artifacts` and nowhere else."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import components.core.artifacts as room

ROOT = Path(__file__).resolve().parents[4]
ROOM = Path(room.__file__).parent
KEPT = ROOT / "components" / "register" / "pyfunc_model.py"
"""Kept with every version as it is: it names the format that it was written for."""


def names() -> set[str]:
    """Every file name with a suffix, and every format, that a module of the room has as a constant."""
    modules = [importlib.import_module(f"{room.__name__}.{found.name}") for found in pkgutil.iter_modules([str(ROOM)])]
    values = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    return {value for value in values if re.fullmatch(r"[a-z_]+\.[a-z]+|photoshoot\.[a-z-]+/\d+", value)}


def spelt(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of a module's strings that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def sources() -> list[Path]:
    return [path for top in ("components", "pipelines", "photoshoot") for path in sorted((ROOT / top).rglob("*.py"))
            if ROOM not in path.parents and path != KEPT]


def test_the_room_has_the_names_that_flow() -> None:
    assert {"generator.safetensors", "model.json", "curves.json", "metrics.json", "pairs.jsonl", "report.html",
            "contact_sheet.png", "samples.json", "comparison.json", "champion_pairs.jsonl", "verdict.json",
            "lineage.json", "preprocess.json", "loss_weights.json", "study.json", "trials.json", "synthetic.json",
            "members.parquet",
            "people.json", "manifest.parquet", "shards.parquet", "summary.json",
            "photoshoot.model/3", "photoshoot.evaluation/2", "photoshoot.comparison/1", "photoshoot.version/1",
            "photoshoot.study/1", "photoshoot.curves/1", "photoshoot.loss-weights/1"} <= names()


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_spells_one(path: Path) -> None:
    known = names()
    assert [(line, text) for line, text in spelt(path) if known & set(text.replace("`", " ").split())
            or text.rpartition("/")[2] in known] == []
