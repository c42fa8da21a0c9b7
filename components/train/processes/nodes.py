"""Several machines on one training: a Kubeflow Trainer job (TrainJob, trainer.kubeflow.org/v1alpha1, Trainer 2.2+).

The job's nodes have the image, environment and service account of the pod that asks for them, which itself computes
nothing and needs no accelerator; what machines they are is told by a `Machine`. What they share lies on gs://. The job
is watched to its end; its failure is this step's failure; when this process is interrupted the job is deleted. The next
attempt goes on from the checkpoint.
"""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import devices, progress
from components.core.errors import InputError, MachineError, PhotoshootError, SettingsError
from components.core.record.recorder import Recorder
from components.core.stores.storage import address, is_remote, open_location
from components.train.processes.worker import Job, first_failure, summary_of

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api, CustomObjectsApi, V1Pod

    from components.core.settings import TrainSettings
    from components.train.loop import TrainSummary

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
_NODE = "node"
"""Name of the replicated job and of its container in Kubeflow's runtimes for torch."""
POD_LABELS = {"photoshoot.dev/pod": "training-node"}
"""Of the job's pods, which Kubeflow Pipelines does not know: the chart's network policies go by them."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_POLL_S, _LONGEST_POLL_S, _SILENCE_S = 5.0, 60.0, 900.0
_TIMEOUT_S = (5, 30)
_PASSING = {None, 409, 429, 500, 502, 503, 504}
"""Answers that are no answer yet; None is no answer at all."""
_KFP_LAUNCHER = re.compile(r"KFP_|ARGO_|MLFLOW_RUN_ID$|HOSTNAME$|KUBERNETES_|TMPDIR$")
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_SHARED_MEMORY, _SCRATCH = "/dev/shm", "/scratch"


@dataclass(frozen=True)
class Machine:
    """One of the machines that train, in Kubernetes' words."""

    resources: Mapping[str, Any]
    """Requests and limits."""
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]
    volumes: Sequence[Mapping[str, Any]]
    """Empty directories, in memory or on the node's disk."""
    mounts: Sequence[Mapping[str, Any]]
    processes: int
    """Processes on it, unless `train.processes` says: one per accelerator."""

    @staticmethod
    def of(asked: str, node_selector: Mapping[str, str], tolerations: Sequence[Mapping[str, Any]], accelerator: str,
           count: str) -> Machine:
        """From a profile's placement as JSON (cpu, memory, shared_memory, scratch) and its pool."""
        wanted, devices_wanted = json.loads(asked), int(count)
        accelerators = {accelerator: str(devices_wanted)} if devices_wanted else {}
        resources = {"requests": {"cpu": wanted["cpu"], "memory": wanted["memory"], **accelerators},
                     "limits": {"memory": wanted["memory"], **accelerators}}
        volumes, mounts = [], []
        for name, path, size, medium in (
            ("shared-memory", _SHARED_MEMORY, wanted.get("shared_memory"), {"medium": "Memory"}),
            ("scratch", _SCRATCH, wanted.get("scratch"), {}),
        ):
            if size:
                volumes.append({"name": name, "emptyDir": {"sizeLimit": size, **medium}})
                mounts.append({"name": name, "mountPath": path})
        return Machine(resources, dict(node_selector), list(tolerations), volumes, mounts, max(devices_wanted, 1))

    @staticmethod
    def like(pod: Mapping[str, Any]) -> Machine:
        """As the pod that asks, as the API has it in JSON."""
        spec, container = pod["spec"], _main(pod)
        volumes = [one for one in spec.get("volumes", []) if "emptyDir" in one]
        mine = {one["name"] for one in volumes}
        mounts = [one for one in container.get("volumeMounts", [])
                  if one["name"] in mine and one["mountPath"] in (_SHARED_MEMORY, _SCRATCH)]
        used = {one["name"] for one in mounts}
        return Machine(container.get("resources") or {}, spec.get("nodeSelector") or {}, spec.get("tolerations") or [],
                       [one for one in volumes if one["name"] in used], mounts, max(_gpus(container), 1))


def train_on_nodes(people: str, identities: str, out: Path, settings: TrainSettings, machine: Machine | None = None, *,
                   state: Path | str | None, recorder: Recorder) -> TrainSummary:
    """`train` on `settings.nodes` machines (None: such as this pod is on); the model is in `out` at the end.

    Raises `SettingsError` where people, identities or state are not on gs://, `MachineError` where there is no
    cluster, the job is lost or the cluster stays silent, and what the process that failed first raised.
    """
    if state is None or not (is_remote(people) and is_remote(identities) and is_remote(state)):
        raise SettingsError(f"train.nodes = {settings.nodes}: several machines can share only gs://",
                            remedy="put people, identities and PHOTOSHOOT_STATE on gs://, or set train.nodes=1")
    from components.train.place import place_of

    with tempfile.TemporaryDirectory() as folder:
        open_location(identities).download(Path(folder) / "identities")
        place = place_of(people, Path(folder) / "identities", settings, state)
    attempt = uuid.uuid4().hex[:8]
    report = f"{place}/attempts/{attempt}"
    job = Job(people, identities, f"{place}/model", settings.model_dump_json(), address(state), report,
              getattr(recorder, "run_id", ""))
    cluster = _Cluster.here()
    cluster.create(manifest(f"photoshoot-train-{attempt}", job, settings, cluster.own_pod(), machine))
    try:
        failed = cluster.follow(f"photoshoot-train-{attempt}")
    finally:
        cluster.delete(f"photoshoot-train-{attempt}")
    if failed:
        raise first_failure(report) or MachineError(f"the training job failed: {failed}",
                                                    remedy="`kubectl describe trainjob` and the nodes' logs say more")
    try:
        summary = summary_of(report)
    except InputError as error:
        raise MachineError("the training job ended without a model", path=report,
                           remedy="see the logs of its pods") from error
    open_location(job.out).download(out)
    return replace(summary, model=str(out / Path(summary.model).name))


def manifest(name: str, job: Job, settings: TrainSettings, pod: V1Pod, machine: Machine | None = None
             ) -> dict[str, Any]:
    """The TrainJob that `pod` asks for: `settings.nodes` machines, each with `train.processes` processes (0: one per
    accelerator). It waits in the Kueue queue that the pod is in."""
    from kubernetes.client import ApiClient

    plain = ApiClient().sanitize_for_serialization(pod)
    spec, container, meta = plain["spec"], _main(plain), plain["metadata"]
    machine = machine or Machine.like(plain)
    environment = [one for one in container.get("env", []) if not _KFP_LAUNCHER.match(one["name"])]
    if any(one["mountPath"] == _SCRATCH for one in machine.mounts):
        environment.append({"name": "TMPDIR", "value": _SCRATCH})
    patch = {
        "serviceAccountName": spec.get("serviceAccountName"), "nodeSelector": dict(machine.node_selector),
        "tolerations": list(machine.tolerations), "imagePullSecrets": spec.get("imagePullSecrets"),
        "volumes": list(machine.volumes),
        "containers": [{"name": _NODE, "volumeMounts": list(machine.mounts)}] if machine.mounts else None,
    }  # fmt: skip
    pod_patch = {key: value for key, value in patch.items() if value}
    template = {"spec": {"template": {"metadata": {"labels": POD_LABELS}, "spec": pod_patch}}}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    queue = {key: value for key, value in (meta.get("labels") or {}).items() if key == _QUEUE_LABEL}
    return {
        "apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob",
        # Deleted with the pod that asked for it, should that be killed.
        "metadata": {"name": name, "namespace": meta["namespace"], "ownerReferences": [owner],
                     **({"labels": queue} if queue else {})},
        "spec": {
            "runtimeRef": {"name": settings.runtime},
            "trainer": {
                "image": container["image"], "numNodes": settings.nodes,
                "numProcPerNode": settings.processes or machine.processes,
                # torchrun reads where the others are from the variables (PET_...) that the Trainer sets.
                "command": ["python", "-m", "torch.distributed.run", "-m", "components.train.processes.worker"],
                "args": [json.dumps(asdict(job))], "env": environment, "resourcesPerNode": dict(machine.resources),
            },
            "runtimePatches": [{"manager": "photoshoot.dev/train", "trainingRuntimeSpec": {
                "template": {"spec": {"replicatedJobs": [{"name": _NODE, "template": template}]}}}}],
        },
    }  # fmt: skip


def _main(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The container that the step runs in."""
    containers: list[dict[str, Any]] = pod["spec"]["containers"]
    return next((one for one in containers if one["name"] == "main"), containers[0])


def _gpus(container: dict[str, Any]) -> int:
    limits = (container.get("resources") or {}).get("limits") or {}
    asked = [int(count) for name, count in limits.items() if "/" in name and str(count).isdecimal()]
    return sum(asked) if asked else devices.find().gpus


class _Cluster:
    """The namespace that this pod is in."""

    def __init__(self, objects: CustomObjectsApi, core: CoreV1Api, namespace: str) -> None:
        self._objects, self._core, self._namespace = objects, core, namespace

    @staticmethod
    def here() -> _Cluster:
        from kubernetes import client, config

        try:
            config.load_incluster_config()
            namespace = _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        except (config.ConfigException, FileNotFoundError):
            try:
                _, context = config.list_kube_config_contexts()
                config.load_kube_config()
            except (config.ConfigException, OSError) as error:
                raise MachineError("train.nodes needs a Kubernetes cluster, and there is none here",
                                   remedy="run the pipeline on a cluster, or set train.nodes=1") from error
            namespace = context["context"].get("namespace", "default")
        return _Cluster(client.CustomObjectsApi(), client.CoreV1Api(), namespace)

    def own_pod(self) -> V1Pod:
        """The pod that this process runs in; a pod's host name is its name."""
        return self._asked("read its own pod", lambda: self._core.read_namespaced_pod(
            os.environ.get("HOSTNAME") or socket.gethostname(), self._namespace, _request_timeout=_TIMEOUT_S))

    def create(self, body: dict[str, Any]) -> None:
        """Strict: a Trainer that does not know a field must say so, not drop the placement.

        The job's name is this attempt's alone: where it exists already, only the answer was lost.
        """
        self._asked("make a TrainJob", lambda: self._objects.create_namespaced_custom_object(
            GROUP, VERSION, self._namespace, PLURAL, body, field_validation="Strict", _request_timeout=_TIMEOUT_S),
            there=lambda: self._objects.get_namespaced_custom_object(
                GROUP, VERSION, self._namespace, PLURAL, body["metadata"]["name"], _request_timeout=_TIMEOUT_S))

    def follow(self, name: str) -> str:
        """Wait for the job's end; what its failure says, or "" for success.

        A cluster that does not answer is asked again, less and less often, for 15 minutes. Raises `MachineError` then,
        and where the job is gone.
        """
        import urllib3
        from kubernetes.client.exceptions import ApiException

        wait, heard = _POLL_S, time.monotonic()
        with progress.task("training job", None) as shown:
            while True:
                try:
                    found = self._objects.get_namespaced_custom_object(
                        GROUP, VERSION, self._namespace, PLURAL, name, _request_timeout=_TIMEOUT_S)
                except (ApiException, urllib3.exceptions.HTTPError) as error:
                    status = getattr(error, "status", None)
                    if status == 404:
                        raise MachineError(f"the training job {name} was deleted",
                                           remedy="run the step again: it resumes from the checkpoint") from None
                    if status in (401, 403) or time.monotonic() - heard > _SILENCE_S:
                        raise _refused("watch its TrainJob", error) from error
                    wait = min(wait * 2, _LONGEST_POLL_S)
                else:
                    wait, heard = _POLL_S, time.monotonic()
                    ended = _ended(found)
                    if ended is not None:
                        return ended
                    shown.advance(note=_states(found))
                time.sleep(wait)

    def delete(self, name: str) -> None:
        """Remove the job with its pods; one that is gone is no error, and nothing here hides what came before."""
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            self._objects.delete_namespaced_custom_object(GROUP, VERSION, self._namespace, PLURAL, name,
                                                          propagation_policy="Foreground", _request_timeout=_TIMEOUT_S)
        except (ApiException, urllib3.exceptions.HTTPError):
            return  # its owner is this pod: it goes with it

    def _asked(self, what: str, request: Any, there: Any = None) -> Any:
        """The answer to a request that does no harm when repeated; asked again for a while where the API stumbles.

        `there` reads what the request makes, after a conflict: it was made, or somebody was in the way.
        """
        import urllib3
        from kubernetes.client.exceptions import ApiException

        wait, began = _POLL_S, time.monotonic()
        while True:
            try:
                return request()
            except (ApiException, urllib3.exceptions.HTTPError) as error:
                status = getattr(error, "status", None)
                if status == 409 and there is not None:
                    with suppress(ApiException, urllib3.exceptions.HTTPError):
                        return there()
                if status not in _PASSING or time.monotonic() + wait - began > _SILENCE_S:
                    raise _refused(what, error) from error
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_POLL_S)


def _refused(what: str, error: Exception) -> PhotoshootError:
    status = getattr(error, "status", None)
    if status is None:
        return MachineError(f"the Kubernetes API does not answer ({type(error).__name__}): could not {what}",
                            remedy="run the step again: it resumes from the checkpoint")
    try:
        text = str(json.loads(getattr(error, "body", "") or "")["message"])
    except (ValueError, KeyError, TypeError):
        text = str(getattr(error, "reason", ""))
    remedy = {403: "give the step's service account a role with get, create and delete of trainjobs, and get of pods",
              404: "install Kubeflow Trainer 2.2 or newer, or set train.nodes=1"}.get(
                  status, "Kubeflow Trainer 2.2 or newer is needed")
    return MachineError(f"could not {what}: {' '.join(text.split())[:300]}", remedy=remedy)


def _ended(job: dict[str, Any]) -> str | None:
    """"" for a job that is complete, what its condition says for one that failed, None for one that goes on."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True":
            if condition.get("type") == "Complete":
                return ""
            if condition.get("type") == "Failed":
                return f"{condition.get('reason', 'Failed')}: {condition.get('message', '')}".rstrip(": ")
    return None


def _states(job: dict[str, Any]) -> str:
    found = (job.get("status") or {}).get("jobsStatus") or []
    return ", ".join(f"{one['name']}: {one.get('active', 0)} active, {one.get('ready', 0)} ready" for one in found)
