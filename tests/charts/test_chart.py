"""What the chart renders, held against Kubernetes' own schemas and the promises of its README."""

from __future__ import annotations

import base64
import copy
import functools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "photoshoot"
PROFILES = CHART.parents[1] / "pipelines" / "profiles"
CUSTOM = ("monitoring.coreos.com/v1", "serving.kserve.io/v1beta1")
"""Kinds that are not Kubernetes' own; test_custom.py validates them."""
KUBERNETES = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34")


def test_lint_finds_nothing(value_sets: dict[str, dict[str, Any]]) -> None:
    for name, values in value_sets.items():
        report = helm_python.lint(CHART, values, strict=True, namespace="vision", kube_version="v1.28.0")
        assert report["errors"] == [], name
        # Severity 1 is advice; the only piece of it we do not take is to have an icon.
        assert [m["error"] for m in report["messages"]] == ["icon is recommended"], name


@pytest.fixture
def schemas_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """kubernetes-validate reads a version's definitions, a megabyte, anew for each manifest."""
    utils = kubernetes_validate.utils
    monkeypatch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
    monkeypatch.setattr(utils, "all_versions", functools.cache(utils.all_versions))


@pytest.mark.usefixtures("schemas_read_once")
@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_valid(render: Callable[..., Any], value_sets: dict[str, Any], version: str) -> None:
    for values in value_sets.values():
        documents = render(values).documents
        assert documents
        for document in documents:
            if document["apiVersion"] not in CUSTOM:
                kubernetes_validate.validate(document, version, strict=True)


def test_validation_notices_a_wrong_field(defaults: Any) -> None:
    deployment = copy.deepcopy(defaults.one("Deployment", "-mlflow"))
    deployment["spec"]["template"]["spec"]["containers"][0]["prots"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
        kubernetes_validate.validate(deployment, "1.30", strict=True)


def test_every_pod_is_locked_down(rendered: Any) -> None:
    assert rendered.templates()
    for where, template in rendered.templates().items():
        if where.startswith("InferenceService/"):
            continue  # test_kserve.py: Knative takes these settings of a container, not of a pod
        pod = template["spec"]
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0 and security["fsGroup"] > 0, where
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, where
        # Only what speaks to Kubernetes gets a token for it.
        assert pod["automountServiceAccountToken"] is (where == "CronJob/photoshoot-follow"), where
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }, where
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory"} <= requests.keys() and "memory" in limits, where
        assert all(v.keys() & {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}
                   for v in pod.get("volumes", [])), where


def test_what_runs_for_long_is_probed_and_what_ends_may_not_hang(rendered: Any) -> None:
    for workload in rendered.all("Deployment", "StatefulSet"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), container["name"]
            ports = {p["name"] for p in container["ports"]}
            probes = [container[p]["httpGet"]["port"] for p in ("readinessProbe", "livenessProbe")
                      if "httpGet" in container[p]]
            assert set(probes) <= ports
    for job in [j["spec"]["jobTemplate"] for j in rendered.all("CronJob")] + rendered.all("Job"):
        assert job["spec"]["activeDeadlineSeconds"] > 0 and job["spec"]["backoffLimit"] >= 1


def _references(value: Any) -> list[tuple[str, str]]:
    """Kind and name of everything that a manifest refers to by name."""
    keys = {"secretKeyRef": ("Secret", "name"), "secret": ("Secret", "secretName"), "configMap": ("ConfigMap", "name"),
            "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName")}
    found = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys and isinstance(inner, dict):
                kind, name = keys[key]
                found.append((kind, inner[name]))
            elif key == "serviceAccountName":
                found.append(("ServiceAccount", inner))
            elif key == "imagePullSecrets":
                found += [("Secret", entry["name"]) for entry in inner]
            found += _references(inner)
    elif isinstance(value, list):
        found = [reference for inner in value for reference in _references(inner)]
    return found


def test_every_reference_leads_somewhere(rendered: Any, named_elsewhere: set[str]) -> None:
    names = [(d["kind"], d["metadata"]["name"]) for d in rendered.documents]
    assert len(set(names)) == len(names), "two manifests of one kind and name"
    namespaces = {d["metadata"].get("namespace") for d in rendered.documents if not d["kind"].startswith("Cluster")}
    assert namespaces == {"vision"}
    made_elsewhere = {(kind, name) for name in named_elsewhere for kind in ("Secret", "PersistentVolumeClaim")}
    for document in rendered.documents:
        for reference in _references(document):
            assert reference in names or reference in made_elsewhere, (document["metadata"]["name"], reference)
    # ... and the keys are there too.
    secrets = {d["metadata"]["name"]: d["data"] for d in rendered.all("Secret")}
    for template in rendered.templates().values():
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            for entry in container.get("env", []):
                wanted = entry.get("valueFrom", {}).get("secretKeyRef")
                if wanted and wanted["name"] in secrets:
                    assert wanted["key"] in secrets[wanted["name"]], wanted


def test_every_mount_has_its_volume_and_every_script_is_there(rendered: Any) -> None:
    scripts = rendered.one("ConfigMap", "-scripts")["data"]
    for where, template in rendered.templates().items():
        pod = template["spec"]
        volumes = {v["name"] for v in pod.get("volumes", [])}
        if where.startswith("StatefulSet/"):
            volumes.add("data")
        containers = [*pod["containers"], *pod.get("initContainers", [])]
        assert {m["name"] for c in containers for m in c.get("volumeMounts", [])} == volumes, where
        for container in containers:
            for word in container.get("command", []):
                assert not word.startswith("/scripts/") or word.removeprefix("/scripts/") in scripts, word
            assert all(m["subPath"] in scripts for m in container.get("volumeMounts", []) if "subPath" in m)


def test_every_service_and_selector_finds_its_pods(rendered: Any) -> None:
    pods = {where: template["metadata"]["labels"] for where, template in rendered.templates().items()}
    for service in rendered.all("Service"):
        selector = service["spec"]["selector"]
        found = [w for w, labels in pods.items() if selector.items() <= labels.items()]
        assert len(found) == 1, service["metadata"]["name"]
        (container,) = rendered.templates()[found[0]]["spec"]["containers"]
        assert {p["targetPort"] for p in service["spec"]["ports"]} <= {p["name"] for p in container["ports"]}
    for workload in rendered.all("Deployment", "StatefulSet"):
        selector = workload["spec"]["selector"]["matchLabels"]
        where = f"{workload['kind']}/{workload['metadata']['name']}"
        assert [w for w, labels in pods.items() if selector.items() <= labels.items()] == [where]
    for budget in rendered.all("PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"]
        assert any(selector.items() <= labels.items() for labels in pods.values())


def test_disruption_budgets_only_where_there_are_several(defaults: Any, everything: Any) -> None:
    assert defaults.all("PodDisruptionBudget") == []
    assert {d["metadata"]["name"] for d in everything.all("PodDisruptionBudget")} == {
        "photoshoot-mlflow", "photoshoot-serving"}


def test_images_are_pinned_by_digest_with_everything_on(everything: Any) -> None:
    images = {c["image"] for t in everything.templates().values()
              for c in [*t["spec"]["containers"], *t["spec"].get("initContainers", [])]}
    assert images == {f"photoshoot-tools@sha256:{'a' * 64}", f"postgres@sha256:{'b' * 64}",
                      f"team/photoshoot-train@sha256:{'c' * 64}", f"photoshoot-studio@sha256:{'d' * 64}"}


def test_images_by_version_or_tag(defaults: Any, external: Any) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert defaults.container("Deployment", "-mlflow")["image"] == f"photoshoot-tools:{version}"
    assert external.container("Deployment", "-serving")["image"] == "team/photoshoot-tools:0123abcd"


def test_no_password_is_written_into_a_pod(rendered: Any) -> None:
    for where, template in rendered.templates().items():
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            for entry in container.get("env", []):
                if any(word in entry["name"] for word in ("PASSWORD", "SECRET", "TOKEN")):
                    assert "secretKeyRef" in entry["valueFrom"], (where, entry["name"])
            assert not re.search(r"//[^/@\s]+:[^/@\s]+@", str(container)), where


def test_passwords_are_long_and_differ(everything: Any) -> None:
    secrets = {d["metadata"]["name"]: d["data"] for d in everything.all("Secret")}
    # Kubeflow's is a copy.
    assert secrets.pop("kfp-mlflow-credentials") == secrets["photoshoot-mlflow-client"]
    data = [v for d in secrets.values() for k, v in d.items() if k not in ("username", "url", "tls.crt", "ca.crt")]
    assert len(data) == 9 and len(set(data)) == 9 and all(len(v) > 50 for v in data)
    studies = {k: base64.b64decode(v).decode() for k, v in secrets["photoshoot-studies"].items()}
    assert studies["url"] == (f"postgresql+psycopg://optuna:{studies['optuna-password']}"
                              "@photoshoot-database.vision.svc:5432/optuna?sslmode=require")


def test_mlflow_keeps_nothing_here_when_all_is_elsewhere(external: Any, everything: Any, defaults: Any) -> None:
    assert external.all("PersistentVolumeClaim", "StatefulSet", "Secret") == []
    server = external.container("Deployment", "-mlflow")
    assert "--artifacts-destination=gs://team-bucket/mlflow" in server["args"]
    environment = {e["name"]: e.get("value") for e in server["env"]}
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg://mlflow@10.1.2.3:6432/mlflow"
    assert (environment["PGSSLMODE"], environment["PGSSLROOTCERT"]) == ("verify-ca", "/database-ca/ca.crt")
    # A volume that is mounted once is let go before the next server starts.
    assert defaults.one("Deployment", "-mlflow")["spec"]["strategy"] == {"type": "Recreate"}
    assert everything.one("Deployment", "-mlflow")["spec"]["strategy"] == {"type": "RollingUpdate"}


def test_mlflow_answers_to_its_names(render: Callable[..., Any], value_sets: dict[str, Any]) -> None:
    rendered = render(value_sets["everything"], name="a-release")
    service = rendered.one("Service", "-mlflow")["metadata"]["name"]
    arguments = dict(a.removeprefix("--").split("=", 1) for a in rendered.container("Deployment", "-mlflow")["args"])
    hosts = set(arguments["allowed-hosts"].split(","))
    for name in (service, f"{service}.vision", f"{service}.vision.svc", f"{service}.vision.svc.team.example"):
        assert {name, f"{name}:80"} <= hosts
    assert {"mlflow.example.com", "*.team.example", "localhost:*"} <= hosts
    assert "https://mlflow.example.com" in arguments["cors-allowed-origins"].split(",")
    # Its clients inside the chart use one of these names.
    uri = rendered.environment(rendered.container("CronJob", "-follow"))["MLFLOW_TRACKING_URI"]
    assert uri.removeprefix("http://") in hosts


def test_serving_starts_with_the_version_it_is_told_and_the_alias_before(everything: Any, tmp_path: Path) -> None:
    serving = everything.container("Deployment", "-serving")
    (tmp_path / "mlflow").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "mlflow").chmod(0o755)

    def started(version: str) -> str:
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL_VERSION": version}
        names = {e["name"]: e["value"] for e in serving["env"] if e["name"] in ("MODEL_NAME", "MODEL_ALIAS")}
        return subprocess.run([*serving["command"], *serving["args"]], env=environment | names, check=True,
                              capture_output=True, text=True).stdout

    assert started("").startswith("models serve --model-uri models:/photoshoot@champion ")
    assert started("7").startswith("models serve --model-uri models:/photoshoot/7 ")
    assert "--port 8080" in started("7") and serving["ports"][0]["containerPort"] == 8080
    (field,) = [e["valueFrom"]["fieldRef"]["fieldPath"] for e in serving["env"] if e["name"] == "MODEL_VERSION"]
    assert field == "metadata.annotations['photoshoot/version']"
    # A version that does not come up takes nothing away.
    strategy = everything.one("Deployment", "-serving")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}


def test_backups_go_to_a_volume_or_a_bucket(everything: Any, external: Any) -> None:
    pod = everything.templates()["CronJob/photoshoot-backup"]["spec"]
    assert [c["name"] for c in pod["containers"]] == ["dump"] and "initContainers" not in pod
    pod = external.templates()["CronJob/photoshoot-backup"]["spec"]
    assert [c["name"] for c in pod["initContainers"]] == ["dump"]
    assert pod["containers"][0]["command"][-1] == "gs://team-bucket/backups"


def test_an_external_database_without_studies(render: Callable[..., Any]) -> None:
    rendered = render({"backup": {"enabled": True},
                       "database": {"type": "external", "host": "db", "existingSecret": "mlflow-database"}})
    names = {entry["name"] for entry in rendered.container("CronJob", "-backup")["env"]}
    assert "MLFLOW_DATABASES" in names and not names & {"OPTUNA_USER", "OPTUNA_DATABASES"}
    assert "Studies" not in rendered.notes


def test_the_pipelines_profiles_find_what_they_name(defaults: Any) -> None:
    names = {(d["kind"], d["metadata"]["name"]) for d in defaults.documents}
    port = defaults.one("Service", "-mlflow")["spec"]["ports"][0]["port"]
    data = defaults.one("Secret", "-mlflow-client")["data"]
    profiles = [yaml.safe_load(path.read_text()) for path in sorted(PROFILES.glob("gke-*.yaml"))]
    assert len(profiles) == 2
    for profile in profiles:
        assert ("ServiceAccount", profile["service_account"]) in names
        if "state_claim" in profile:
            assert ("PersistentVolumeClaim", profile["state_claim"]) in names
        assert profile["tracking_uri"] == f"http://photoshoot-mlflow:{port}"
        for step in profile["steps"].values():
            logins = [s for s in step["secrets"] if s["name"] == "photoshoot-mlflow-client"]
            assert logins and all(s["env"].keys() <= data.keys() for s in logins)


def test_notes_say_where_mlflow_is(rendered: Any, defaults: Any, bare: Any, external: Any) -> None:
    service = rendered.one("Service", "-mlflow")
    port = service["spec"]["ports"][0]["port"]
    assert f"MLFLOW_TRACKING_URI=http://photoshoot-mlflow.vision.svc:{port}\n" in rendered.notes
    assert "WARNING" not in defaults.notes
    assert "SQLite" in defaults.notes and "photoshoot-mlflow-client" in defaults.notes
    assert bare.notes.count("WARNING") == 2 and "service account" not in bare.notes
    assert "SQLite" not in external.notes and "optuna@10.1.2.3:6432/optuna" in external.notes
