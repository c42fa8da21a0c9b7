"""YAML, JSON and CSV within bounds: what is whole is read as its library reads it, what overflows is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.core import documents
from components.core.documents import Unreadable, csv_rows, json_value, yaml_value

ROOT = Path(__file__).resolve().parents[3]
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True))
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text("abc", min_size=1), below, max_size=4),
    max_leaves=20)


@given(TREES)
def test_what_is_whole_is_read(tree: Any) -> None:
    assert json_value(json.dumps(tree)) == tree
    text = yaml.safe_dump(tree, allow_unicode=True)
    assert yaml_value(text) == yaml.safe_load(text)


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=9)


@given(st.lists(st.lists(CELLS, min_size=1), max_size=5))
def test_rows_are_those_of_the_csv_module(rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    text = buffer.getvalue()
    assert [row for _, row in csv_rows(text, ",")] == list(csv.reader(io.StringIO(text, newline="")))


def test_anchors_that_are_used_sensibly_are_read() -> None:
    assert yaml_value("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]") == {
        "a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}


@pytest.mark.parametrize(("read", "text", "reason"), [
    (yaml_value, LAUGHS, "stands for more than"),
    (yaml_value, "&a [*a]", "what it stands in"),
    (yaml_value, "[" * 100_000, "deeper"),
    (yaml_value, "- " * 100_000, "deeper"),
    (yaml_value, "a: " + "9" * 200_000, "digits"),
    (yaml_value, "x" * (documents.MOST_YAML + 1), "more than 256 kB"),
    (yaml_value, "!!int ''", "no kind that YAML knows"),
    (yaml_value, "2001-99-99", "no kind that YAML knows"),
    (yaml_value, "!!python/object/apply:os.system [true]", "constructor"),
    (yaml_value, "--- 1\n--- 2", "several documents"),
    (json_value, "[" * 1_000_000, "deeper"),
    (json_value, "[" * 70 + "]" * 70, "deeper"),
    (json_value, "9" * 6_000, "digits"),
    (json_value, "[9223372036854775808]", "64 bits"),
    (json_value, "1e999", "beyond"),
    (json_value, "[NaN]", "NaN"),
    (json_value, b"\xff", "UTF-8"),
    (lambda text: list(csv_rows(text, ",")), '"' + "x" * 200_000, "line 1"),
    (lambda text: list(csv_rows(text, ",")), "x" * 40_000, "a cell of more than"),
])
def test_what_overflows_is_refused_at_once(read: Callable[[Any], Any], text: Any, reason: str) -> None:
    began = time.process_time()
    with pytest.raises(Unreadable, match=reason) as refused:
        read(text)
    assert len(str(refused.value).splitlines()) == 1 and len(str(refused.value)) < 400
    assert time.process_time() - began < 5


def test_files_of_others_are_read_here_alone() -> None:
    """What is left reads what a process of ours said, answers of servers that a library bounds, or what ships."""
    others = {
        "components/core/documents.py", "components/core/errors.py", "components/core/tensors.py",
        "components/core/networks/pretrained/weights.py", "components/core/record/step.py",
        "components/register/try_out.py", "components/train/processes/worker.py", "components/train/processes/nodes.py",
        "pipelines/doctor/networks.py", "pipelines/doctor/machine.py", "pipelines/containers/engines.py",
        "pipelines/containers/runner.py", "pipelines/kubeflow/server.py", "pipelines/local/execution.py",
        "pipelines/local/runner.py", "pipelines/pretraining/publish.py", "pipelines/containers/sbom.py",
    }
    parses = re.compile(r"\bjson\.loads?\(|\byaml\.(safe_|full_|unsafe_)?load(_all)?\(|\bcsv\.(reader|DictReader)\(")
    found = {path.relative_to(ROOT).as_posix() for room in ("components", "pipelines", "photoshoot")
             for path in (ROOT / room).rglob("*.py") if parses.search(path.read_text(encoding="utf-8"))}
    assert {name for name in found if "/bench/" not in name and "/experiments/" not in name} <= others
