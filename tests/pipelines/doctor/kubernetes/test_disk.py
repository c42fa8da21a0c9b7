"""What tasks fill of a node's disk, and the doctor's word on nodes that are too small."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.utils import parse_quantity

from components.core.presets import preset
from pipelines.doctor.finding import Level
from pipelines.doctor.kubernetes.disk import Amount, amount_of_photos, disk_findings, needs
from pipelines.profile import load_profile

GIB = 1 << 30
TASKS = ["preprocess-part", "gather", "cluster", "train"]


def _node(storage: str, **labels: str) -> Any:
    taints = [SimpleNamespace(key="nvidia.com/gpu", value="present", effect="NoSchedule")] if labels else []
    return SimpleNamespace(metadata=SimpleNamespace(name="n", labels=labels), spec=SimpleNamespace(taints=taints),
                           status=SimpleNamespace(allocatable={"ephemeral-storage": storage}))


def test_photos_are_counted_and_their_maps_are_not(tmp_path: Path) -> None:
    for name, size in (("a.jpg", 100), ("deeper/b.HEIC", 200), ("iuv/a.png", 30), ("labels.csv", 4)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    assert amount_of_photos(str(tmp_path), preset("smoke")) == Amount(2, 334)
    assert amount_of_photos(None, preset("smoke")).count == 12 * 4


def test_what_a_task_needs_grows_with_the_photos_and_shards_share_it() -> None:
    settings = preset("deepfashion-512").with_changes(["preprocess.shards=8"])
    few, many = (needs(TASKS, Amount(count, count * 2_000_000), settings) for count in (1000, 50_000))
    assert all(many[task] > few[task] for task in TASKS)
    assert many["gather"] > many["cluster"] == many["train"] > 50_000 * 512 * 512
    one = needs(TASKS, Amount(50_000, 10**11), settings.with_changes(["preprocess.shards=1"]))
    assert one["preprocess-part"] > many["preprocess-part"]


def test_nodes_that_are_too_small_are_a_problem_before_the_run() -> None:
    profile = load_profile("gke-spot")
    gpu = profile.pool("gpu").node_selector
    nodes = [_node("45Gi"), _node("150Gi", **gpu)]
    assert {one.level for one in disk_findings(nodes, profile, dict.fromkeys(TASKS, 40 * GIB))} == {Level.OK}
    found = disk_findings(nodes, profile, {"gather": 50 * GIB, "cluster": 20 * GIB, "preprocess-part": 200 * GIB})
    assert [(one.level, one.what) for one in found] == [
        (Level.PROBLEM, "cpu nodes: disk for gather"), (Level.PROBLEM, "gpu nodes: disk for preprocess-part")]
    assert (found[0].found, found[0].wanted) == ("at most 45.0 GiB on a node", "50.0 GiB for these photos")
    assert all("--disk-size" in one.how_to_mend for one in found) and "preprocess.shards" in found[1].how_to_mend


@pytest.mark.parametrize("name", ["gke-spot", "gke-ondemand"])
def test_what_shipped_profiles_ask_for_is_on_the_nodes_that_the_guide_makes(name: str) -> None:
    """GKE keeps of a boot disk the least of half, 6 GiB + 35 % and 100 GiB, and evicts from 10 % free
    (cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes)."""
    guide = (Path(__file__).resolve().parents[4] / "docs" / "gke.md").read_text()
    sizes = {"cpu": re.search(r"e2-standard-8 --disk-size=(\d+)", guide),
             "gpu": re.search(r"--disk-size=(\d+) --num-nodes=0", guide)}
    profile = load_profile(name)
    for pool, size in sizes.items():
        assert size
        disk = int(size[1]) * 1e9
        free = disk - min(disk / 2, 6 * GIB + 0.35 * disk, 100 * GIB) - 0.1 * disk
        for task in ("gather", "cluster", "preprocess", "train", "evaluate"):
            placement = profile.step(task)
            if placement.pool == pool:
                assert parse_quantity(placement.scratch) <= free, (task, free / GIB)
