"""The Kubernetes part against a Kubernetes API over HTTP, through the official client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import silent_port

from components.core.errors import MachineError
from components.core.presets import preset
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.kubernetes.access import kubernetes as checks
from pipelines.doctor.kubernetes.profile import combination
from pipelines.profile import Notify, load_profile

NAMESPACE = "team"


def look(context: str | None = None, profile: str = "gke-spot", *changes: str) -> list[Finding]:
    settings = preset("demo").with_changes(changes)
    with_volume = load_profile(profile).model_copy(update={"state_claim": "photoshoot-state"})
    return checks(with_volume, NAMESPACE, context, settings, photos=None, patience=10)


def bad(findings: list[Finding], level: Level = Level.PROBLEM) -> list[str]:
    return [finding.what for finding in findings if finding.level == level]


def test_what_is_right_has_nothing_to_mend(kubernetes: Any) -> None:
    for context in (None, "there"):
        findings = look(context)
        assert not bad(findings) and not bad(findings, Level.WARNING), findings
    told = {finding.what for finding in findings}
    assert {"Kubernetes", "namespace team", "service account photoshoot-runner", "Secret photoshoot-mlflow-client",
            "claim photoshoot-state", "gpu nodes: nvidia.com/gpu", "cpu nodes: cpu", "quotas"} <= told


def test_a_wrong_taint_a_missing_secret_and_no_gpu_are_all_named_at_once(kubernetes: Any, tmp_path: Path) -> None:
    kubernetes.nodes[1]["spec"]["taints"] = [{"key": "dedicated", "value": "others", "effect": "NoSchedule"}]
    del kubernetes.nodes[1]["status"]["allocatable"]["nvidia.com/gpu"]
    del kubernetes.objects["secrets"]["photoshoot-mlflow-client"]
    command = [sys.executable, "-m", "pipelines.cli", "doctor", "--profile", "gke-spot", "--namespace", NAMESPACE,
               "--home", str(tmp_path / "home"), "--patience", "60", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    named = {one["what"]: one for one in report["findings"] if one["level"] == "problem"}
    assert report["problems"] == len(named) == 3
    assert "dedicated=others:NoSchedule" in named["gpu nodes: taints"]["found"]
    assert named["Secret photoshoot-mlflow-client"]["found"] == "missing"
    assert named["gpu nodes: nvidia.com/gpu"]["found"] == "none allocatable on spot"
    assert all(one["how_to_mend"] and one["wanted"] for one in named.values())
    assert [one["level"] for one in report["findings"][:3]] == ["problem"] * 3
    assert not (tmp_path / "home").exists()


def _gone(kind: str, name: str) -> Callable[[Any], None]:
    return lambda kubernetes: kubernetes.objects[kind].pop(name)


def _node(**changes: Any) -> Callable[[Any], None]:
    def change(kubernetes: Any) -> None:
        for key, value in changes.items():
            kubernetes.nodes[1][key] |= value

    return change


def _quota(kubernetes: Any) -> None:
    kubernetes.objects["resourcequotas"]["team-quota"] = {
        "metadata": {"name": "team-quota"},
        "status": {"hard": {"requests.nvidia.com/gpu": "4", "requests.cpu": "100"},
                   "used": {"requests.nvidia.com/gpu": "4", "requests.cpu": "90"}}}


@pytest.mark.parametrize(("breaks", "what", "found"), [
    (_gone("namespaces", NAMESPACE), "namespace team", "missing"),
    (_gone("serviceaccounts", "photoshoot-runner"), "service account photoshoot-runner", "missing"),
    (_gone("persistentvolumeclaims", "photoshoot-state"), "claim photoshoot-state", "missing"),
    (lambda kubernetes: kubernetes.objects["persistentvolumeclaims"]["photoshoot-state"]["status"].update(phase="Lost"),
     "claim photoshoot-state", "its volume is lost"),
    (lambda kubernetes: kubernetes.objects["secrets"]["photoshoot-mlflow-client"]["data"].update(password=""),
     "Secret photoshoot-mlflow-client", "lacks or has empty: password"),
    (lambda kubernetes: kubernetes.objects["namespaces"][NAMESPACE]["status"].update(phase="Terminating"),
     "namespace team", "is being deleted"),
    (_node(spec={"unschedulable": True}), "gpu nodes: ready", "spot not ready or cordoned"),
    (_node(status={"conditions": [{"type": "Ready", "status": "False"}]}), "gpu nodes: ready",
     "spot not ready or cordoned"),
    (lambda kubernetes: kubernetes.nodes[1]["status"]["allocatable"].update(memory="14Gi"), "gpu nodes: memory",
     "at most 14.0 GiB on a node"),
    (lambda kubernetes: kubernetes.nodes[1]["metadata"]["labels"].update({"photoshoot.dev/pool": "gpu"}),
     "gpu nodes: labels", "none of 2 nodes has them; spot has photoshoot.dev/pool=gpu"),
    (_quota, "quota team-quota: requests.nvidia.com/gpu", "4 of 4 used"),
])
def test_each_thing_that_is_wrong_is_named_alone(kubernetes: Any, breaks: Callable[[Any], None], what: str,
                                                 found: str) -> None:
    breaks(kubernetes)
    findings = look()
    assert [(one.what, one.found) for one in findings if one.level == Level.PROBLEM] == [(what, found)]
    assert all(one.how_to_mend and one.wanted for one in findings if one.level == Level.PROBLEM)


def test_a_pool_that_grows_from_nothing_is_a_warning_in_a_cloud_and_a_problem_elsewhere(kubernetes: Any) -> None:
    del kubernetes.nodes[1]
    assert bad(look()) == ["gpu nodes: labels", "gpu nodes: nvidia.com/gpu"]
    kubernetes.nodes[0]["spec"]["providerID"] = "gce://project/zone/plain"
    findings = look()
    assert not bad(findings)
    assert bad(findings, Level.WARNING) == ["gpu nodes: labels", "gpu nodes: nvidia.com/gpu"]


def test_nodes_come_in_pages(kubernetes: Any) -> None:
    kubernetes.pages = 2
    assert not bad(look())
    assert sum(path.startswith("/api/v1/nodes") for path in kubernetes.asked) == 2


def test_an_optional_secret_may_be_missing(kubernetes: Any) -> None:
    del kubernetes.objects["secrets"]["photoshoot-studies"]
    findings = look(None, "gke-spot", "tune.enabled=true", "tune.workers=1")
    assert not bad(findings)
    assert any(one.what == "Secret photoshoot-studies" and "start without it" in one.found for one in findings)


def test_steps_on_several_nodes_need_a_claim_that_several_nodes_can_mount(kubernetes: Any) -> None:
    assert bad(look(None, "gke-spot", "preprocess.shards=4")) == ["claim photoshoot-state"]
    kubernetes.objects["persistentvolumeclaims"]["photoshoot-state"]["spec"]["accessModes"] = ["ReadWriteMany"]
    assert not bad(look(None, "gke-spot", "preprocess.shards=4"))


def test_what_a_profile_of_ones_own_names_is_looked_for(kubernetes: Any) -> None:
    def all_of_it() -> list[Finding]:
        profile = load_profile("gke-spot").model_copy(update={
            "queue": "gpus", "notify": Notify(secret="webhook", key="address"), "state": "gs://bucket/state",
            "train_jobs": True})
        settings = preset("demo").with_changes(["train.nodes=2"])
        return checks(profile, NAMESPACE, None, settings, photos=None, patience=10)

    assert bad(all_of_it()) == ["Secret webhook", "queue gpus", "training runtime torch-distributed"]
    assert all(one.how_to_mend for one in all_of_it() if one.level == Level.PROBLEM)
    kubernetes.objects["secrets"]["webhook"] = {"metadata": {"name": "webhook"}, "data": {"address": "aHR0cA=="}}
    kubernetes.objects["localqueues"] = {"gpus": {}}
    kubernetes.objects["clustertrainingruntimes"] = {"torch-distributed": {}}
    assert not bad(all_of_it())
    kubernetes.forbidden = ("localqueues", "clustertrainingruntimes")
    assert bad(all_of_it()) == [] and {"queue gpus", "training runtime torch-distributed"} <= set(
        bad(all_of_it(), Level.WARNING))


def test_what_cannot_work_is_told_with_everything_to_change() -> None:
    profile = load_profile("gke-spot")
    found = combination(preset("demo").with_changes(["train.nodes=2", "train.batch=3"]), profile, "/artifacts")
    problems = [one for one in found if one.level == Level.PROBLEM]
    assert [re.findall(r"gs://|TrainJobs|divided", one.found)[0] for one in problems] == [
        "gs://", "TrainJobs", "gs://", "divided"]
    assert all("train." in one.how_to_mend or "state:" in one.how_to_mend for one in problems)
    assert bad(found, Level.WARNING) == ["state on profile gke-spot"]
    ready = profile.model_copy(update={"state": "gs://bucket/state", "train_jobs": True})
    (fine,) = combination(preset("demo").with_changes(["train.nodes=2"]), ready, "gs://bucket/runs")
    assert fine.level == Level.OK


def test_photos_that_do_not_fit_the_nodes_are_named(kubernetes: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with (tmp_path / "b.jpg").open("wb") as large:
        large.truncate(200 << 30)
    findings = checks(load_profile("gke-spot"), NAMESPACE, None, preset("demo"), photos=str(tmp_path), patience=10)
    assert bad(findings) == ["gpu nodes: disk for preprocess"]
    (found,) = [one for one in findings if one.level == Level.PROBLEM]
    assert found.found == "at most 150.0 GiB on a node" and found.wanted.startswith("201.")


def test_what_this_account_may_not_see_is_a_warning(kubernetes: Any) -> None:
    kubernetes.forbidden = ("nodes", "secrets", "namespaces", "serviceaccounts", "persistentvolumeclaims",
                         "resourcequotas")
    findings = look()
    assert not bad(findings)
    assert {"nodes", "Secret photoshoot-mlflow-client", "namespace team"} <= set(bad(findings, Level.WARNING))


def test_no_secret_is_ever_shown(kubernetes: Any) -> None:
    import base64

    shown = repr(look(None, "gke-spot", "tune.enabled=true"))
    for value in ("aHVudGVyMg==", base64.b64decode("aHVudGVyMg==").decode(), "secret-token"):
        assert value not in shown


def test_a_clock_an_hour_off_is_named(kubernetes: Any) -> None:
    kubernetes.clock = -3600
    assert bad(look()) == ["clock against Kubernetes"]


def test_an_account_that_is_not_known(kubernetes: Any) -> None:
    kubernetes.accepted = False
    findings = look()
    assert bad(findings) == ["Kubernetes"] and "log in again" in findings[0].how_to_mend


def test_a_server_that_is_not_there_is_one_problem(kubeconfig_at: Any) -> None:
    with silent_port() as port:
        kubeconfig_at(f"http://127.0.0.1:{port}")
        findings = look()
    assert bad(findings) == ["Kubernetes"] and "refused" in findings[0].found and len(findings) == 1


def test_a_context_that_is_not_there(kubernetes: Any) -> None:
    with pytest.raises(MachineError, match="no context elsewhere"):
        look("elsewhere")


def test_no_way_to_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(MachineError, match="neither in a pod nor with a kubeconfig"):
        look()


def test_a_profile_whose_shared_memory_eats_its_memory(kubernetes: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: {train: {memory: 4Gi, shared_memory: 4Gi}}\n")
    assert bad(look(None, str(path))) == ["profile mine: train"]
