"""KFP's cache of a home that was moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.local import cache

from pipelines.local import cached


def test_the_cache_finds_in_a_moved_home_what_kfp_cached_before(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "artifacts" / "people").mkdir(parents=True)

    def asked(root: Path) -> dict[str, Any]:
        people = dsl.Dataset(name="people", uri=str(root / "artifacts" / "people"), metadata={})
        outside = dsl.Dataset(name="photos", uri="/data/photos", metadata={})
        return {"component_name": "c", "image": "i", "full_command": ["x"], "arguments": {"a": [people], "b": outside}}

    plain = cache.LocalCache(str(first / "cache"))
    key = plain.compute_key(**asked(first))
    plain.put(key, {"out": dsl.Dataset(name="out", uri=str(first / "artifacts" / "people"), metadata={})})
    shutil.copytree(first, second)
    monkeypatch.setattr(cache, "LocalCache", cache.LocalCache)  # put back at the end
    cached.call_home(str(second), str(first))
    moved = cache.LocalCache(str(second / "cache"))
    assert moved.compute_key(**asked(second)) == key
    found = moved.get(key)
    assert found is not None and found["out"].uri == str(second / "artifacts" / "people")
    shutil.rmtree(second / "artifacts")  # though it is still there in the first
    assert moved.get(key) is None
