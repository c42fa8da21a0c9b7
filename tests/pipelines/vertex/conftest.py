"""Vertex AI's pipelineJobs in the form that Google documents, over HTTP on this machine."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from commands import called
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from servers import Handler, http_server

from components.core.presets import preset
from pipelines.profile import load_profile
from pipelines.vertex.bearing import borne
from pipelines.vertex.document import pipeline_spec

PARENT = "projects/p1/locations/europe-west4"
JOBS = f"/v1/{PARENT}/pipelineJobs"
Call = Callable[..., tuple[int, str, str]]
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_FIELDS = {"displayName", "pipelineSpec", "labels", "runtimeConfig", "serviceAccount", "network"}
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_MACHINE = {"cpuLimit", "memoryLimit", "resourceCpuLimit", "resourceMemoryLimit", "accelerator"}


class Refused(Exception):
    """A google.rpc.Status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def check(body: dict[str, Any]) -> None:
    """What the service would refuse of a new job."""
    unknown = set(body) - _FIELDS
    if unknown:
        raise Refused(400, f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
    try:
        json_format.ParseDict(body["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        raise Refused(400, str(error)) from None
    spec, config = body["pipelineSpec"], body["runtimeConfig"]
    if spec["schemaVersion"] not in ("2.0.0", "2.1.0") or not config["gcsOutputDirectory"].startswith("gs://"):
        raise Refused(400, "Invalid schemaVersion or gcsOutputDirectory")
    if not all(_LABEL.fullmatch(part) for pair in body["labels"].items() for part in pair):
        raise Refused(400, "Invalid label")
    declared = set(spec["root"].get("inputDefinitions", {}).get("parameters", {}))
    if set(config["parameterValues"]) != declared:
        raise Refused(400, "Parameters do not match")
    for executor in spec["deploymentSpec"]["executors"].values():
        if set(executor.get("container", {}).get("resources", {})) - _MACHINE:
            raise Refused(400, "Unsupported resource")
    for component in spec["components"].values():
        _check_tasks(component, spec)
    _check_tasks(spec["root"], spec)


def _check_tasks(graph: dict[str, Any], spec: dict[str, Any]) -> None:
    """A task gives its component no input that this one does not declare."""
    for name, task in graph.get("dag", {}).get("tasks", {}).items():
        component = spec["components"][task["componentRef"]["name"]]
        known = set(component.get("inputDefinitions", {}).get("parameters", {}))
        extra = set(task.get("inputs", {}).get("parameters", {})) - known - {"uri"}
        if extra:
            raise Refused(400, f"Task {name}: unknown input {min(extra)}")


class Service:
    """State of the service, and what goes wrong with it."""

    def __init__(self) -> None:
        self.url = ""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.plan: deque[tuple[str, list[dict[str, Any]], dict[str, Any]]] = deque()
        """What each look at a job finds: state, details of its tasks, more fields; the last one stays."""
        self.stumbles: deque[int | str] = deque()
        """Answers of the next requests: a status; `drop` closes the connection, `lost` does so after the work."""
        self.requests: list[str] = []
        self.secrets: list[str] = []
        self.on_get: Callable[[], None] = lambda: None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> dict[str, Any]:
        """The answer to a request that is not stumbled over."""
        if path == JOBS and method == "POST":
            return self._create(query["pipelineJobId"], body)
        if path == JOBS:
            if query["filter"] != "labels.photoshoot-preset:*" or query["orderBy"] != "create_time desc":
                raise Refused(400, "Invalid filter or order")
            jobs = list(reversed(self.jobs.values()))
            start, size = int(query.get("pageToken", "0")), min(int(query["pageSize"]), 2)
            more = {"nextPageToken": str(start + size)} if start + size < len(jobs) else {}
            return {"pipelineJobs": jobs[start:start + size], **more}
        name, _, verb = path.removeprefix("/v1/").partition(":")
        if name not in self.jobs:
            raise Refused(404, f"PipelineJob {name} not found.")
        if verb == "cancel" and method == "POST":
            self.jobs[name]["state"] = "PIPELINE_STATE_CANCELLING"
            return {}
        self.on_get()
        if self.plan:
            state, tasks, more = self.plan.popleft() if len(self.plan) > 1 else self.plan[0]
            self.jobs[name] |= {"state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": tasks}, **more}
        return self.jobs[name]

    def _create(self, job_id: str, body: dict[str, Any]) -> dict[str, Any]:
        name = f"{PARENT}/pipelineJobs/{job_id}"
        if not _ID.fullmatch(job_id):
            raise Refused(400, "Invalid pipelineJobId")
        if name in self.jobs:
            raise Refused(409, f"PipelineJob {name} already exists.")
        check(body)
        self.jobs[name] = {"name": name, **body, "createTime": "2026-11-30T10:00:00.123456789Z",
                           "state": "PIPELINE_STATE_PENDING"}
        return self.jobs[name]


class _Handler(Handler):
    server: Any

    def _handle(self) -> None:
        service: Service = self.server.service
        url = urlsplit(self.path)
        service.requests.append(f"{self.command} {url.path}")
        service.secrets += [self.headers["Authorization"]] if "Authorization" in self.headers else []
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        stumble = service.stumbles.popleft() if service.stumbles else 200
        if stumble == "drop":
            self.close_connection = True
            return
        try:
            if isinstance(stumble, int) and stumble != 200:
                raise Refused(stumble, "The service is currently unavailable.")
            answer = service.answer(self.command, url.path, dict(parse_qsl(url.query)), json.loads(raw or b"null"))
        except Refused as refused:
            self.reply_json(refused.code, {"error": {"code": refused.code, "message": refused.message}})
            return
        if stumble == "lost":
            self.close_connection = True
            return
        self.reply_json(200, answer)

    do_GET = do_POST = _handle


@pytest.fixture
def checked() -> Callable[[dict[str, Any]], None]:
    """What the service would refuse of a new job raises `Refused`."""
    return check


@pytest.fixture(scope="session")
def smoke_spec() -> dict[str, Any]:
    """The pipeline of the preset smoke."""
    settings, profile = preset("smoke"), load_profile("vertex")
    kept = borne(settings, profile.model_copy(update={"tracking_uri": "https://mlflow.example.org"}))
    return pipeline_spec(settings, kept, None, "europe-west4-docker.pkg.dev/p1/photoshoot")


@pytest.fixture
def compiled_once(smoke_spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs send `smoke_spec` without compiling it again, which takes a second."""
    monkeypatch.setattr("pipelines.vertex.jobs.pipeline_spec", lambda *_: smoke_spec)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Vertex AI in Europe, for the project p1."""
    with http_server(_Handler) as server:
        found = Service()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        server.service = found  # type: ignore[attr-defined]
        monkeypatch.setenv("PHOTOSHOOT_VERTEX_ENDPOINT", found.url)
        monkeypatch.setattr("pipelines.vertex.server._WAITS_S", (0.01, 0.02))
        yield found


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """A profile of one's own for Vertex AI."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: vertex\ntracking_uri: https://mlflow.example.org\nservice_account: steps@p1.iam.gserviceaccount.com\n"
        "state: gs://bucket/state\n"
        "vertex: {project: p1, region: europe-west4, root: 'gs://bucket/runs', labels: {team: pictures}}\n")
    return str(path)


@pytest.fixture
def photoshoot(service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, in this process: exit code, output, errors."""
    for name in ("MLFLOW_TRACKING_URI", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pipelines.cli.options.QUICK_PATIENCE", 0.3)

    def call(*arguments: str) -> tuple[int, str, str]:
        code, out, err = called(monkeypatch, capsys, *arguments)
        return code, out, " ".join(err.split())

    return call
