"""A Kubeflow Pipelines server and a Kubernetes API to talk to over real HTTP, and a home folder with a finished run.

The KFP server takes what KFP's own API models and protobufs take and refuses the rest; its answers have the form of a
real one's (seen in KFP 2.17's sources), unset times in year 1970 included.
"""

from __future__ import annotations

import email
import email.policy
import fcntl
import json
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from servers import Handler, http_server, kubeconfig, url_of
from smoke import run_pipeline

UNSET = "1970-01-01T00:00:00Z"
_CLIENT = kfp_server_api.ApiClient()
_KINDS = {"STRING": str, "STRUCT": dict, "LIST": list}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


def strict(body: Any, model: str) -> Any:
    """The body as KFP's API model; fields that the model lacks are refused, as KFP's gateway does."""
    kind = getattr(kfp_server_api, model)
    unknown = set(body) - set(kind.attribute_map.values())
    if unknown:
        raise Refused(400, f"unknown field {sorted(unknown)[0]} in {model}")
    for name, inner in kind.openapi_types.items():
        value = body.get(kind.attribute_map[name])
        if isinstance(value, dict) and hasattr(getattr(kfp_server_api, inner, None), "openapi_types"):
            strict(value, inner)
    return _CLIENT._ApiClient__deserialize(body, kind)


def check_spec(documents: Any) -> dict[str, Any]:
    """Parse a pipeline with KFP's protobufs; returns its inputs."""
    spec, platform = documents
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    except json_format.ParseError as error:
        raise Refused(400, f"Invalid pipeline spec: {error}") from None
    return dict(spec["root"].get("inputDefinitions", {}).get("parameters", {}))


def task(name: str, state: str, seconds: float = 60, error: str = "") -> dict[str, Any]:
    """A task as the server lists it."""
    start = "2026-11-22T10:00:00Z"
    ended = state not in ("RUNNING", "PENDING")
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1795341600 + seconds)) if ended else UNSET
    return {"display_name": name, "task_id": str(uuid.uuid4()), "state": state, "start_time": start, "end_time": end,
            "create_time": start, "execution_id": "7", "child_tasks": [{"pod_name": "photoshoot-x-1"}],
            **({"error": {"code": 2, "message": error}} if error else {})}


class Kfp:
    """What the server knows, and how it is to misbehave."""

    def __init__(self) -> None:
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.plan: deque[tuple[str, list[dict[str, Any]]]] = deque()
        """What the run is when it is next looked at: state and tasks; the last one stays."""
        self.faults: deque[str] = deque()
        """For the next requests: drop, lose (do it, then drop), slow, 401, 409, 429, 500, 503, html, login, or none."""
        self.begin: Callable[[dict[str, Any]], Any] | None = None
        """Begins a run that was made, instead of the plan: a workflow (`cluster.Workflow`)."""
        self.workflows: dict[str, Any] = {}
        self.token: str | None = None
        self.multi_user = False
        self.requests: list[tuple[str, str]] = []
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        parts = path.removeprefix("/apis/v2beta1/").split("/")
        if parts[0] == "healthz":
            return {"multi_user": self.multi_user, "pipeline_store": "database"}
        namespace = query.get("namespace") or (body.get("namespace") if isinstance(body, dict) else None)
        asks = (method == "GET" and len(parts) == 1) or parts[0] == "experiments"
        if asks and bool(namespace) != self.multi_user:
            raise Refused(400, "In single-user mode, namespace must be empty" if namespace else "Namespace is empty")
        return dict(getattr(self, f"_{parts[0]}")(method, parts[1:], query, body) or {})

    def _experiments(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> dict[str, Any]:
        if method == "GET":
            return {"experiments": _filtered(self.experiments.values(), query)}
        strict(body, "V2beta1Experiment")
        made = {**body, "experiment_id": str(uuid.uuid4()), "created_at": "2026-11-22T10:00:00Z"}
        self.experiments[made["experiment_id"]] = made
        return made

    def _runs(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> dict[str, Any]:
        if not rest and method == "GET":
            newest = list(reversed(self.runs.values()))
            return {"runs": _filtered(newest, query)[: int(query.get("page_size", 20))], "total_size": len(newest)}
        if not rest:
            made = self._made(body, "V2beta1Run")
            made |= {"run_id": str(uuid.uuid4()), "state": "PENDING", "finished_at": UNSET,
                     "storage_state": "AVAILABLE"}
            self.runs[made["run_id"]] = made
            if self.begin:
                self.workflows[made["run_id"]] = self.begin(made)
            return made
        run_id, _, verb = rest[0].partition(":")
        if run_id not in self.runs:
            raise Refused(404, f"Run {run_id} not found")
        run = self.runs[run_id]
        if verb == "terminate":
            run["state"] = "CANCELING"
            self.plan = deque([("CANCELING", self.plan[0][1] if self.plan else []), ("CANCELED", [])])
            return {}
        if verb == "retry":
            if run["state"] not in ("FAILED", "CANCELED"):
                raise Refused(500, "Failed to retry run: workflow must be Failed/Error to retry")
            workflow = self.workflows.get(run_id)
            if workflow and workflow.refusals:
                workflow.refusals -= 1
                raise Refused(500, "Workflow cannot be retried with node photoshoot-x-1 in Running phase")
            run["state"] = "RUNNING"
            if workflow:
                workflow.start()
            return {}
        if run_id in self.workflows:
            return {**run, "run_details": {"task_details": self.workflows[run_id].details()}}
        if self.plan:
            state, tasks = self.plan.popleft() if len(self.plan) > 1 else self.plan[0]
            run |= {"state": state, "run_details": {"task_details": tasks}}
        return run

    def _recurringruns(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> dict[str, Any]:
        if rest and method == "DELETE":
            if self.schedules.pop(rest[0], None) is None:
                raise Refused(404, "no such recurring run")
            return {}
        if method == "GET":
            return {"recurringRuns": list(self.schedules.values())}
        made = self._made(body, "V2beta1RecurringRun")
        cron = made["trigger"]["cron_schedule"]["cron"]
        if len(cron.split()) != 6 or not made.get("max_concurrency") or made.get("mode") != "ENABLE":
            raise Refused(400, f"invalid schedule {cron}")
        made |= {"recurring_run_id": str(uuid.uuid4()), "status": "ENABLED"}
        self.schedules[made["recurring_run_id"]] = made
        return made

    def _pipelines(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> dict[str, Any]:
        if rest == ["upload_version"]:
            documents = list(yaml.safe_load_all(body))
            check_spec(documents)
            made = {"pipeline_id": query["pipelineid"], "pipeline_version_id": str(uuid.uuid4()),
                    "display_name": query["name"], "name": query["name"],
                    "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]}}
            self.versions[query["pipelineid"]].append(made)
            return made
        if not rest and method == "POST":
            strict(body, "V2beta1Pipeline")
            made = {**body, "pipeline_id": str(uuid.uuid4())}
            self.pipelines[made["pipeline_id"]], self.versions[made["pipeline_id"]] = made, []
            return made
        if not rest:
            return {"pipelines": _filtered(self.pipelines.values(), query)}
        versions = self.versions[rest[0]]
        if len(rest) == 3:
            return next(one for one in versions if one["pipeline_version_id"] == rest[2])
        return {"pipeline_versions": _filtered(versions, query)}

    def _made(self, body: Any, model: str) -> dict[str, Any]:
        """A run or schedule as it was asked for, checked as the server does before anything starts."""
        strict(body, model)
        if body.get("experiment_id") not in self.experiments:
            raise Refused(400, "experiment does not exist")
        reference = body.get("pipeline_version_reference")
        if bool(reference) == bool(body.get("pipeline_spec")):
            raise Refused(400, "exactly one pipeline source is needed")
        source = body.get("pipeline_spec") or next(
            one["pipeline_spec"] for one in self.versions[reference["pipeline_id"]]
            if one["pipeline_version_id"] == reference["pipeline_version_id"])
        inputs = check_spec([source["pipeline_spec"], source["platform_spec"]])
        for name, value in body.get("runtime_config", {}).get("parameters", {}).items():
            if name not in inputs or not isinstance(value, _KINDS[inputs[name]["parameterType"]]):
                raise Refused(400, f"input {name} is not as the pipeline wants it")
        return {**body, "created_at": "2026-11-22T10:00:00Z"}


def _filtered(things: Any, query: dict[str, str]) -> list[dict[str, Any]]:
    kept = list(things)
    if "filter" in query:
        wanted = json.loads(query["filter"])
        if set(wanted) != {"predicates"}:
            raise Refused(400, "invalid filter")
        for predicate in wanted["predicates"]:
            strict({"operation": predicate["operation"], "key": predicate["key"]}, "V2beta1Predicate")
            same = {"EQUALS": True, "NOT_EQUALS": False}[predicate["operation"]]
            kept = [one for one in kept if (one.get(predicate["key"]) == predicate["stringValue"]) is same]
    return kept


class _Kubeflow(Handler):
    protocol_version = "HTTP/1.1"
    server: Any

    def _handle(self) -> None:
        kfp: Kfp = self.server.state
        url = urlsplit(self.path)
        kfp.requests.append((self.command, url.path))
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = "none" if url.path.endswith("healthz") and "401" not in kfp.faults else (
            kfp.faults.popleft() if kfp.faults else "none")
        if fault == "drop":
            return self._drop()
        if fault == "slow":
            time.sleep(1.0)
        try:
            if fault in ("401", "409", "429", "500", "503"):
                raise Refused(int(fault), "as asked")
            if fault == "html":
                return self.reply(200, b"<html>Sign in</html>", Content_Type="text/html")
            if fault == "login":
                return self.reply(302, Content_Type="text/html", Location="/dex/auth")
            if kfp.token and self.headers.get("authorization") != f"Bearer {kfp.token}":
                raise Refused(401, "Unauthenticated")
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            answer = kfp.answer(self.command, url.path, query, self._body(raw))
        except Refused as refused:
            return self.reply_json(refused.status, {"error": refused.message, "code": 3})
        if fault == "lose":
            return self._drop()
        return self.reply_json(200, answer)

    def _body(self, raw: bytes) -> Any:
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/"):
            return json.loads(raw) if raw else {}
        message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw, policy=email.policy.HTTP)
        part = next(iter(message.iter_parts()))
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        return part.get_content() if isinstance(part.get_content(), str) else part.get_content().decode()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    do_GET = do_POST = do_DELETE = _handle


@contextmanager
def _serve(state: Any, handler: type[Handler]) -> Iterator[Any]:
    with http_server(handler) as server:
        server.state = state  # type: ignore[attr-defined]
        state.url = url_of(server)
        yield state


@pytest.fixture(scope="session")
def quick_kfp() -> Iterator[None]:
    """KFP reads the source of every caller of every setter, for a message; under pytest that is seconds a pipeline."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kfp.dsl.pipeline_task.inspect", SimpleNamespace(stack=lambda: [("", "", 0, "this")] * 2))
        yield


@pytest.fixture
def kfp(quick_kfp: None) -> Iterator[Kfp]:
    """A Kubeflow Pipelines server."""
    with _serve(Kfp(), _Kubeflow) as state:
        yield state


@pytest.fixture
def tasks() -> Any:
    """Makes a task as the server lists it."""
    return task


class Kubernetes:
    """Pods, events and logs of a Kubernetes API."""

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.url = ""
        self.forbidden = False
        self.faults: deque[str] = deque()
        """For the next requests: drop, 409, 429, 500 or none."""

    def pod(self, name: str, node: str, run_id: str, status: dict[str, Any], **spec: Any) -> None:
        """Add a pod of a run."""
        container = {"name": "main", "image": "registry/photoshoot-train:1", **spec}
        self.pods.append({
            "metadata": {"name": name, "namespace": "team", "labels": {"pipeline/runid": run_id},
                         "creationTimestamp": f"2026-11-22T10:00:{len(self.pods):02d}Z",
                         "annotations": {"workflows.argoproj.io/node-name": node}},
            "spec": {"containers": [container]}, "status": status,
        })


class _KubernetesApi(Handler):
    server: Any

    def do_GET(self) -> None:
        kubernetes: Kubernetes = self.server.state
        url, parts = urlsplit(self.path), urlsplit(self.path).path.split("/")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        fault = kubernetes.faults.popleft() if kubernetes.faults else "none"
        if fault == "drop":
            self.close_connection = True
            return self.connection.close()
        if fault != "none":
            return self.reply_json(int(fault), {"kind": "Status", "message": "as asked"})
        if kubernetes.forbidden:
            return self.reply_json(403, {"kind": "Status", "message": "forbidden"})
        assert parts[1:5] == ["api", "v1", "namespaces", "team"], self.path
        if parts[-1] == "log":
            return self.reply(200, kubernetes.logs.get(parts[6], "").encode(), Content_Type="text/plain")
        if parts[-1] == "events":
            pod = query["fieldSelector"].removeprefix("involvedObject.name=")
            found = [event for event in kubernetes.events if event["involvedObject"]["name"] == pod]
            return self.reply_json(200, {"kind": "EventList", "items": found})
        key, _, value = query["labelSelector"].partition("=")
        found = [pod for pod in kubernetes.pods if pod["metadata"]["labels"].get(key) == value]
        return self.reply_json(200, {"kind": "PodList", "items": found})


@pytest.fixture
def kubernetes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    """A Kubernetes API, and a kubeconfig that names it."""
    with _serve(Kubernetes(), _KubernetesApi) as state:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", state.url)))
        yield state


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home in which one small run has ended well, to be copied and not written to; and that run's result.

    Made once for all the processes that share the tests.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    home, kept = folder / "smoke-home", folder / "smoke-home.json"
    with open(folder / "smoke-home.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            code, result, log = run_pipeline(home)
            assert code == 0, log
            kept.write_text(json.dumps(result))
    return home, json.loads(kept.read_text())
