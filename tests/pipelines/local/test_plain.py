"""The whole pipeline on photos without pose maps: people who do not exist, and real ones where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from networks import needs_weights
from smoke import run_pipeline

from components.cluster import cluster
from components.core.people.dataset import PeopleDataset
from components.core.settings import ClusterSettings, PreprocessSettings
from components.core.stores.published import GROUPS
from components.preprocess import preprocess


@pytest.mark.long
@pytest.mark.timeout(900)  # two cores with others at work
def test_photos_without_pose_maps_end_with_a_version(tmp_path: Path) -> None:
    needs_weights(*GROUPS["landmarks"])
    pytest.importorskip("ai_edge_litert")
    code, told, said = run_pipeline(tmp_path, "--set", "synthesize.write_maps=false", "--set", "synthesize.height=192",
                                    "--set", "synthesize.people=8", "--set", "synthesize.photos_per_person=3")
    assert code == 0, said
    assert told["status"] == "succeeded" and told["model_version"]
    (where,) = tmp_path.rglob("manifest.parquet")
    people = PeopleDataset.open(where.parent)
    assert len(people) >= 20 and people.counted("pose_source") == {"landmarks": len(people)}
    assert people.counted("matte_source") == {"landmarks": len(people)}
    assert min(people.column("confidence")) >= 0.45
    report = Path(told["report"]).read_text(encoding="utf-8")
    assert f"<dt>Pose maps</dt><dd>{len(people)} from landmarks</dd>" in report


def test_real_photos_without_pose_maps_are_told_apart_as_with_them(shared_data: Path, tmp_path: Path) -> None:
    needs_weights(*GROUPS["landmarks"], "sface")
    pytest.importorskip("ai_edge_litert")
    plain = tmp_path / "plain"
    shutil.copytree(shared_data / "people" / "photos", plain / "photos")
    shutil.copy(shared_data / "people" / "labels.csv", plain)
    settings = PreprocessSettings(resolution=64, texel=16, matte="silhouette")
    summary = preprocess(plain, tmp_path / "people", settings)
    assert summary.pose_maps == {"landmarks": summary.accepted} and summary.accepted >= 19  # video frames repeat
    found = cluster(tmp_path / "people", tmp_path / "identities", ClusterSettings())
    assert found.bcubed is not None and (found.bcubed.precision, found.bcubed.recall) == (1.0, 1.0)
    assert len(found.set_aside) == 2  # two are seen from behind
