"""The TrainJob against the schema of Kubeflow Trainer's own CustomResourceDefinitions, where those are at hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes.client import ApiClient

from components.core.settings import TrainSettings
from components.train.processes.nodes import Machine, manifest
from components.train.processes.worker import Job
from pipelines.profile import load_profile

JOB = Job("gs://b/people", "gs://b/identities", "gs://b/model", "{}", "gs://b/state", "gs://b/report", "run")
ASKING = {
    "metadata": {"name": "asking", "namespace": "team", "uid": "u-1",
                 "labels": {"kueue.x-k8s.io/queue-name": "gpus", "pipeline/runid": "r"}},
    "spec": {"serviceAccountName": "photoshoot-runner", "imagePullSecrets": [{"name": "registry"}],
             "nodeSelector": {"pool": "cpu"},
             "containers": [{"name": "main", "image": "registry/photoshoot-train@sha256:1",
                             "env": [{"name": "PHOTOSHOOT_STATE", "value": "gs://b/state"},
                                     {"name": "MLFLOW_TRACKING_PASSWORD", "valueFrom": {
                                         "secretKeyRef": {"name": "client", "key": "password", "optional": False}}}],
                             "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def schema(shared_data: Path) -> dict[str, Any]:
    """The CRD's schema, as strict as the API server is with fieldValidation=Strict."""
    file = shared_data / "k8s" / "trainer.kubeflow.org_trainjobs.yaml"
    if not file.is_file():
        pytest.skip("no CRDs of Kubeflow Trainer beside the repository")
    (definition,) = yaml.safe_load_all(file.read_text())
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1alpha1"]
    return dict(_strict(version["schema"]["openAPIV3Schema"], top=True))


def _strict(schema: Any, top: bool = False) -> Any:
    """Fields that the schema does not name are refused; `int-or-string` is what it says."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) if key not in ("properties", "default", "enum") else value
            for key, value in schema.items()}
    if "properties" in schema:
        made["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        if top:  # metadata is an object of any fields in a CRD: the API server has a schema of its own
            made["properties"]["metadata"] = {"type": "object"}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        made = {"type": ["integer", "string"], **({"pattern": schema["pattern"]} if "pattern" in schema else {})}
    return made


def _errors(schema: dict[str, Any], body: dict[str, Any]) -> list[str]:
    found = Draft202012Validator(schema).iter_errors(body)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def _asking() -> Any:
    class Answer:
        data = json.dumps(ASKING)

    return ApiClient().deserialize(Answer(), "V1Pod")


def _made(nodes: int, profile_name: str) -> dict[str, Any]:
    profile = load_profile(profile_name)
    placement, pool = profile.step("train"), profile.pool("gpu")
    machine = Machine.of(placement.model_dump_json(include={"cpu", "memory", "shared_memory", "scratch"}),
                         pool.node_selector, [one.to_kubernetes() for one in pool.tolerations], pool.accelerator,
                         str(pool.count))
    return manifest("photoshoot-train-1", JOB, TrainSettings(nodes=nodes, batch=8), _asking(), machine)


@pytest.mark.parametrize("profile", ["gke-spot", "gke-ondemand"])
@pytest.mark.parametrize("nodes", [1, 2, 8])
def test_the_trainjob_is_one_that_kubeflow_trainer_takes(schema: dict[str, Any], nodes: int, profile: str) -> None:
    made = _made(nodes, profile)
    assert _errors(schema, made) == []
    assert made["spec"]["trainer"]["numNodes"] == nodes


def test_the_schema_refuses_what_the_server_would(schema: dict[str, Any]) -> None:
    for path, value in (("numNodes", "two"), ("nodes", 2), ("numProcPerNode", [])):
        broken = copy.deepcopy(_made(2, "gke-spot"))
        broken["spec"]["trainer"][path] = value
        assert _errors(schema, broken), path
    broken = _made(2, "gke-spot")
    template = broken["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]
    template["template"]["spec"]["template"]["spec"]["hostNetwork"] = True
    assert _errors(schema, broken), "what may be patched is a list of a few fields"


@pytest.mark.parametrize(("profile", "spot"), [("gke-spot", True), ("gke-ondemand", False)])
def test_two_nodes_take_two_gpus_of_the_profiles_pool(profile: str, spot: bool) -> None:
    made = _made(2, profile)
    trainer = made["spec"]["trainer"]
    assert trainer["numNodes"] * int(trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"]) == 2
    assert trainer["numProcPerNode"] == 1 and trainer["resourcesPerNode"]["requests"]["cpu"] == "6"
    (patch,) = made["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = replicated["template"]["spec"]["template"]["spec"]
    assert ("cloud.google.com/gke-spot" in pod["nodeSelector"]) == spot and "pool" not in pod["nodeSelector"]
    assert {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]} == {"/dev/shm", "/scratch"}
    assert {"name": "TMPDIR", "value": "/scratch"} in trainer["env"]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"


def test_machines_without_accelerators_ask_for_none() -> None:
    machine = Machine.of('{"cpu": "2", "memory": "4Gi", "shared_memory": null, "scratch": null}', {}, [], "", "0")
    trainer = manifest("job", JOB, TrainSettings(nodes=2), _asking(), machine)["spec"]["trainer"]
    assert trainer["resourcesPerNode"] == {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    assert trainer["numProcPerNode"] == 1 and not any(one["name"] == "TMPDIR" for one in trainer["env"])
