"""`photoshoot run --backend vertex` and its kin against a server that answers as Vertex AI's API is documented."""

from __future__ import annotations

import json
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from components.core.errors import InputError, MachineError
from pipelines.vertex.jobs import conclude
from pipelines.vertex.server import LostConnection, Place, Vertex, place

Call = Callable[..., tuple[int, str, str]]
CHAIN = ("synthesize", "preprocess", "cluster", "train", "evaluate", "challenge", "register")
RUN = ("run", "--backend", "vertex", "--preset", "smoke", "--poll", "0.05", "--registry",
       "europe-west4-docker.pkg.dev/p1/photoshoot", "--run-name", "My first!")
PLACE = Place("p1", "europe-west4")


def detail(name: str, state: str, message: str = "") -> dict[str, Any]:
    """A PipelineTaskDetail of a task that took a minute, if it has ended."""
    ended = state in ("SUCCEEDED", "FAILED", "SKIPPED")
    return {"taskId": "1", "taskName": name, "state": state, "createTime": "2026-11-30T10:00:01Z",
            "startTime": "2026-11-30T10:00:02.000000001Z", **({"endTime": "2026-11-30T10:01:02Z"} if ended else {}),
            **({"error": {"code": 9, "message": message}} if message else {})}


def _json(out: str) -> dict[str, Any]:
    return dict(json.loads(out.splitlines()[-1]))


def test_a_run_is_submitted_and_followed_to_its_end(photoshoot: Call, service: Any, profile: str) -> None:
    done = [detail("synthesize", "SKIPPED"), *(detail(step, "SUCCEEDED") for step in CHAIN[1:])]
    service.plan = deque([
        ("QUEUED", [], {}), ("PENDING", [detail("train", "NOT_TRIGGERED")], {}),
        ("RUNNING", [*done[:2], detail("cluster", "RUNNING")], {}),
        ("RUNNING", [*done[:3], detail("train", "PENDING")], {}),
        ("SUCCEEDED", [detail("photoshoot-training", "SUCCEEDED"), *done], {"endTime": "2026-11-30T10:30:00Z"})])
    code, out, err = photoshoot(*RUN, "--profile", profile, "--arg", "gpu_count=2", "--json")
    assert code == 0, err
    result, (job,) = _json(out), service.jobs.values()
    assert result["status"] == "succeeded" and result["run_id"] == job["name"] and result["name"] == "My first!"
    assert result["link"] in err and "locations/europe-west4/pipelines/runs/my-first-" in result["link"]
    assert result["steps"] == {"synthesize": "reused", **dict.fromkeys(CHAIN[1:], "finished")}
    assert "synthesize reused" in err and err.count("train done in 60 s") == 1 and result["seconds"] > 1700
    assert job["labels"] == {"photoshoot-preset": "smoke", "team": "pictures"}
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://bucket/runs", "parameterValues": {}}
    assert job["serviceAccount"] == "steps@p1.iam.gserviceaccount.com"
    train = job["pipelineSpec"]["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert train["resources"]["accelerator"]["type"] == "NVIDIA_L4" and train["resources"]["cpuLimit"] == 8
    assert train["resources"]["accelerator"]["count"] == "2" and train["resources"]["resourceMemoryLimit"] == "32Gi"
    assert train["image"].startswith("europe-west4-docker.pkg.dev/p1/photoshoot/photoshoot-train:")
    environment = {one["name"]: one["value"] for one in train["env"]}
    assert environment["MLFLOW_TRACKING_URI"] == "https://mlflow.example.org"
    assert environment["PHOTOSHOOT_STATE"] == "gs://bucket/state" and "TMPDIR" not in environment
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert tasks["train"]["cachingOptions"] == {"enableCache": True} and tasks["train"]["retryPolicy"]
    assert not tasks["register"]["cachingOptions"].get("enableCache")
    assert service.secrets == [], "credentials went over http"


@pytest.mark.usefixtures("compiled_once")
def test_a_run_that_fails_names_the_step_and_the_reason(photoshoot: Call, service: Any, profile: str) -> None:
    why = "The replica workerpool0-0 exited with a non-zero status of 3. To find out more why, see the logs."
    service.plan = deque([
        ("RUNNING", [detail("preprocess", "RUNNING")], {}),
        ("FAILED", [detail("photoshoot-training", "FAILED", "a task failed"), detail("preprocess", "SUCCEEDED"),
                    detail("train", "FAILED", why)], {"error": {"code": 9, "message": "The DAG failed."}})])
    code, out, err = photoshoot(*RUN, "--profile", profile)
    assert code == 1 and not out
    assert f"error: run My first!: train failed: {why} -- see https://console.cloud.google.com/" in err
    assert "DAG" not in err


def test_other_ends(service: Any) -> None:
    job: dict[str, Any] = {"displayName": "one", "state": "PIPELINE_STATE_CANCELLED"}
    with pytest.raises(Exception, match="run one was cancelled"):
        conclude(job, "link")
    with pytest.raises(Exception, match="one: no quota"):
        conclude(job | {"state": "PIPELINE_STATE_FAILED", "error": {"code": 8, "message": "no quota"}}, "link")


@pytest.mark.usefixtures("compiled_once")
def test_a_service_that_stumbles_is_asked_again(photoshoot: Call, service: Any, profile: str) -> None:
    service.stumbles = deque([429, "drop", "lost", 200, 500, 503, "drop", 200, 408])
    service.plan = deque([("RUNNING", [detail("train", "RUNNING")], {}), ("RUNNING", [], {}), ("SUCCEEDED", [], {})])
    code, _, err = photoshoot(*RUN, "--profile", profile)
    assert code == 0, err
    assert len(service.jobs) == 1, "a request whose answer was lost made a second run"
    assert sum(one.startswith("POST") for one in service.requests) == 4
    assert "answers 429: The service is currently unavailable.; trying again" in err


@pytest.mark.usefixtures("compiled_once")
def test_a_service_that_stays_away_ends_the_following_not_the_run(photoshoot: Call, service: Any, profile: str) -> None:
    service.stumbles = deque([200, *[503] * 99])
    code, _, err = photoshoot(*RUN, "--profile", profile, "--patience", "0.1")
    (name,) = service.jobs
    assert code == 3 and f"answers 503: The service is currently unavailable.; run {name} goes on" in err
    assert f"`photoshoot follow {name}` follows it again" in err


@pytest.mark.usefixtures("compiled_once")
def test_ctrl_c_leaves_the_run(photoshoot: Call, service: Any, profile: str) -> None:
    service.plan = deque([("RUNNING", [detail("train", "RUNNING")], {})])
    main = threading.main_thread().ident
    assert main is not None
    service.on_get = lambda: signal.pthread_kill(main, signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # other tests may have left another
    try:
        code, _, err = photoshoot(*RUN, "--profile", profile, "--poll", "5")
    finally:
        signal.signal(signal.SIGINT, before)
    (name,) = service.jobs
    assert code == 130 and f"run {name} goes on" in err and f"`photoshoot cancel {name}` ends it" in err
    assert service.jobs[name]["state"] == "PIPELINE_STATE_RUNNING"


@pytest.mark.usefixtures("compiled_once")
def test_a_run_is_left_found_followed_and_cancelled(photoshoot: Call, service: Any, profile: str) -> None:
    code, out, err = photoshoot(*RUN, "--profile", profile, "--detach", "--json")
    assert code == 0, err
    name = _json(out)["run_id"]
    assert _json(out)["status"] == "submitted" and f"follow {name}" in _json(out)["next"][0]
    code, out, _ = photoshoot("runs", "--vertex", "--project", "p1", "--region", "europe-west4", "--json")
    assert code == 0 and [row["run_id"] for row in _json(out)["runs"]] == [name]
    service.plan = deque([("RUNNING", [detail("train", "RUNNING")], {})])
    code, _, err = photoshoot("follow", name, "--poll", "0.05", "--wait", "1s")
    assert code == 3 and "is running after 1 s and goes on" in err
    service.plan.clear()
    code, out, _ = photoshoot("cancel", name)
    assert code == 0 and "is being cancelled" in out
    assert service.jobs[name]["state"] == "PIPELINE_STATE_CANCELLING"
    code, _, err = photoshoot("retry", name)
    assert code == 2 and "Vertex AI does not run a job again" in err
    code, _, err = photoshoot("follow", f"{name}-not")
    assert code == 2 and f"no {name}-not on" in err
    code, _, err = photoshoot("follow", "projects/p1")
    assert code == 2 and "projects/p1 is no pipeline job" in err


def test_lists_go_on_from_page_to_page(service: Any) -> None:
    for number in range(5):
        service.jobs[str(number)] = {"name": str(number)}
    assert [job["name"] for job in Vertex(PLACE).list(4)] == ["4", "3", "2", "1"]
    assert len(Vertex(PLACE).list(20)) == 5


@pytest.mark.parametrize(("status", "kind", "says"), [
    (400, InputError, "refuses"), (401, MachineError, "credentials"), (403, MachineError, "roles/aiplatform.user"),
    (404, InputError, "runs --vertex"), (302, MachineError, "refuses")])
def test_refusals_are_one_line_with_a_remedy(service: Any, status: int, kind: type[Exception], says: str) -> None:
    service.stumbles = deque([status])
    with pytest.raises(kind, match=says) as raised:
        Vertex(PLACE).get("projects/p1/locations/europe-west4/pipelineJobs/a")
    assert not isinstance(raised.value, LostConnection) and len(service.requests) == 1


def test_credentials_that_are_missing_or_expired(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def expired(*_: object, **__: object) -> None:
        raise RefreshError("Reauthentication is needed.")  # type: ignore[no-untyped-call]

    def missing(**_: object) -> None:
        raise DefaultCredentialsError("None were found.")  # type: ignore[no-untyped-call]

    server = Vertex(PLACE)
    monkeypatch.setattr(server._session, "request", expired)
    with pytest.raises(MachineError, match=r"Reauthentication is needed\. -- gcloud auth application-default login"):
        server.get("a")
    monkeypatch.setattr("pipelines.vertex.server.default_credentials", missing)
    monkeypatch.delenv("PHOTOSHOOT_VERTEX_ENDPOINT")
    with pytest.raises(MachineError, match=r"None were found\. -- gcloud auth application-default login"):
        Vertex(PLACE)


@pytest.mark.parametrize(("project", "region", "says"), [
    (None, "us-central1", "--project"), ("p1", None, "no region"), ("p1", "evil.example/", "is no region")])
def test_a_place_has_a_project_and_a_region(project: str | None, region: str | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        place(project, region)
