"""The same tensors are the same bytes, whoever writes them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from components.core.tensors import in_order, tensor_bytes

ROOT = Path(__file__).resolve().parents[3]
WRITE = """
import hashlib, sys, torch
from components.core.tensors import tensor_bytes
names = sorted({f"layer.{n}" for n in range(20)}, key=hash)
tensors = {name: torch.full((3,), float(name[6:])) for name in names}
content = tensor_bytes(tensors, {f"key {name}": name for name in names})
print(hashlib.sha256(content).hexdigest())
"""


def _header(content: bytes) -> dict[str, object]:
    end = 8 + int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8:end]))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=8),
       st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="_"), min_size=1, max_size=8),
                       st.lists(st.floats(width=32), max_size=4), min_size=1, max_size=6))
def test_order_of_keys_says_nothing_and_the_content_stays(
        metadata: dict[str, str], values: dict[str, list[float]]) -> None:
    tensors = {name: torch.tensor(value, dtype=torch.float64 if len(value) % 2 else torch.float16)
               for name, value in values.items()}
    content = tensor_bytes(tensors, metadata)
    assert content == tensor_bytes(dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert content == in_order(save(tensors, metadata)) == in_order(content)
    found = load(content)
    assert found.keys() == tensors.keys() and all(torch.equal(found[name].nan_to_num(), one.nan_to_num())
                                                  for name, one in tensors.items())
    assert _header(content).get("__metadata__", {}) == metadata


def test_processes_with_other_hash_seeds_write_the_same_bytes() -> None:
    digests = {subprocess.run([sys.executable, "-c", WRITE], cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE,
                              env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}).stdout
               for seed in ("1", "2")}
    assert len(digests) == 1


@pytest.mark.parametrize("room", ["components", "pipelines", "photoshoot"])
def test_nobody_else_writes_safetensors(room: str) -> None:
    writes = re.compile(r"\bsave_file\(|safetensors(\.torch)?\.save\b|import .*\bsave_file\b")
    found = [path for path in (ROOT / room).rglob("*.py") if writes.search(path.read_text(encoding="utf-8"))]
    assert not found
