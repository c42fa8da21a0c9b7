"""`photoshoot run --backend kubeflow` and its kin against a server that checks every body with KFP's own models."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import called
from servers import gcs_bucket

from components.core.errors import InputError, MachineError
from components.core.presets import preset
from components.core.stores.storage import open_location
from pipelines.kubeflow.access import Access
from pipelines.kubeflow.server import LostConnection, Server
from pipelines.kubeflow.submit import Order, compiled, fingerprint, six_fields, submit, typed_arguments
from pipelines.profile import load_profile

Call = Callable[..., tuple[int, str, str]]
CHAIN = ("synthesize", "preprocess", "cluster", "train", "evaluate", "challenge", "register")


@pytest.fixture
def photoshoot(kfp: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line, in this process: exit code, output, errors."""
    for name in ("MLFLOW_TRACKING_URI", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "PHOTOSHOOT_AUTH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp.url)
    monkeypatch.setattr("pipelines.kubeflow.server._WAITS_S", (0.01, 0.02))
    monkeypatch.setattr("pipelines.cli.options.QUICK_PATIENCE", 0.3)

    def call(*arguments: str) -> tuple[int, str, str]:
        code, out, err = called(monkeypatch, capsys, *arguments)
        return code, out, " ".join(err.split())

    return call


RUN = ("run", "--backend", "kubeflow", "--preset", "smoke", "--profile", "gke-spot", "--poll", "0.05")


def _json(out: str) -> dict[str, Any]:
    return dict(json.loads(out.splitlines()[-1]))


def _running(kfp: Any, steps: tuple[str, ...] = CHAIN) -> str:
    """A run that somebody has submitted; its id."""
    run_id = str(uuid.uuid4())
    spec = {"root": {"dag": {"tasks": {step: {} for step in steps}}}}
    kfp.runs[run_id] = {"run_id": run_id, "display_name": "somebody's", "state": "RUNNING",
                        "storage_state": "AVAILABLE", "pipeline_spec": {"pipeline_spec": spec, "platform_spec": {}},
                        "created_at": "2026-11-22T10:00:00Z", "finished_at": "1970-01-01T00:00:00Z"}
    return run_id


@pytest.fixture
def photos() -> Iterator[str]:
    """A bucket with one photo."""
    with gcs_bucket("bucket"):
        open_location("gs://bucket/photos").write_bytes("a.png", b"a")
        yield "gs://bucket/photos"


def test_new_photos_under_the_same_prefix_are_noticed(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def imported(digest: str | None) -> dict[str, Any]:
        order = Order(preset("smoke"), load_profile("local"), photos)
        return dict(compiled(order, digest)[0]["deploymentSpec"]["executors"]["exec-importer"]["importer"])

    before = fingerprint(photos)
    assert before and before == fingerprint(photos) and imported(before)["metadata"] == {"digest": before}
    assert not imported(before).get("reimport")
    open_location(photos).write_bytes("b.png", b"b")
    assert fingerprint(photos) != before
    with pytest.raises(InputError, match="no files there"):
        fingerprint("gs://bucket/none")
    monkeypatch.setattr("components.core.stores.storage.GcsLocation.stamps", _not_allowed)
    assert fingerprint(photos) is None and imported(None)["reimport"] is True


def _not_allowed(self: object) -> dict[str, str]:
    raise MachineError("permission denied")


def test_a_run_is_submitted_and_followed_to_its_end(photoshoot: Call, kfp: Any, tasks: Any, photos: str) -> None:
    done = [tasks(step, "SUCCEEDED", 0 if step == "synthesize" else 60) for step in CHAIN]
    kfp.plan = deque([
        ("PENDING", []),
        ("RUNNING", [*done[:2], tasks("cluster-driver", "SUCCEEDED"), tasks("cluster", "RUNNING")]),
        ("RUNNING", [*done[:3], tasks("train", "RUNNING"), tasks("executor", "SKIPPED")]),
        ("SUCCEEDED", done),
    ])
    code, out, err = photoshoot(*RUN, "--photos", photos, "--registry", "reg/team", "--run-name", "first",
                                "--experiment", "people", "--root", "gs://bucket/runs", "--arg", "gpu_count=2",
                                "--arg", "gpu_node_selector={pool: big}", "--json")
    assert code == 0, err
    result = _json(out)
    (run,) = kfp.runs.values()
    assert result["status"] == "succeeded" and result["run_id"] == run["run_id"]
    assert result["link"] == f"{kfp.url}/#/runs/details/{run['run_id']}" and result["link"] in err
    assert result["steps"] == {step: "finished" for step in CHAIN[1:]}
    assert "cluster done in 60 s" in err and err.count("train done") == 1
    assert run["display_name"] == "first" and run["service_account"] == "photoshoot-runner"
    assert kfp.experiments[run["experiment_id"]]["display_name"] == "people"
    assert run["runtime_config"] == {"parameters": {"gpu_count": "2", "gpu_node_selector": {"pool": "big"}},
                                     "pipeline_root": "gs://bucket/runs"}
    executors = run["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert executors["exec-train"]["container"]["image"].startswith("reg/team/photoshoot-train:")
    assert executors["exec-importer"]["importer"]["artifactUri"]["constant"] == "gs://bucket/photos"


def test_reused_steps_are_told_from_those_that_ran(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [tasks("synthesize", "SUCCEEDED", 0), tasks("preprocess", "RUNNING")]),
                      ("SUCCEEDED", [tasks(step, "SUCCEEDED", 60 if step == "preprocess" else 0) for step in CHAIN])])
    code, out, err = photoshoot("follow", run_id, "--poll", "0.05", "--json")
    assert code == 0, err
    states = _json(out)["steps"]
    assert states == {step: "finished" if step == "preprocess" else "reused" for step in CHAIN}


def test_a_run_may_be_left_alone(photoshoot: Call, kfp: Any) -> None:
    code, out, err = photoshoot(*RUN, "--detach", "--json")
    result = _json(out)
    assert code == 0 and result["status"] == "submitted" and list(kfp.runs) == [result["run_id"]], err


def test_a_failed_step_is_named_with_its_error(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")]),
                      ("FAILED", [tasks("cluster", "SUCCEEDED"), tasks("train", "FAILED", error="exit code\n137")])])
    code, out, err = photoshoot("follow", run_id, "--poll", "0.05", "--json")
    assert code == 1 and "train failed: exit code 137" in err and f"photoshoot retry {run_id}" in err
    assert _json(out)["status"] == "failed" and "train failed" in _json(out)["error"]


@pytest.mark.parametrize(("state", "said"), [
    ("CANCELED", "was cancelled"), ("SKIPPED", "was skipped"), ("FAILED", "failed before a step began")])
def test_other_ends_are_ends_too(photoshoot: Call, kfp: Any, state: str, said: str) -> None:
    kfp.plan = deque([("PENDING", []), ("CANCELING" if state == "CANCELED" else "PAUSED", []), (state, [])])
    code, _, err = photoshoot("follow", _running(kfp), "--poll", "0.05")
    assert code == 1 and said in err


def test_a_driver_that_fails_is_its_steps_failure(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    kfp.plan = deque([("FAILED", [tasks("tune-worker-driver", "FAILED", error="no such secret")])])
    code, _, err = photoshoot("follow", _running(kfp, ("preprocess", "tune-worker", "train")))
    assert code == 1 and "tune failed: no such secret" in err


def test_cancelling_follows_through(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")])])
    code, out, _ = photoshoot("cancel", run_id, "--json")
    assert code == 0 and _json(out) == {"status": "canceling", "run_id": run_id}
    assert ("POST", f"/apis/v2beta1/runs/{run_id}:terminate") in kfp.requests
    code, _, err = photoshoot("follow", run_id, "--poll", "0.05")
    assert code == 1 and "was cancelled" in err
    before = len(kfp.requests)
    code, out, _ = photoshoot("cancel", run_id)
    assert code == 0 and "has ended: CANCELED" in out
    assert all(method == "GET" for method, _ in kfp.requests[before:])


def test_a_failed_run_is_retried_and_followed(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("FAILED", [tasks("train", "FAILED")])])
    assert photoshoot("follow", run_id)[0] == 1
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")]), ("SUCCEEDED", [tasks("train", "SUCCEEDED")])])
    kfp.runs[run_id]["state"] = "FAILED"
    name = kfp.runs[run_id]["display_name"]
    kfp.plan.appendleft(("FAILED", [tasks("train", "FAILED")]))
    code, out, err = photoshoot("retry", name, "--poll", "0.05")
    assert code == 0 and "succeeded" in out, err
    code, _, err = photoshoot("retry", run_id)
    assert code == 3 and "must be Failed" in err


def test_following_stops_and_the_run_goes_on(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")])])
    code, _, err = photoshoot("follow", run_id, "--wait", "1s", "--poll", "0.2")
    assert code == 3 and "goes on" in err and f"photoshoot follow {run_id}" in err
    assert kfp.runs[run_id]["state"] == "RUNNING"
    assert photoshoot("follow", run_id, "--wait", "soon")[0] == 2


def test_ctrl_c_ends_the_following_and_not_the_run(
    photoshoot: Call, kfp: Any, tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")])])
    monkeypatch.setattr("pipelines.kubeflow.follow.time.sleep", pressed)
    code, _, err = photoshoot("follow", run_id)
    assert code == 130 and f"run {run_id} goes on" in err and f"photoshoot cancel {run_id}" in err
    assert kfp.runs[run_id]["state"] == "RUNNING" and "same command" not in err


def test_a_version_is_uploaded_once_and_run_by_reference(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    kfp.plan = deque([("SUCCEEDED", [tasks(step, "SUCCEEDED") for step in CHAIN])])
    for changes in ([], [], ["--set", "train.steps=13"]):
        code, _, err = photoshoot(*RUN, "--upload", "photoshoot", *changes)
        assert code == 0, err
    (pipeline,) = kfp.pipelines.values()
    versions = kfp.versions[pipeline["pipeline_id"]]
    assert pipeline["display_name"] == "photoshoot" and len(versions) == 2
    used = [run["pipeline_version_reference"]["pipeline_version_id"] for run in kfp.runs.values()]
    assert used == [versions[0]["pipeline_version_id"]] * 2 + [versions[1]["pipeline_version_id"]]


def test_runs_and_schedules_are_listed(photoshoot: Call, kfp: Any) -> None:
    assert "no runs" in photoshoot("runs", "--kubeflow")[2]
    run_id = _running(kfp)
    rows = _json(photoshoot("runs", "--kubeflow", "--json")[1])["runs"]
    assert [(row["run_id"], row["status"]) for row in rows] == [(run_id, "running")]
    assert run_id in photoshoot("runs", "--kubeflow")[1]
    code, out, err = photoshoot("schedule", "add", "--cron", "0 3 * * 1", "--preset", "smoke", "--profile", "gke-spot",
                                "--photos", "gs://bucket/photos", "--json")
    assert code == 0, err
    schedule = _json(out)["schedule_id"]
    assert kfp.schedules[schedule]["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert kfp.schedules[schedule]["no_catchup"] is True and kfp.schedules[schedule]["max_concurrency"] == "1"
    assert _json(photoshoot("schedule", "list", "--json")[1])["schedules"][0]["cron"] == "0 0 3 * * 1"
    assert photoshoot("schedule", "delete", schedule)[0] == 0 and not kfp.schedules
    assert photoshoot("schedule", "delete", schedule)[0] == 2
    assert photoshoot("schedule", "add", "--cron", "soon", "--preset", "smoke")[0] == 2


@pytest.mark.parametrize(("arguments", "said"), [
    (("--photos", "{tmp}"), "Kubeflow cannot read this folder"),
    (("--arg", "gpus=2"), "no input gpus -- --arg takes cpu_node_selector"),
    (("--arg", "gpu_count"), "not KEY=VALUE"),
    (("--arg", "gpu_tolerations={key: a}"), "not a list"),
    (("--profile", "gke"), "no profile gke"),
    (("--auth", "password:x"), "write token:FILE"),
    (("--auth", "token:{tmp}/none"), "no readable token"),
    (("--host", "localhost:1"), "is not a URL"),
])
def test_mistakes_are_told_before_anything_starts(
    photoshoot: Call, kfp: Any, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = photoshoot(*RUN, *(one.replace("{tmp}", str(tmp_path)) for one in arguments))
    assert code == 2 and said in err and not kfp.runs and not out


def test_the_old_names_are_still_taken_and_said_to_be_old(photoshoot: Call, kfp: Any) -> None:
    code, out, err = photoshoot("run", "--backend", "cluster", *RUN[3:], "--detach", "--json")
    assert code == 0 and _json(out)["run_id"] in kfp.runs
    assert "--backend cluster is the old name of --backend kubeflow" in err
    code, out, err = photoshoot("runs", "--cluster", "--json")
    assert code == 0 and len(_json(out)["runs"]) == 1 and err == "--cluster is the old name of --kubeflow"
    shown = photoshoot("runs", "--help")[1]
    assert "--kubeflow" in shown and "--cluster" not in shown


def test_an_unknown_run_or_one_of_somebody_else(photoshoot: Call, kfp: Any) -> None:
    assert photoshoot("follow", "nobody")[0] == 2
    code, _, err = photoshoot("follow", "00000000-0000-0000-0000-000000000000")
    assert code == 2 and "no run 00000000" in err
    run_id = _running(kfp)
    kfp.runs[run_id]["pipeline_spec"] = {"root": {"dag": {"tasks": {"hello": {}}}}}
    code, _, err = photoshoot("follow", run_id)
    assert code == 2 and "was not made by photoshoot" in err


def test_expired_tokens_are_read_again(photoshoot: Call, kfp: Any, tasks: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    kfp.token = "old"
    run_id = _running(kfp)
    assert photoshoot("runs", "--kubeflow", "--auth", f"token:{token}")[0] == 0
    kfp.plan = deque([("RUNNING", []), ("SUCCEEDED", [tasks("train", "SUCCEEDED")])])
    kfp.token = "new"
    token.write_text("new\n")
    kfp.faults.append("401")
    assert photoshoot("follow", run_id, "--auth", f"token:{token}", "--poll", "0.05")[0] == 0
    kfp.token = "newer"
    code, _, err = photoshoot("follow", run_id, "--auth", f"token:{token}")
    assert code == 3 and "has expired" in err and "log in again" in err


def test_a_token_that_expires_on_the_way_says_that_the_run_goes_on(photoshoot: Call, kfp: Any, tmp_path: Path) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [])])
    kfp.faults.extend(["none", "none", "401"])  # which run it is, one look, then refused
    code, _, err = photoshoot("follow", run_id, "--poll", "0.05")
    assert code == 3 and f"run {run_id} goes on" in err and f"photoshoot follow {run_id}" in err


@pytest.mark.parametrize("fault", ["html", "login"])
def test_a_login_page_is_no_answer(photoshoot: Call, kfp: Any, fault: str) -> None:
    kfp.faults.append(fault)
    code, _, err = photoshoot("runs", "--kubeflow")
    assert code == 3 and "login page" in err and "--auth" in err


def test_dropped_connections_and_busy_servers_are_outlasted(photoshoot: Call, kfp: Any, tasks: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", []), ("SUCCEEDED", [tasks("train", "SUCCEEDED")])])
    kfp.faults.extend(["drop", "503", "none", "drop", "drop", "none", "503"])
    code, _, err = photoshoot("follow", run_id, "--poll", "0.05")
    assert code == 0 and "trying again" in err, err


def test_a_server_that_stays_away_is_given_up_in_one_line(photoshoot: Call, kfp: Any) -> None:
    run_id = _running(kfp)
    kfp.plan = deque([("RUNNING", [])])
    kfp.faults.extend(["none"] * 2 + ["drop"] * 500)
    code, _, err = photoshoot("follow", run_id, "--poll", "0.05", "--patience", "0.2")
    assert code == 3 and f"run {run_id} goes on" in err and "Traceback" not in err
    code, _, err = photoshoot("runs", "--kubeflow", "--host", "http://127.0.0.1:9")
    assert code == 3 and "does not answer" in err and "port-forward" in err


def test_a_slow_server_is_waited_for_or_not(kfp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Access(kfp.url), patience=5)
    kfp.faults.append("slow")
    assert server.list_runs(5) == []
    monkeypatch.setattr("pipelines.kubeflow.server._READ_S", 0.2)
    kfp.faults.extend(["slow"] * 3)
    with pytest.raises(LostConnection, match="no answer in time"):
        Server(Access(kfp.url), patience=0.1).list_runs(5)


ORDER = Order(preset("smoke"), load_profile("local"), name="once")


def test_a_reply_that_gets_lost_starts_no_second_run(kfp: Any) -> None:
    server = Server(Access(kfp.url), patience=5)
    server.experiment("photoshoot")
    kfp.faults.extend(["none", "lose"])
    submitted = submit(server, ORDER)
    assert list(kfp.runs) == [submitted.run_id]
    kfp.faults.extend(["none", "drop"])
    with pytest.raises(LostConnection):  # an older run of that name is not taken for it
        submit(server, ORDER)
    assert len(kfp.runs) == 1


def test_several_people_on_one_server_have_namespaces(kfp: Any) -> None:
    kfp.multi_user = True
    server = Server(Access(kfp.url, namespace="team"), patience=5)
    submit(server, ORDER)
    assert [one["namespace"] for one in kfp.experiments.values()] == ["team"]
    assert len(server.list_runs(5)) == 1 and server.schedules() == []


def test_what_the_server_refuses_is_said(kfp: Any) -> None:
    server = Server(Access(kfp.url), patience=5)
    kfp.multi_user = True  # it changed its mind: an error of its own, passed on
    with pytest.raises(InputError, match="Namespace is empty"):
        server.list_runs(5)


@pytest.mark.parametrize(("cron", "fields"), [
    ("0 3 * * 1", "0 0 3 * * 1"), ("30 0 3 * * 1", "30 0 3 * * 1"), ("@daily", "@daily")])
def test_cron_has_seconds(cron: str, fields: str) -> None:
    assert six_fields(cron) == fields


def test_arguments_take_the_inputs_kinds() -> None:
    spec = {"root": {"inputDefinitions": {"parameters": {
        "a": {"parameterType": "STRING"}, "b": {"parameterType": "STRUCT"}, "c": {"parameterType": "LIST"}}}}}
    assert typed_arguments(spec, {"a": "1", "b": '{"x": "y"}', "c": "[]"}) == {"a": "1", "b": {"x": "y"}, "c": []}
    with pytest.raises(InputError, match="the pipeline has no input d"):
        typed_arguments(spec, {"d": "1"})
