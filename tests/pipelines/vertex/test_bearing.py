"""What Vertex AI bears of profiles and settings, what it drops, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.errors import InputError, SettingsError
from components.core.presets import preset
from components.core.settings import Settings
from pipelines.kubeflow.feasible import refuse_impossible
from pipelines.kubeflow.submit import Order, compiled
from pipelines.profile import Profile, load_profile, names
from pipelines.vertex.bearing import Borne, borne
from pipelines.vertex.document import pipeline_spec
from pipelines.vertex.jobs import request

Call = Callable[..., tuple[int, str, str]]
REGISTRY = "europe-west4-docker.pkg.dev/p1/photoshoot"
MLFLOW = "tracking_uri: https://mlflow.example.org\n"


@pytest.fixture
def profile_of(tmp_path: Path) -> Callable[[str], Profile]:
    """A profile from its text."""
    def load(text: str) -> Profile:
        path = tmp_path / "own.yaml"
        path.write_text(text)
        return load_profile(str(path))

    return load


def _settings(**changes: Any) -> Settings:
    return Settings.model_validate(preset("smoke").to_tree() | changes)


def test_a_clusters_profile_says_what_is_dropped_by_name(profile_of: Callable[[str], Profile]) -> None:
    kept = borne(_settings(), profile_of(
        f"base: gke-spot\n{MLFLOW}queue: gpus\ntrain_jobs: true\nimage_pull_policy: Always\n"
        "image_pull_secrets: [registry]\nnotify: {secret: hook}\n"))
    assert kept.accelerator == "NVIDIA_L4" and kept.count == 1 and kept.service_account is None
    dropped = "; ".join(kept.dropped)
    for name in ("service_account photoshoot-runner", "queue gpus", "train_jobs", "image_pull_policy Always",
                 "image_pull_secrets registry", "notify hook", "cloud.google.com/gke-spot, photoshoot.dev/pool",
                 "pools.gpu.tolerations", "shared_memory of preprocess", "scratch of default", "timeout of default",
                 "secrets photoshoot-mlflow-client, photoshoot-studies"):
        assert dropped.count(name) == 1, name
    assert "gke-accelerator" not in dropped, "it became the accelerator"
    assert not any(step.secrets or step.scratch or step.shared_memory for step in kept.profile.steps.values())
    assert borne(_settings(), profile_of(f"base: vertex\n{MLFLOW}")).dropped == ()


@pytest.mark.parametrize(("text", "changes", "says"), [
    ("base: vertex\nstate_claim: files\n" + MLFLOW, {}, "volume files -- state: gs://"),
    ("base: vertex\n" + MLFLOW, {"train": {"nodes": 2}}, "train.nodes=2: .* -- train.nodes=1"),
    ("base: vertex\n" + MLFLOW, {"tune": {"enabled": True}}, "PHOTOSHOOT_STUDIES.*tune.enabled=false"),
    ("base: vertex", {}, "no tracking_uri"),
    ("base: gke-spot", {}, "photoshoot-mlflow:5000 of profile own is an address inside a cluster"),
    ("base: vertex\ntracking_uri: http://mlflow.ml.svc.cluster.local", {}, "inside a cluster"),
    ("base: vertex\ntracking_uri: http://127.0.0.1:5000", {}, "one machine"),
    (MLFLOW + "pools: {gpu: {count: 1}}", {}, "which accelerator the pool gpu is"),
])
def test_what_cannot_work_is_refused_with_the_setting_to_change(
    profile_of: Callable[[str], Profile], text: str, changes: dict[str, Any], says: str
) -> None:
    profile = profile_of(text)
    with pytest.raises(SettingsError, match=says):
        borne(_settings(**changes), profile)


@pytest.mark.parametrize("base", names())
@pytest.mark.parametrize(("added", "changes"), [
    ("", {}), ("", {"preprocess": {"shards": 8}}), ("queue: gpus\n", {}), ("state: gs://bucket/state\n", {}),
    ("state_claim: files\n", {}), ("state_claim: files\nstate_access_mode: ReadWriteMany\n", {}),
    ("state: gs://bucket/state\ntrain_jobs: true\n", {"train": {"nodes": 2}}), ("", {"tune": {"enabled": True}})])
def test_every_shipped_profile_is_borne_or_refused_in_one_line(
    profile_of: Callable[[str], Profile], base: str, added: str, changes: dict[str, Any]
) -> None:
    profile = profile_of(f"base: {base}\n{MLFLOW}{added}")
    if "claim" in added or {"tune", "train"} & set(changes):
        with pytest.raises(SettingsError) as caught:
            borne(_settings(**changes), profile)
        assert "\n" not in str(caught.value) and caught.value.remedy
        return
    kept = borne(_settings(**changes), profile)
    assert ("queue gpus" in kept.dropped) == ("queue" in added) and (kept.profile.state is not None) == bool(
        "state" in added)
    assert kept.accelerator == ("NVIDIA_L4" if kept.count else "")


@pytest.mark.parametrize("text", [
    "vertex: {root: /here}", "vertex: {labels: {Team: a}}", "vertex: {labels: {team: 'A b'}}", "vertex: {zone: a}"])
def test_a_place_on_vertex_is_checked_when_the_profile_is_read(profile_of: Callable[[str], Profile], text: str) -> None:
    with pytest.raises(SettingsError, match=r"profile .*own\.yaml: vertex"):
        profile_of(text)


def test_arguments_choose_the_accelerator(profile_of: Callable[[str], Profile]) -> None:
    profile = profile_of(f"base: vertex\n{MLFLOW}")
    kept = borne(_settings(), profile, {"gpu_accelerator": "NVIDIA_H100_80GB", "gpu_count": "8"})
    assert (kept.accelerator, kept.count) == ("NVIDIA_H100_80GB", 8)
    with pytest.raises(InputError, match="gpu_accelerator and gpu_count"):
        borne(_settings(), profile, {"gpu_node_selector": "{a: b}"})
    with pytest.raises(InputError, match="gpu_count=many"):
        borne(_settings(), profile, {"gpu_count": "many"})


def test_the_profile_of_vertex_is_refused_on_kubeflow() -> None:
    with pytest.raises(SettingsError, match="NVIDIA_L4 of profile vertex is no resource of Kubernetes"):
        refuse_impossible(_settings(), load_profile("vertex"))


@pytest.mark.parametrize("count", ["1", "0"])
def test_shards_and_a_study_in_the_services_terms(
    profile_of: Callable[[str], Profile], checked: Callable[[dict[str, Any]], None], count: str
) -> None:
    settings = _settings(preprocess={"shards": 3}, tune={"enabled": True, "workers": 2})
    profile = profile_of(f"base: vertex\n{MLFLOW}parallelism: 2\n"
                         "steps: {tune: {pool: gpu, environment: {PHOTOSHOOT_STUDIES: 'postgresql://db.example.org/s'}},"
                         " prepare-study: {environment: {PHOTOSHOOT_STUDIES: 'postgresql://db.example.org/s'}},"
                         " select-weights: {environment: {PHOTOSHOOT_STUDIES: 'postgresql://db.example.org/s'}}}\n")
    job = request(Order(settings, profile, registry=REGISTRY), borne(settings, profile, {"gpu_count": count}),
                  "gs://bucket/runs")
    checked(job)
    assert "node_selector" not in str(job) and "pipelinechannel--gpu" not in str(job)
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    for name in ("exec-preprocess-part", "exec-tune-worker", "exec-train"):
        assert ("accelerator" in executors[name]["container"]["resources"]) is (count == "1")
    assert "accelerator" not in executors["exec-gather"]["container"]["resources"]
    loops = [task for task in job["pipelineSpec"]["root"]["dag"]["tasks"].values() if "parameterIterator" in task]
    assert [task["iteratorPolicy"]["parallelismLimit"] for task in loops] == [2, 2]


def test_what_goes_to_kubeflow_is_not_what_vertex_takes(checked: Callable[[dict[str, Any]], None]) -> None:
    """The tests' service tells them apart, so that it would notice what is left of Kubernetes."""
    spec = compiled(Order(_settings(), load_profile("gke-spot"), registry=REGISTRY), "")[0]
    job: dict[str, Any] = {"displayName": "a", "pipelineSpec": spec, "labels": {},
           "runtimeConfig": {"gcsOutputDirectory": "gs://b", "parameterValues": {}}}
    job["runtimeConfig"]["parameterValues"] = dict.fromkeys(spec["root"]["inputDefinitions"]["parameters"], "")
    with pytest.raises(Exception, match="Unsupported resource"):
        checked(job)


def test_photos_images_and_root_have_to_be_in_reach(profile_of: Callable[[str], Profile], tmp_path: Path) -> None:
    profile = profile_of(f"base: vertex\n{MLFLOW}")
    kept: Borne = borne(_settings(), profile)
    with pytest.raises(InputError, match="copy the photos to a bucket"):
        pipeline_spec(_settings(), kept, str(tmp_path), REGISTRY)
    for root in ("", "/here", "gs://"):
        with pytest.raises(InputError, match="--root gs://bucket/prefix"):
            request(Order(_settings(), profile, registry=REGISTRY), kept, root)
    with pytest.raises(InputError, match="no registry"):
        request(Order(_settings(), profile, registry="own"), kept, "gs://bucket/runs")


def test_compile_writes_the_same_bytes_and_says_what_is_dropped(
    photoshoot: Call, profile_of: Callable[[str], Profile], tmp_path: Path
) -> None:
    profile_of(f"base: gke-ondemand\n{MLFLOW}")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        code, _, err = photoshoot("compile", "--backend", "vertex", "--preset", "smoke", "-o", str(file),
                                  "--profile", str(tmp_path / "own.yaml"))
        assert code == 0 and "no place for these of profile own: service_account photoshoot-runner" in err
    assert files[0].read_bytes() == files[1].read_bytes()
    (document,) = yaml.safe_load_all(files[0].read_text())
    assert document["schemaVersion"] == "2.1.0"
    code, _, err = photoshoot("compile", "--backend", "cloud")
    assert code == 2 and "--backend kubeflow or vertex" in err
    code, _, err = photoshoot("run", "--backend", "vertex", "--preset", "smoke", "--profile",
                              str(tmp_path / "own.yaml"), "--upload", "a")
    assert code == 2 and "--upload applies to Kubeflow only" in err
