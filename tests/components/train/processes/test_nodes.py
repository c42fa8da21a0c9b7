"""Several machines by a TrainJob, against a small Kubernetes API over real HTTP."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from servers import Handler, gcs_emulator, http_server, kubeconfig, url_of

from components.core.errors import InputError, MachineError, SettingsError
from components.core.people.dataset import PeopleDataset
from components.core.people.identities import Identities
from components.core.record.recorder import NoRecord
from components.core.settings import TrainSettings
from components.core.stores.storage import open_location
from components.train import train
from components.train.loop import TrainSummary
from components.train.processes import nodes

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/photos/trainjobs"
POD = {
    "metadata": {"name": "asking", "namespace": "photos", "uid": "u-1"},
    "spec": {
        "serviceAccountName": "runner", "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [
            {"name": "wait", "image": "argo"},
            {"name": "main", "image": "registry/photoshoot-train@sha256:1",
             "env": [{"name": "PHOTOSHOOT_STATE", "value": "gs://state/s"}, {"name": "MLFLOW_RUN_ID", "value": "r"},
                     {"name": "KFP_POD_NAME", "value": "asking"}],
             "resources": {"limits": {"nvidia.com/gpu": "2", "memory": "8Gi"}},
             "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "claim", "mountPath": "/state"}]},
        ],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}},
                    {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}}],
    },
}  # fmt: skip
RUNNING = {"jobsStatus": [{"name": "node", "active": 2, "ready": 1}]}


def condition(kind: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Suspended", "status": "False"}, {"type": kind, "status": "True", **more}]}


class Kubernetes:
    """Jobs are created, read and deleted; `answers` are the states that a job is seen in, one for each look."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.created: list[dict[str, Any]] = []
        self.queries: list[str] = []
        self.deleted: list[str] = []
        self.refuse: tuple[int, str] | None = None
        self.stumbles: list[Any] = []
        """What the next requests to make a job are answered with: a status, or "made" and then silence."""
        self.on_look: Callable[[int], None] = lambda number: None
        self.looks = 0

    def handler(self) -> type[Handler]:
        """Answers for it over HTTP."""
        outer = self

        class Api(Handler):
            def do_GET(self) -> None:
                if self.path.startswith("/api/v1/namespaces/photos/pods/asking"):
                    return self.reply_json(200, POD)
                assert self.path == f"{JOBS}/{outer.created[-1]['metadata']['name']}"
                outer.looks += 1
                outer.on_look(outer.looks)
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer == "hang up":
                    self.close_connection = True
                    return self.connection.close()
                if isinstance(answer, int):
                    return self.reply_json(answer, {"kind": "Status", "message": f"it is {answer}"})
                self.reply_json(200, outer.created[-1] | {"status": answer})

            def do_POST(self) -> None:
                path, _, query = self.path.partition("?")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert path == JOBS
                outer.queries.append(query)
                stumble = outer.stumbles.pop(0) if outer.stumbles else None
                if isinstance(stumble, int):
                    return self.reply_json(stumble, {"kind": "Status", "message": f"it is {stumble}"})
                if any(one["metadata"]["name"] == body["metadata"]["name"] for one in outer.created):
                    return self.reply_json(409, {"kind": "Status", "reason": "AlreadyExists", "message": "exists"})
                if stumble == "made":
                    outer.created.append(body)
                    self.close_connection = True
                    return self.connection.close()
                if outer.refuse:
                    return self.reply_json(outer.refuse[0], {"kind": "Status", "message": outer.refuse[1]})
                outer.created.append(body)
                self.reply_json(201, body)

            def do_DELETE(self) -> None:
                outer.deleted.append(self.path.partition("?")[0].rsplit("/", 1)[1])
                self.reply_json(200, {"kind": "Status", "status": "Success"})

        return Api


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    cluster = Kubernetes()
    with http_server(cluster.handler()) as server:
        path = kubeconfig(tmp_path / "kubeconfig", url_of(server), namespace="photos")
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        monkeypatch.setenv("HOSTNAME", "asking")
        monkeypatch.setattr(nodes, "_POLL_S", 0.01)
        yield cluster


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with gcs_emulator("state") as url:
        yield url


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("emulator"))
    monkeypatch.setenv("PHOTOSHOOT_CACHE", str(tmp_path / "cache"))
    return f"gs://state/{request.node.name}"


@pytest.fixture
def inputs(make_people: Callable[..., tuple[Path, Path]], bucket: str) -> tuple[str, str]:
    places = f"{bucket}/people", f"{bucket}/identities"
    for folder, place in zip(make_people(side=32, counts=(2, 1)), places, strict=True):
        open_location(place).upload(folder)
    return places


SETTINGS = TrainSettings(nodes=3, steps=2, batch=6)


def asked(inputs: tuple[str, str], bucket: str, tmp_path: Path) -> TrainSummary:
    return train(inputs[0], inputs[1], tmp_path / "model", SETTINGS, state=f"{bucket}/s", recorder=NoRecord())


def leave(created: dict[str, Any], *files: tuple[str, Any]) -> dict[str, Any]:
    """What the nodes do: write files to the report."""
    job = json.loads(created["spec"]["trainer"]["args"][0])
    for name, content in files:
        open_location(job["report"]).write_bytes(name, json.dumps(content).encode())
    return job


def test_success_brings_the_model_here(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                       tmp_path: Path) -> None:
    summary = TrainSummary("/elsewhere/model/generator.safetensors", "d", 2, 1, 2, 2, 9, 1.0, 12.0, 0, {"loss/l1": 0.5})

    def work(look: int) -> None:
        if look == 2:
            job = leave(kubernetes.created[0], ("summary.json", asdict(summary)))
            open_location(job["out"]).write_bytes("generator.safetensors", b"weights")

    kubernetes.on_look, kubernetes.answers = work, [{}, RUNNING, condition("Complete")]
    found = asked(inputs, bucket, tmp_path)
    assert found.losses == {"loss/l1": 0.5} and found.model == str(tmp_path / "model" / "generator.safetensors")
    assert (tmp_path / "model" / "generator.safetensors").read_bytes() == b"weights"
    (created,) = kubernetes.created
    assert kubernetes.deleted == [created["metadata"]["name"]]
    assert "fieldValidation=Strict" in kubernetes.queries[0]


def test_the_nodes_are_made_like_the_pod_that_asks(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                                   tmp_path: Path) -> None:
    kubernetes.answers = [condition("Failed", reason="X", message="enough seen")]
    with pytest.raises(MachineError):
        asked(inputs, bucket, tmp_path)
    (created,) = kubernetes.created
    trainer = created["spec"]["trainer"]
    assert created["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 2)
    assert trainer["image"] == "registry/photoshoot-train@sha256:1"
    assert trainer["env"] == [{"name": "PHOTOSHOOT_STATE", "value": "gs://state/s"}]
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "2"
    job = json.loads(trainer["args"][0])
    assert job["people"] == inputs[0] and TrainSettings.model_validate_json(job["settings"]) == SETTINGS
    (patch,) = created["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    spec = replicated["template"]["spec"]["template"]["spec"]
    assert replicated["name"] == "node" and spec == {
        "serviceAccountName": "runner", "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        "containers": [{"name": "node", "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}]}


def test_the_failure_of_a_node_is_the_steps_failure(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                                    tmp_path: Path) -> None:
    later = MachineError("process 0: connection closed").to_json()
    first = InputError("no identity to train on", remedy="bring more people").to_json()

    def work(look: int) -> None:
        leave(kubernetes.created[0], ("failure-0.json", [2.0, later]), ("failure-1.json", [1.0, first]))

    kubernetes.on_look, kubernetes.answers = work, [condition("Failed", reason="JobsFailed", message="1 failed")]
    with pytest.raises(InputError, match="no identity to train on -- bring more people"):
        asked(inputs, bucket, tmp_path)
    assert len(kubernetes.deleted) == 1


def test_a_failure_that_no_node_could_tell_is_what_the_job_says(kubernetes: Kubernetes, inputs: tuple[str, str],
                                                                bucket: str, tmp_path: Path) -> None:
    kubernetes.answers = [RUNNING, condition("Failed", reason="JobsFailed", message="pod node-0 was evicted")]
    with pytest.raises(MachineError, match="JobsFailed: pod node-0 was evicted"):
        asked(inputs, bucket, tmp_path)


def test_a_job_that_vanished_is_an_error(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                         tmp_path: Path) -> None:
    kubernetes.answers = [RUNNING, 404]
    with pytest.raises(MachineError, match="was deleted"):
        asked(inputs, bucket, tmp_path)


def test_a_lost_connection_is_tried_again(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str, tmp_path: Path,
                                          ) -> None:
    kubernetes.answers = [RUNNING, "hang up", 503, RUNNING, condition("Failed", reason="End", message="seen")]
    with pytest.raises(MachineError, match="End: seen"):
        asked(inputs, bucket, tmp_path)
    assert kubernetes.looks >= 5


@pytest.mark.parametrize("stumbles", [[409, 429, 500], ["made"], [503, "made", 500]])
def test_an_api_that_stumbles_makes_one_job(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                            tmp_path: Path, stumbles: list[Any]) -> None:
    kubernetes.stumbles, kubernetes.answers = stumbles, [{}, condition("Failed", reason="End", message="seen")]
    with pytest.raises(MachineError, match="End: seen"):
        asked(inputs, bucket, tmp_path)
    assert len(kubernetes.created) == 1 and len(kubernetes.deleted) == 1


def test_a_cluster_that_stays_silent_is_an_error(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                                 tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_SILENCE_S", 0.1)
    kubernetes.answers = [RUNNING, 500]
    with pytest.raises(MachineError, match="could not watch its TrainJob: it is 500"):
        asked(inputs, bucket, tmp_path)


def test_an_interruption_deletes_the_job(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes.answers = [RUNNING]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("components.train.processes.nodes.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asked(inputs, bucket, tmp_path)
    assert kubernetes.deleted == [kubernetes.created[0]["metadata"]["name"]]


@pytest.mark.parametrize(("status", "remedy"), [(403, "role"), (404, "install Kubeflow Trainer"), (400, "2.2 or new")])
def test_a_refusal_is_one_line_with_a_remedy(kubernetes: Kubernetes, inputs: tuple[str, str], bucket: str,
                                             tmp_path: Path, status: int, remedy: str) -> None:
    kubernetes.refuse = status, "no such luck"
    with pytest.raises(MachineError, match=f"could not make a TrainJob: no such luck -- .*{remedy}"):
        asked(inputs, bucket, tmp_path)
    assert not kubernetes.created


def test_what_machines_cannot_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can share only gs://"):
        train(tmp_path, tmp_path, tmp_path / "model", SETTINGS, state="gs://state/s")


def test_people_and_identities_can_be_read_from_the_bucket(inputs: tuple[str, str], tmp_path: Path) -> None:
    """What a node does with them."""
    open_location(inputs[1]).download(tmp_path / "identities")
    people = PeopleDataset.open(inputs[0])
    assert list(Identities.open(tmp_path / "identities").members(people, "train"))
