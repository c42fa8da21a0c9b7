"""What Kubernetes knows of a run's pods, over real HTTP, and how it reaches the run's failure message."""

from __future__ import annotations

import sys
import uuid
from collections import deque
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.display import PipelineDisplay
from pipelines.kubeflow.follow import POLL_S, RunFailed, conclude, follow
from pipelines.kubeflow.pods import Trouble, core_api, troubles

RUN = "5f1f0e1c-0000-4000-8000-000000000001"
NODE = "photoshoot-abc.root.{}.executor(0)"


def _ended(reason: str, code: int, phase: str = "Failed") -> dict[str, Any]:
    state = {"terminated": {"reason": reason, "exitCode": code}}
    return {"phase": phase, "containerStatuses": [
        {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}]}


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"phase": "Pending", "containerStatuses": [
        {"name": "main", "image": "registry/photoshoot-train:1", "imageID": "", "ready": False, "restartCount": 0,
         "state": {"waiting": {"reason": reason, "message": message}}}]}


def _condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "OOMKilled": (_ended("OOMKilled", 137), "ran out of memory (24Gi): give the step more in the profile"),
    "Evicted": ({"phase": "Failed", "reason": "Evicted", "message": "low on resource: ephemeral-storage."},
                "evicted: low on resource: ephemeral-storage."),
    "Terminated": ({"phase": "Failed", "reason": "Terminated"}, "the node was taken back"),
    "DeletionByTaintManager": (
        _ended("Error", 137) | _condition("DisruptionTarget", "True", "DeletionByTaintManager"),
        "the node was taken back"),
    "PreemptionByScheduler": (
        _ended("Error", 143) | _condition("DisruptionTarget", "True", "PreemptionByScheduler"),
        "made way for a more important pod"),
    "DeadlineExceeded": ({"phase": "Failed", "reason": "DeadlineExceeded"}, "took longer than the step's timeout"),
    "ImagePullBackOff": (_waiting("ImagePullBackOff", 'Back-off pulling image "registry/photoshoot-train:1"'),
                         "cannot fetch the image registry/photoshoot-train:1"),
    "CreateContainerConfigError": (_waiting("CreateContainerConfigError", 'secret "mlflow" not found'),
                                   'cannot start: secret "mlflow" not found'),
    "Unschedulable": (
        {"phase": "Pending", **_condition("PodScheduled", "False", "Unschedulable", "0/3 nodes available")},
        "waits for a node: 0/3 nodes available"),
    "Error": (_ended("Error", 7), "exited with code 7"),
}


@pytest.mark.parametrize("reason", CASES)
def test_what_happened_is_told_in_plain_words(kubernetes: Any, reason: str) -> None:
    status, said = CASES[reason]
    kubernetes.pod("p-1", NODE.format("train"), RUN, status, resources={"limits": {"memory": "24Gi"}})
    (found,) = troubles(RUN, "team")
    assert (found.step, found.pod, found.reason) == ("train", "p-1", reason)
    assert found.text.startswith(said) and found.final == (status["phase"] == "Failed")


def test_the_steps_last_words_are_its_error(kubernetes: Any) -> None:
    kubernetes.pod("ours", NODE.format("preprocess-part"), RUN, _ended("Error", 1))
    kubernetes.pod("theirs", NODE.format("train"), RUN, _ended("Error", 1))
    kubernetes.logs["ours"] = ("Traceback (most recent call last):\n  File ...\n"
                            "components.core.errors.InputError: gs://b/p: no people -- more photos\n[KFP] exit 1\n")
    kubernetes.logs["theirs"] = "step 4\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    found = {one.step: one.text for one in troubles(RUN, "team")}
    assert found == {"preprocess": "gs://b/p: no people -- more photos",
                     "train": "OutOfMemoryError: CUDA out of memory."}


def test_events_say_why_a_pod_waits(kubernetes: Any) -> None:
    for name in ("a", "b"):
        kubernetes.pod(name, NODE.format("train"), RUN, {"phase": "Pending"})
    for name, reason, message in (("a", "FailedMount", "no such claim"), ("b", "FailedScheduling", "no nodes"),
                                  ("b", "TriggeredScaleUp", "pod triggered scale-up")):
        kubernetes.events.append({"metadata": {"name": f"{name}.{reason}"}, "reason": reason, "message": message,
                               "involvedObject": {"name": name}})
    assert [str(one) for one in troubles(RUN, "team")] == [
        "train: waits for a node that is being made", "train: waits: no such claim"]


def test_pods_that_are_well_or_of_other_runs_are_not_mentioned(kubernetes: Any) -> None:
    kubernetes.pod("done", NODE.format("train"), RUN, {"phase": "Succeeded"})
    kubernetes.pod("busy", NODE.format("train"), RUN, {"phase": "Running"})
    kubernetes.pod("other", NODE.format("train"), "another", _ended("OOMKilled", 137))
    kubernetes.pod("driver", "photoshoot-abc.root.train-driver", RUN, _ended("OOMKilled", 137))
    assert [(one.step, one.pod) for one in troubles(RUN, "team")] == [("train", "driver")]


def test_without_access_there_is_nothing_to_say(kubernetes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kubernetes.pod("p", NODE.format("train"), RUN, _ended("OOMKilled", 137))
    kubernetes.forbidden = True
    assert troubles(RUN, "team") == []
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent")
    assert core_api() is None and troubles(RUN, "team") == []


def test_the_failure_message_has_the_pods_reason(
    kfp: Any, kubernetes: Any, tasks: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_id = str(uuid.uuid4())
    spec = {"pipeline_spec": {"root": {"dag": {"tasks": {"train": {}}}}}, "platform_spec": {}}
    kfp.runs[run_id] = {"run_id": run_id, "display_name": "r", "state": "RUNNING", "pipeline_spec": spec}
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")]),
                      ("FAILED", [tasks("train", "FAILED", error="child failed")])])
    kubernetes.pod("p", NODE.format("train"), run_id, _ended("OOMKilled", 137), resources={"limits": {"memory": "4Gi"}})
    monkeypatch.setattr(sys, "argv", ["photoshoot", "follow", run_id, "--host", kfp.url, "--namespace", "team",
                                      "--poll", "0.05"])
    with pytest.raises(SystemExit, match="1"):
        main()
    error = " ".join(capsys.readouterr().err.split())
    assert "train failed: ran out of memory (4Gi): give the step more in the profile" in error
    assert "child failed" not in error


def test_trouble_on_the_way_is_said_once(kfp: Any, tasks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.kubeflow.access import Access
    from pipelines.kubeflow.server import Server

    monkeypatch.setattr("pipelines.kubeflow.follow._LOOK_EVERY_S", 0.0)
    kfp.runs[RUN] = {"run_id": RUN, "display_name": "r", "state": "RUNNING"}
    kfp.plan = deque([("RUNNING", [tasks("train", "RUNNING")])] * 4 + [("FAILED", [tasks("train", "FAILED")])])
    trouble = Trouble("train", "p", "ImagePullBackOff", "cannot fetch the image", False)
    said: list[str] = []
    run = follow(Server(Access(kfp.url)), RUN, PipelineDisplay(("train",)), poll=0.01, look=lambda: [trouble],
                 say=said.append)
    assert said == ["train: cannot fetch the image"] and POLL_S >= 1
    with pytest.raises(RunFailed, match="train failed: its log says why"):
        conclude(run, "link", [trouble])  # it had not ended: not what the run died of
